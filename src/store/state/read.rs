//! Reads over the tail and the index together.
//!
//! The tail is looked at first and the index second, and from the index only what is
//! not in what the tail showed: whatever a checkpoint moves meanwhile, nothing is missed
//! and nothing comes twice. Positions at or below a floor are not counted.

use std::ops::Range;

use super::shared::Shared;
use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::api::{Backlog, Portion, ReadError};
use crate::store::index::IndexError;

/// How often a page is looked up again because a checkpoint ended in the middle of it.
const TRIES_MAX: usize = 16;

impl Shared {
    /// As [`crate::store::Store::messages_after`].
    pub(crate) fn messages_after(
        &self,
        mailbox: &Mailbox,
        after: MsgId,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Backlog, ReadError> {
        let after = after.max(self.floor(mailbox));
        let (bound, entries, tail_alone, last_id) = {
            let tail = self.tail();
            let skip = tail.rank(mailbox, None, after);
            let entries = tail.slice(mailbox, None, skip, count_max);
            let tail_alone = after >= tail.start();
            (
                tail.index_bound(mailbox),
                entries,
                tail_alone,
                tail.active.last_id,
            )
        };
        let mut messages = Vec::new();
        if !tail_alone {
            messages = self.with_index(|index| {
                index.messages_between(mailbox, after, bound, count_max, bytes_max)
            })?;
        }
        let mut bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        let full = |messages: &Vec<Message>, bytes: usize| {
            messages.len() >= count_max || bytes >= bytes_max && !messages.is_empty()
        };
        for message in entries.iter().map(|taken| taken.message(mailbox)) {
            if full(&messages, bytes) {
                break;
            }
            bytes += message.content.len();
            messages.push(message);
        }
        // What is not full is all that there was when the tail was looked at.
        let upto = (!full(&messages, bytes)).then_some(last_id);
        Ok(Backlog { messages, upto })
    }

    /// As [`crate::store::Store::rank`].
    pub(crate) fn rank(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        upto: MsgId,
    ) -> Result<u64, ReadError> {
        let floor = self.floor(mailbox);
        if upto <= floor {
            return Ok(0);
        }
        let (bound, in_tail, below) = {
            let tail = self.tail();
            let below = tail.rank(mailbox, from, floor);
            let in_tail = tail.rank(mailbox, from, upto);
            (tail.index_bound(mailbox), in_tail, below)
        };
        Ok(self.with_index(|index| {
            let list = index.list(mailbox, from)?;
            let all = list.rank(upto.min(bound))? + in_tail;
            let hidden = match floor {
                MsgId::ZERO => 0,
                floor => list.rank(floor.min(bound))? + below,
            };
            Ok(all.saturating_sub(hidden))
        })?)
    }

    /// Whether the mailbox surely has nothing up to this id that is not erased already: what has
    /// only expired may come back.
    pub(crate) fn has_nothing(&self, mailbox: &Mailbox, upto: MsgId) -> bool {
        let own = {
            let domains = self.domains();
            if domains.is_removed(&mailbox.domain) {
                return false;
            }
            domains.floors().of(mailbox)
        };
        self.floor(mailbox) == own && self.rank(mailbox, None, upto).is_ok_and(|n| n == 0)
    }

    /// As [`crate::store::Store::slice`].
    pub(crate) fn slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        positions: Range<u64>,
        portion: Portion,
    ) -> Result<Vec<Message>, ReadError> {
        for _ in 0..TRIES_MAX {
            let tried = self.try_slice(mailbox, from, positions.clone(), portion)?;
            if let Some(messages) = tried {
                return Ok(messages);
            }
        }
        Err(ReadError::Index("it changes too fast".to_owned()))
    }

    /// `None` where a checkpoint ended between the looks at index and tail.
    fn try_slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        positions: Range<u64>,
        portion: Portion,
    ) -> Result<Option<Vec<Message>>, ReadError> {
        let floor = self.floor(mailbox);
        let (start, bound, hidden_in_tail) = {
            let tail = self.tail();
            let hidden = tail.rank(mailbox, from, floor);
            (tail.start(), tail.index_bound(mailbox), hidden)
        };
        // All of one and the same index: positions in another one need not be the same.
        let messages = self.with_index(|index| {
            let list = index.list(mailbox, from)?;
            let hidden = match floor {
                MsgId::ZERO => 0,
                floor => list.rank(floor.min(bound))? + hidden_in_tail,
            };
            let in_index = list.rank(bound)?;
            let begin = positions.start.saturating_add(hidden);
            let end = positions.end.saturating_add(hidden);
            let older = |portion| list.slice(begin..end.min(in_index), portion);
            // Nothing of the index is read that has no room beside what was read before it.
            let mut messages = match portion.newest_first {
                true => Vec::new(),
                false => older(portion)?,
            };
            if end > in_index && begin < end {
                let skip = begin.saturating_sub(in_index);
                let count = usize::try_from(end - begin.max(in_index)).unwrap_or(usize::MAX);
                let tail = self.tail();
                // As long as it begins at the same id, a tail is only ever added to.
                if tail.start() != start {
                    return Ok(None);
                }
                let entries = tail.slice(mailbox, from, skip, count);
                drop(tail);
                let rising = entries.iter().map(|taken| Ok(taken.message(mailbox)));
                portion.add::<IndexError>(rising, &mut messages)?;
            }
            if portion.newest_first
                && let Some(rest) = portion.behind(&messages)
            {
                messages.extend(older(rest)?);
            }
            Ok(Some(messages))
        })?;
        Ok(messages)
    }
}

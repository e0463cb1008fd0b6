//! Reads over memtables and index together.
//!
//! The memtables are read first, and from the index only what they did not show: whatever a flush
//! moves meanwhile, nothing is missed and nothing comes twice. Positions at or below a low
//! watermark are not counted.

use std::ops::Range;

use super::shared::Shared;
use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::api::{Backlog, Portion, ReadError};
use crate::store::index::IndexError;

/// How often a page is looked up again because a flush ended in the middle of it.
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
        let after = after.max(self.low_watermark(mailbox));
        let (bound, entries, memtables_alone, last_id) = {
            let memtables = self.memtables();
            let skip = memtables.rank(mailbox, None, after);
            let entries = memtables.slice(mailbox, None, skip, count_max);
            let memtables_alone = after >= memtables.start();
            (
                memtables.index_bound(mailbox),
                entries,
                memtables_alone,
                memtables.active.last_id,
            )
        };
        let mut messages = Vec::new();
        if !memtables_alone {
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
        // What is not full is all that there was when the memtables were looked at.
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
        let low_watermark = self.low_watermark(mailbox);
        if upto <= low_watermark {
            return Ok(0);
        }
        let (bound, in_memtables, below) = {
            let memtables = self.memtables();
            let below = memtables.rank(mailbox, from, low_watermark);
            let in_memtables = memtables.rank(mailbox, from, upto);
            (memtables.index_bound(mailbox), in_memtables, below)
        };
        Ok(self.with_index(|index| {
            let list = index.list(mailbox, from)?;
            let all = list.rank(upto.min(bound))? + in_memtables;
            let hidden = match low_watermark {
                MsgId::ZERO => 0,
                low_watermark => list.rank(low_watermark.min(bound))? + below,
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
            domains.low_watermarks().of(mailbox)
        };
        self.low_watermark(mailbox) == own && self.rank(mailbox, None, upto).is_ok_and(|n| n == 0)
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

    /// `None` where a flush ended between the looks at index and memtables.
    fn try_slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        positions: Range<u64>,
        portion: Portion,
    ) -> Result<Option<Vec<Message>>, ReadError> {
        let low_watermark = self.low_watermark(mailbox);
        let (start, bound, hidden_in_memtables) = {
            let memtables = self.memtables();
            let hidden = memtables.rank(mailbox, from, low_watermark);
            (memtables.start(), memtables.index_bound(mailbox), hidden)
        };
        // All of one and the same index: positions in another one need not be the same.
        let messages = self.with_index(|index| {
            let list = index.list(mailbox, from)?;
            let hidden = match low_watermark {
                MsgId::ZERO => 0,
                low_watermark => list.rank(low_watermark.min(bound))? + hidden_in_memtables,
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
                let memtables = self.memtables();
                // As long as it begins at the same id, a memtable is only ever added to.
                if memtables.start() != start {
                    return Ok(None);
                }
                let entries = memtables.slice(mailbox, from, skip, count);
                drop(memtables);
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

//! Reads of mailboxes: queues by id, pages by position.
//!
//! From the index comes only what was there before the view's memtables: nothing comes twice, and
//! positions stay the same however far a flush gets. Those at or below the low watermark are not
//! counted.

use std::ops::Range;

use super::shared::Shared;
use super::view::View;
use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::api::{Backlog, Portion, ReadError, Reading};
use crate::store::data::{SendIds, SendKey};
use crate::store::index;
use crate::store::index::IndexError;

/// A mailbox, or one sender's messages in it, as a view shows it.
pub struct List<'v> {
    view: &'v View<'v>,
    mailbox: Mailbox,
    from: Option<UserId>,
    older: index::List<'v>,
    low_watermark: MsgId,
    /// Messages of the list in the index.
    in_index: u64,
    /// Messages that are gone. They are the first ones.
    hidden: u64,
}

impl View<'_> {
    /// The newest id: nothing above it is in this view.
    pub fn last_id(&self) -> MsgId {
        self.memtables.last_id
    }

    /// The messages of a mailbox (from `from` only, if given), addressed by position. Blocks on
    /// disk.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn list(&self, mailbox: &Mailbox, from: Option<&UserId>) -> Result<List<'_>, ReadError> {
        // Read before the index, which then has everything above it.
        let low_watermark = self.shared.low_watermark(mailbox);
        let older = self.read(|index| index.list(mailbox, from))?;
        let in_index = self.read(|_| older.rank(self.memtables.start))?;
        let mut list = List {
            view: self,
            mailbox: mailbox.clone(),
            from: from.cloned(),
            older,
            low_watermark,
            in_index,
            hidden: 0,
        };
        if low_watermark > MsgId::ZERO {
            list.hidden = list.count(low_watermark)?;
        }
        Ok(list)
    }

    /// As [`crate::store::Store::messages_after`].
    pub(crate) fn messages_after(
        &self,
        mailbox: &Mailbox,
        after: MsgId,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Backlog, ReadError> {
        let after = after.max(self.shared.low_watermark(mailbox));
        let portion = Portion {
            bytes_max,
            ..Portion::ALL
        };
        let mut reading = Reading::new(portion, count_max);
        let start = self.memtables.start;
        if after < start {
            self.read(|index| index.read_between(mailbox, after, start, &mut reading))?;
        }
        if !reading.is_full() {
            let newer = {
                let now = self.shared.memtables();
                let skip = self.memtables.rank(&now, mailbox, None, after);
                let count_max = count_max - reading.messages.len();
                self.memtables.slice(&now, mailbox, None, skip, count_max)
            };
            let rising = newer.iter().map(|encoded| Ok(encoded.message(mailbox)));
            reading.add::<IndexError>(rising)?;
        }
        // A read that did not fill up is complete.
        let upto = (!reading.is_full()).then_some(self.memtables.last_id);
        let messages = reading.messages;
        Ok(Backlog { messages, upto })
    }
}

impl List<'_> {
    /// The number of messages with an id of at most `upto`; with [`MsgId::MAX`], of all. Blocks on
    /// disk.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn rank(&self, upto: MsgId) -> Result<u64, ReadError> {
        if upto <= self.low_watermark {
            return Ok(0);
        }
        Ok(self.count(upto)?.saturating_sub(self.hidden))
    }

    /// As `rank`, including hidden messages.
    fn count(&self, upto: MsgId) -> Result<u64, IndexError> {
        let View {
            shared, memtables, ..
        } = self.view;
        if upto < memtables.start {
            return self.view.read(|_| self.older.rank(upto));
        }
        let from = self.from.as_ref();
        Ok(self.in_index + memtables.rank(&shared.memtables(), &self.mailbox, from, upto))
    }

    /// A portion of the messages at these positions (0 is the oldest), in its order. Positions
    /// beyond the end are left out. Blocks on disk.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn slice(
        &self,
        positions: Range<u64>,
        portion: Portion,
    ) -> Result<Vec<Message>, ReadError> {
        let begin = positions.start.saturating_add(self.hidden);
        let end = positions.end.saturating_add(self.hidden);
        let mut reading = Reading::new(portion, usize::MAX);
        let older = |reading: &mut Reading| {
            let positions = begin..end.min(self.in_index);
            self.view.read(|_| self.older.read(positions, reading))
        };
        // In the order of the portion: what no longer fits is not read from the index.
        if !portion.newest_first {
            older(&mut reading)?;
        }
        if end > self.in_index && begin < end {
            let skip = begin.saturating_sub(self.in_index);
            let count = usize::try_from(end - begin.max(self.in_index)).unwrap_or(usize::MAX);
            let newer = {
                let View {
                    shared, memtables, ..
                } = self.view;
                let (now, from) = (shared.memtables(), self.from.as_ref());
                memtables.slice(&now, &self.mailbox, from, skip, count)
            };
            let rising = newer.iter().map(|taken| Ok(taken.message(&self.mailbox)));
            reading.add::<IndexError>(rising)?;
        }
        if portion.newest_first {
            older(&mut reading)?;
        }
        Ok(reading.messages)
    }
}

impl Shared {
    /// The ids of a send of the last 24 hours.
    pub(crate) fn known_send(&self, key: &SendKey) -> Result<Option<SendIds>, IndexError> {
        let low_watermark = self.domains().low_watermarks.of_domain(&key.domain);
        let in_memtables = self.memtables().send(key);
        let found = match in_memtables {
            Some(ids) => Some(ids),
            None => self.with_index(|index| index.send(key))?,
        };
        let gone = low_watermark.max(self.ages().newest_forgotten());
        Ok(found.filter(|ids| ids.first > gone))
    }

    /// Whether everything up to this id is certainly erased. What has only expired may come back.
    pub(crate) fn has_nothing(&self, mailbox: &Mailbox, upto: MsgId) -> bool {
        let own = {
            let domains = self.domains();
            if domains.is_removed(&mailbox.domain) {
                return false;
            }
            domains.low_watermarks.of(mailbox)
        };
        let view = self.view();
        let count = || view.list(mailbox, None)?.rank(upto);
        // In this order, messages that expire meanwhile are not counted.
        count().is_ok_and(|count| count == 0) && self.low_watermark(mailbox) == own
    }
}

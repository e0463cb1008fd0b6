//! Decides, record by record, what a rewritten segment keeps.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::error::CompactionError;
use super::gone::Gone;
use crate::model::{Device, Mailbox, Message, MsgId};
use crate::store::age::AgeState;
use crate::store::data::{CursorChange, Record, SendIds, SendKey};
use crate::store::disk::Pacer;
use crate::store::index::{Index, IndexError};
use crate::store::journal;

/// For so long the record of an erasure stays although it was carried out: a copy of the
/// directory that is made meanwhile may hold older forms of some segments.
const ERASED_AGE_MS: u64 = 24 * 60 * 60 * 1_000;

/// What is gone, and what a compaction has met.
pub(super) struct CompactionFilter<'a> {
    pub(super) gone: &'a Gone,
    /// How far age time is.
    pub(super) age: AgeState,
    /// Has everything that the rewritten segments have.
    pub(super) index: Arc<Index>,
    pub(super) is_index_checked: bool,
    /// Whether the store closes.
    pub(super) stop: &'a dyn Fn() -> bool,
    pub(super) pacer: Pacer,
    /// No record of an erasure is to go: something that it hides could not be removed.
    pub(super) keeps_erasures: bool,
    /// Messages that are gone from the journal.
    pub(super) dropped: u64,
    /// Mailboxes whose erasures the journal does not hold any more.
    pub(super) forgotten: HashMap<Mailbox, MsgId>,
    /// The devices whose cursors have been met in this segment.
    pub(super) devices: HashSet<Device>,
    /// Their users, and what is kept of their having confirmed.
    pub(super) users: HashMap<Mailbox, MsgId>,
    /// Whether the age time has been met in it.
    pub(super) is_age_kept: bool,
}

impl CompactionFilter<'_> {
    fn is_gone(&self, message: &Message) -> bool {
        message.id <= self.gone.low_watermark(&message.mailbox)
    }

    fn is_known_send(&self, key: &SendKey, ids: SendIds) -> bool {
        self.gone.is_known_send(&key.domain, ids.first)
    }

    fn is_forgotten(&self, at_ms: u64) -> bool {
        !self.keeps_erasures && self.gone.ages.age_ms(at_ms) > ERASED_AGE_MS
    }

    /// What a user has confirmed, as it stands now. After each of the user's cursors: a flush that
    /// lowers one writes first what it had said.
    fn sift_confirmed(
        &mut self,
        mailbox: Mailbox,
        left: &mut Vec<Record>,
    ) -> Result<(), IndexError> {
        let id = self.index.confirmed_of(&mailbox)?;
        let kept = self.users.entry(mailbox.clone()).or_default();
        if id > *kept {
            *kept = id;
            left.push(Record::Confirmed { mailbox, id });
        }
        Ok(())
    }

    /// What is left of a send. Its messages have ids that follow one another; those that are
    /// left of them are sends of their own, as far as they still do.
    fn sift_send(&mut self, messages: Vec<Message>, key: Option<SendKey>, left: &mut Vec<Record>) {
        let ids = messages.first().map(|first| SendIds {
            first: first.id,
            count: messages.len() as u32,
        });
        let known = key
            .zip(ids)
            .filter(|(key, ids)| self.is_known_send(key, *ids));
        left.extend(known.map(|(key, ids)| Record::SendIds { key, ids }));
        let mut run: Vec<Message> = Vec::new();
        let mut end = |run: &mut Vec<Message>| {
            if !run.is_empty() {
                left.push(Record::Send {
                    messages: std::mem::take(run),
                    client_msg_id: None,
                });
            }
        };
        for message in messages {
            if self.is_gone(&message) {
                self.dropped += 1;
                end(&mut run);
            } else {
                run.push(message);
            }
        }
        end(&mut run);
    }
}

impl journal::RecordFilter for CompactionFilter<'_> {
    type Error = CompactionError;

    fn step(&mut self) -> Result<(), CompactionError> {
        self.pacer.step();
        match (self.stop)() {
            true => Err(CompactionError::Stopped),
            false => Ok(()),
        }
    }

    fn is_stale(&mut self, record: &Record) -> Result<bool, CompactionError> {
        Ok(match record {
            Record::Send { messages, .. } => messages.iter().any(|m| self.is_gone(m)),
            // Only along with messages: it alone is not worth an index that is rebuilt.
            Record::Erased { at_ms, .. } => self.dropped > 0 && self.is_forgotten(*at_ms),
            _ => false,
        })
    }

    fn sift(&mut self, record: Record, left: &mut Vec<Record>) -> Result<(), CompactionError> {
        match record {
            Record::Send {
                messages,
                client_msg_id,
            } if messages.iter().any(|message| self.is_gone(message)) => {
                let first = messages.first();
                let key = first
                    .zip(client_msg_id)
                    .map(|(first, client_msg_id)| SendKey {
                        domain: first.mailbox.domain.clone(),
                        from_id: first.from_id.clone(),
                        client_msg_id,
                    });
                self.sift_send(messages, key, left);
            }
            Record::SendIds { key, ids } if !self.is_known_send(&key, ids) => {}
            Record::Erased {
                mailbox,
                upto,
                at_ms,
            } if self.is_forgotten(at_ms) => {
                let forgotten = self.forgotten.entry(mailbox).or_default();
                *forgotten = upto.max(*forgotten);
            }
            // As it stands now: changes that come again behind that lead to the same end.
            // As it stands now; once a segment, since the last one counts.
            Record::Age(_) => {
                if !std::mem::replace(&mut self.is_age_kept, true) {
                    left.push(Record::Age(self.age.clone()));
                }
            }
            Record::Confirmed { mailbox, .. } => self.sift_confirmed(mailbox, left)?,
            Record::Cursor { device, .. } => {
                if self.devices.insert(device.clone()) {
                    let mailbox = device.mailbox.clone();
                    let value = self.index.cursor(&device)?;
                    left.extend(value.map(|value| Record::Cursor {
                        device,
                        change: CursorChange::Set(value),
                    }));
                    self.sift_confirmed(mailbox, left)?;
                }
            }
            record => left.push(record),
        }
        Ok(())
    }
}

//! Writes a generation of the tail into the trees.
//!
//! Idempotent: what a mailbox already has is skipped, so that a checkpoint may be repeated
//! from its beginning after a crash in the midst of it.

use std::collections::BTreeMap;
use std::thread::Builder as ThreadBuilder;

use super::super::tail::{Generation, TailMailbox};
use super::chunk::{self, Append, Contents, Packing};
use super::messages::{self, OpenChunk};
use super::search::{self, Found};
use super::senders::{self, IDS_MAX, SUMMARIES_MAX, SUMMARISED, Summary};
use super::{Index, IndexError, guarded, key};
use crate::model::Mailbox;

/// In the order of the trees, so that neighbours are written together.
fn mailboxes(generation: &Generation) -> Vec<(&Mailbox, &TailMailbox)> {
    let mut mailboxes: Vec<_> = generation.mailboxes.iter().collect();
    mailboxes.sort_unstable_by_key(|(mailbox, _)| *mailbox);
    mailboxes
}

/// Told after each write how many bytes it was; paces and syncs, or stops the work.
pub(in crate::store) type Pace<'a> = dyn FnMut(&Index, usize) -> Result<(), IndexError> + 'a;

impl Index {
    /// Writes the messages of a generation, mailbox by mailbox.
    pub(in crate::store) fn apply_messages(
        &self,
        generation: &Generation,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        self.apply_mailboxes(&mailboxes(generation), generation, pace)
    }

    /// The same with two threads, while nobody else needs the processor; makes it durable as it
    /// goes on, after so many bytes.
    pub(in crate::store) fn apply_messages_at_once(
        &self,
        generation: &Generation,
        sync_bytes: usize,
    ) -> Result<(), IndexError> {
        let all = mailboxes(generation);
        let (one, other) = all.split_at(all.len() / 2);
        let write = |part: &[_]| {
            let mut unsynced = 0;
            let mut pace = |index: &Self, bytes: usize| {
                unsynced += bytes;
                if unsynced >= sync_bytes {
                    index.sync()?;
                    unsynced = 0;
                }
                Ok(())
            };
            guarded(|| self.apply_mailboxes(part, generation, &mut pace))
        };
        std::thread::scope(|scope| {
            let beside = ThreadBuilder::new().name("index".to_owned());
            let beside = beside.spawn_scoped(scope, || write(other))?;
            write(one)?;
            beside.join().unwrap_or(Err(IndexError::Panicked))
        })
    }

    fn apply_mailboxes(
        &self,
        mailboxes: &[(&Mailbox, &TailMailbox)],
        generation: &Generation,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut chunk = OpenChunk::default();
        for (mailbox, part) in mailboxes {
            self.apply_mailbox(mailbox, generation, part, &mut chunk, pace)?;
        }
        Ok(())
    }

    fn apply_mailbox(
        &self,
        mailbox: &Mailbox,
        generation: &Generation,
        part: &TailMailbox,
        chunk: &mut OpenChunk,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let prefix = key::prefix(mailbox);
        chunk.begin(0);
        let mut above = 0;
        if let Some(last) = search::at_or_below(&self.messages, &prefix, u64::MAX)? {
            above = last.head.last_id;
            if messages::stays(last.head.count, last.head.raw_bytes) {
                chunk.go_on(&last.head);
            } else {
                let opened = self.opened(&last)?;
                let taken = chunk.take_up(&opened, last.first_id);
                taken.map_err(IndexError::Damaged)?;
            }
        }
        for entry in &part.entries {
            generation.note_written(1);
            if entry.id <= above {
                continue;
            }
            let body = generation.body(*entry);
            if !chunk.has_room(body) {
                self.store_messages(&prefix, chunk, pace)?;
            }
            chunk.push(entry.id, entry.offline(), body);
        }
        self.store_messages(&prefix, chunk, pace)?;
        self.summarise(&prefix, chunk.position, pace)
    }

    /// Stores the chunk if there is something new in it, and begins the next one.
    pub(super) fn store_messages(
        &self,
        prefix: &[u8],
        chunk: &mut OpenChunk,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        if chunk.is_new() {
            let key = key::with_id(prefix, chunk.first_id);
            let (stays, packing) = chunk.stays();
            let (value, bytes) = self.packed(&chunk.contents(), packing, stays)?;
            let bytes = bytes + key.len();
            self.messages.insert(key, value)?;
            pace(self, bytes)?;
        }
        chunk.next();
        Ok(())
    }

    /// What a tree gets of a chunk: all, or its head, and the rest is put into the heap. And how
    /// many bytes that is together.
    fn packed(
        &self,
        contents: &Contents<'_>,
        packing: Packing,
        in_heap: bool,
    ) -> Result<(Vec<u8>, usize), IndexError> {
        let mut bytes = 0;
        let mut append = |rest: &[u8]| {
            bytes += rest.len();
            self.heap.append(rest)
        };
        let heap: Option<&mut Append<'_>> = match in_heap {
            true => Some(&mut append),
            false => None,
        };
        let value = chunk::pack(contents, packing, heap)?;
        bytes += value.len();
        Ok((value, bytes))
    }

    /// Brings a mailbox that has `total` messages back to few without a summary, and few
    /// summaries.
    pub(super) fn summarise(
        &self,
        prefix: &[u8],
        total: u64,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        if total < SUMMARISED {
            return Ok(());
        }
        let last = search::at_or_below(&self.summaries, prefix, u64::MAX)?;
        let (summarised, last_id) =
            last.map_or((0, 0), |last| (last.head.end(), last.head.last_id));
        let left = total - summarised.min(total);
        if left < SUMMARISED {
            return Ok(());
        }
        let new = self.new_summaries(prefix, Summary::at(summarised), last_id, left)?;
        let mut stored = Vec::new();
        for found in search::upwards(&self.summaries, prefix, 0) {
            stored.push(found?);
        }
        match new.split_last() {
            Some((last, others)) if stored.len() + new.len() > SUMMARIES_MAX => {
                self.merge_summaries(prefix, &stored, others, pace)?;
                self.store_summary(prefix, last, &stored, pace)
            }
            _ => {
                let mut stored = new.iter();
                stored.try_for_each(|summary| self.store_summary(prefix, summary, &[], pace))
            }
        }
    }

    /// The summaries of the messages above `last_id`, of which there are `left`.
    fn new_summaries(
        &self,
        prefix: &[u8],
        mut summary: Summary,
        last_id: u64,
        mut left: u64,
    ) -> Result<Vec<Summary>, IndexError> {
        let mut full = Vec::new();
        for found in search::above(&self.messages, prefix, last_id)? {
            let found = found?;
            let opened = self.opened(&found)?;
            messages::each(&opened, |row| {
                if row.id <= last_id {
                    return;
                }
                summary.push(row.id, row.sender());
                left = left.saturating_sub(1);
                if summary.is_full() {
                    let next = Summary::at(summary.end());
                    full.push(std::mem::replace(&mut summary, next));
                }
            })
            .map_err(IndexError::Damaged)?;
            if summary.is_empty() && left < SUMMARISED {
                break;
            }
        }
        Ok(full)
    }

    /// Stores a summary in the place of older ones, all at once.
    fn store_summary(
        &self,
        prefix: &[u8],
        summary: &Summary,
        older: &[Found],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let key = key::with_id(prefix, summary.first_id());
        let (mut table, payload) = (Vec::new(), summary.payload());
        let contents = summary.contents(&mut table, &payload);
        let (value, bytes) = self.packed(&contents, Packing::None, true)?;
        let mut batch = sled::Batch::default();
        for found in older {
            batch.remove(&found.key);
        }
        let bytes = bytes + key.len();
        batch.insert(key, value);
        self.summaries.apply_batch(batch)?;
        pace(self, bytes)
    }

    /// Puts what these summaries hold behind the keys of their senders.
    fn merge_summaries(
        &self,
        prefix: &[u8],
        stored: &[Found],
        new: &[Summary],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut by_sender: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
        let mut add = |sender: &[u8], ids: &[u64]| match by_sender.get_mut(sender) {
            Some(all) => all.extend_from_slice(ids),
            None => {
                by_sender.insert(sender.to_vec(), ids.to_vec());
            }
        };
        for found in stored {
            senders::each(&self.opened(found)?, found.first_id, &mut add)
                .map_err(IndexError::Damaged)?;
        }
        for summary in new {
            summary.each(&mut add);
        }
        for (sender, ids) in by_sender {
            self.add_to_sender(&key::with_sender(prefix, &sender), &ids, pace)?;
        }
        Ok(())
    }

    fn add_to_sender(
        &self,
        prefix: &[u8],
        ids: &[u64],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut open: Vec<u64> = Vec::new();
        let mut position = 0;
        let mut above = 0;
        if let Some(last) = search::at_or_below(&self.senders, prefix, u64::MAX)? {
            above = last.head.last_id;
            position = last.head.end();
            if last.head.count < IDS_MAX as u64 {
                open = senders::ids(&self.opened(&last)?).map_err(IndexError::Damaged)?;
                position = last.head.position;
            }
        }
        let new = ids.partition_point(|id| *id <= above);
        if new == ids.len() {
            return Ok(());
        }
        open.extend_from_slice(&ids[new..]);
        for ids in open.chunks(IDS_MAX) {
            if let Some(first) = ids.first() {
                let key = key::with_id(prefix, *first);
                let value = senders::pack_ids(ids, position)?;
                let bytes = key.len() + value.len();
                self.senders.insert(&key, value)?;
                pace(self, bytes)?;
                position += ids.len() as u64;
            }
        }
        Ok(())
    }
}

//! Writes a memtable into the trees.
//!
//! Idempotent: what a mailbox already has is skipped, so an interrupted flush is simply repeated.
use std::thread::Builder as ThreadBuilder;

use parking_lot::Mutex;

use super::chunk::{Append, Contents};
use super::database::Index;
use super::error::IndexError;
use super::messages::{Body, OpenChunk};
use super::packing::Packing;
use super::search::FoundChunk;
use super::senders::{BySender, IDS_MAX, SUMMARIES_MAX, SUMMARISED, Summary, are_of_one};
use super::{chunk, key, messages, search, senders};
use crate::model::Mailbox;
use crate::store::memtable::{MailboxPart, Memtable};

/// Parts that two threads share out: mailboxes differ in size.
const PARTS: usize = 32;

/// Sorted as the trees are, so that neighbours are written together.
fn mailboxes(memtable: &Memtable) -> Vec<(&Mailbox, &MailboxPart)> {
    let mut mailboxes: Vec<_> = memtable.mailboxes.iter().collect();
    mailboxes.sort_unstable_by_key(|(mailbox, _)| *mailbox);
    mailboxes
}

/// Called after each write with its bytes. Paces, syncs, or stops the work.
pub(crate) type Pace<'a> = dyn FnMut(&Index, usize) -> Result<(), IndexError> + 'a;

/// Syncs the index every `bytes_max` bytes and passes each write on to `between`.
pub(crate) fn syncing(
    bytes_max: usize,
    mut between: impl FnMut(usize) -> Result<(), IndexError>,
) -> impl FnMut(&Index, usize) -> Result<(), IndexError> {
    let mut unsynced = 0;
    move |index, bytes| {
        unsynced += bytes;
        if unsynced >= bytes_max {
            index.sync()?;
            unsynced = 0;
        }
        between(bytes)
    }
}

impl Index {
    /// Writes the messages of a memtable, mailbox by mailbox.
    pub(super) fn apply_messages(
        &self,
        memtable: &Memtable,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        self.apply_mailboxes(&mailboxes(memtable), memtable, pace)
    }

    /// As [`Self::apply_messages`], with two threads, for when nobody else needs the processor.
    /// Syncs every `sync_bytes` bytes.
    pub(super) fn apply_messages_at_once(
        &self,
        memtable: &Memtable,
        sync_bytes: usize,
    ) -> Result<(), IndexError> {
        let all = mailboxes(memtable);
        let parts = Mutex::new(all.chunks(all.len().div_ceil(PARTS).max(1)));
        let next = || parts.lock().next();
        let write = || {
            let mut pace = syncing(sync_bytes, |_| Ok(()));
            while let Some(part) = next() {
                if let Err(error) = self.apply_mailboxes(part, memtable, &mut pace) {
                    // The other thread's work is wasted too.
                    while next().is_some() {}
                    return Err(error);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let beside = ThreadBuilder::new().name("index".to_owned());
            let beside = beside.spawn_scoped(scope, write)?;
            write()?;
            beside.join().unwrap_or(Err(IndexError::Panicked))
        })
    }

    fn apply_mailboxes(
        &self,
        mailboxes: &[(&Mailbox, &MailboxPart)],
        memtable: &Memtable,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut chunk = OpenChunk::default();
        for (mailbox, part) in mailboxes {
            let prefix = key::prefix(mailbox);
            let last_id = self.find_end(&prefix, &mut chunk)?;
            for entry in &part.entries {
                memtable.note_written(1);
                if entry.id <= last_id {
                    continue;
                }
                let body = Body::new(memtable.body(*entry), memtable.shared_from(*entry));
                if !chunk.has_room(body.bytes()) {
                    self.store_messages(&prefix, &mut chunk, pace)?;
                }
                chunk.push(entry.id, entry.offline(), body);
            }
            self.store_messages(&prefix, &mut chunk, pace)?;
            self.summarise(&prefix, chunk.contents.position, 0, pace)?;
        }
        Ok(())
    }

    /// Sets the chunk to continue at the end of the mailbox. Returns the last id stored.
    fn find_end(&self, prefix: &[u8], chunk: &mut OpenChunk) -> Result<u64, IndexError> {
        chunk.begin(0);
        let Some(last) = search::at_or_below(&self.messages, prefix, u64::MAX)? else {
            return Ok(0);
        };
        if messages::stays(last.head.count, last.head.raw_bytes) {
            chunk.begin(last.head.end());
        } else {
            chunk.take_up(&self.opened(&last)?, last.first_id)?;
        }
        Ok(last.head.last_id)
    }

    /// Stores the chunk if it has new messages, and begins the next one.
    pub(super) fn store_messages(
        &self,
        prefix: &[u8],
        chunk: &mut OpenChunk,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        if chunk.is_new() {
            let key = key::with_id(prefix, chunk.first_id);
            let (stays, packing) = chunk.stays();
            let (value, bytes) = self.packed(&chunk.contents, packing, stays)?;
            let bytes = bytes + key.len();
            self.messages.insert(key, value)?;
            pace(self, bytes)?;
        }
        chunk.next();
        Ok(())
    }

    /// The tree's value of a chunk, whose rest goes into the blob file if `in_blob`; and the bytes
    /// of both.
    pub(super) fn packed(
        &self,
        contents: &Contents,
        packing: Packing,
        in_blob: bool,
    ) -> Result<(Vec<u8>, usize), IndexError> {
        let mut bytes = 0;
        let mut append = |rest: &[u8]| {
            bytes += rest.len();
            self.blob.append(rest)
        };
        let blob = in_blob.then_some(&mut append as &mut Append<'_>);
        let value = chunk::pack(contents, packing, blob)?;
        bytes += value.len();
        Ok((value, bytes))
    }

    /// Summarises the senders of a mailbox of `total` messages until fewer than [`SUMMARISED`] are
    /// left, and merges summaries beyond [`SUMMARIES_MAX`]. At least `known` messages have a
    /// summary already. Returns how many have one now.
    pub(super) fn summarise(
        &self,
        prefix: &[u8],
        total: u64,
        known: u64,
        pace: &mut Pace<'_>,
    ) -> Result<u64, IndexError> {
        if total.saturating_sub(known) < SUMMARISED {
            return Ok(known);
        }
        let last = search::at_or_below(&self.summaries, prefix, u64::MAX)?;
        let (summarised, last_id) =
            last.map_or((0, 0), |last| (last.head.end(), last.head.last_id));
        let left = total - summarised.min(total);
        if left < SUMMARISED {
            return Ok(summarised);
        }
        let new = self.new_summaries(prefix, Summary::at(summarised), last_id, left)?;
        let count = new.len();
        let Some((last, others)) = new.split_last() else {
            return Ok(summarised);
        };
        let mut stored = Vec::new();
        for found in search::upwards(&self.summaries, prefix, 0) {
            stored.push(found?);
        }
        if stored.len() + count > SUMMARIES_MAX {
            self.merge_summaries(prefix, &stored, others, pace)?;
        } else {
            stored.clear();
            for summary in others {
                self.store_summary(prefix, summary, &[], pace)?;
            }
        }
        self.store_summary(prefix, last, &stored, pace)?;
        Ok(last.end())
    }

    /// Full summaries of the `left` messages above `last_id`.
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
            })?;
            if summary.count == 0 && left < SUMMARISED {
                break;
            }
        }
        Ok(full)
    }

    /// Stores a summary in place of older ones, atomically.
    fn store_summary(
        &self,
        prefix: &[u8],
        summary: &Summary,
        older: &[FoundChunk],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let key = key::with_id(prefix, summary.first_id);
        let (value, bytes) = self.packed(&summary.contents(), Packing::None, true)?;
        let bytes = bytes + key.len();
        let older = older.iter().map(|found| &found.key);
        self.summaries.replace(older, key, value)?;
        pace(self, bytes)
    }

    /// Appends the ids of these summaries to their senders' keys.
    fn merge_summaries(
        &self,
        prefix: &[u8],
        stored: &[FoundChunk],
        new: &[Summary],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut all = BySender::default();
        for found in stored {
            senders::each(&self.opened(found)?, found.first_id, |sender, ids| {
                ids.iter().for_each(|id| all.push(sender, *id));
            })?;
        }
        for (sender, id) in new.iter().flat_map(|summary| summary.senders.sorted()) {
            all.push(sender, id);
        }
        for group in all.sorted().chunk_by(are_of_one) {
            let ids: Vec<u64> = group.iter().map(|(_, id)| *id).collect();
            self.add_to_sender(&key::with_sender(prefix, group[0].0), &ids, pace)?;
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
                open = senders::ids(&self.opened(&last)?)?;
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

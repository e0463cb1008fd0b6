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
use super::senders::{BySender, IDS_MAX, SUMMARIES_MAX, SUMMARISED, Summary};
use super::{chunk, key, messages, search, senders};
use crate::model::Mailbox;
use crate::store::memtable::{MailboxPart, Memtable};

/// Two threads take a memtable in so many parts, as each gets on: mailboxes differ.
const PARTS: usize = 32;

/// In the order of the trees, so that neighbours are written together.
fn mailboxes(memtable: &Memtable) -> Vec<(&Mailbox, &MailboxPart)> {
    let mut mailboxes: Vec<_> = memtable.mailboxes.iter().collect();
    mailboxes.sort_unstable_by_key(|(mailbox, _)| *mailbox);
    mailboxes
}

/// Told after each write how many bytes it was; paces and syncs, or stops the work.
pub(crate) type Pace<'a> = dyn FnMut(&Index, usize) -> Result<(), IndexError> + 'a;

/// Makes the index durable whenever so many bytes were written, and hands on what was.
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

    /// The same with two threads, while nobody else needs the processor; makes it durable as it
    /// goes on, after so many bytes.
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
                    // The other one's work is for nothing.
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
            self.summarise(&prefix, chunk.position, 0, pace)?;
        }
        Ok(())
    }

    /// Has the chunk go on where the mailbox ends; answers its last id.
    fn find_end(&self, prefix: &[u8], chunk: &mut OpenChunk) -> Result<u64, IndexError> {
        chunk.begin(0);
        let Some(last) = search::at_or_below(&self.messages, prefix, u64::MAX)? else {
            return Ok(0);
        };
        if messages::stays(last.head.count, last.head.raw_bytes) {
            chunk.go_on(&last.head);
        } else {
            chunk.take_up(&self.opened(&last)?, last.first_id)?;
        }
        Ok(last.head.last_id)
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

    /// What a tree gets of a chunk: all, or its head, and the rest is put into the blob file. And how
    /// many bytes that is together.
    pub(super) fn packed(
        &self,
        contents: &Contents<'_>,
        packing: Packing,
        in_blob: bool,
    ) -> Result<(Vec<u8>, usize), IndexError> {
        let mut bytes = 0;
        let mut append = |rest: &[u8]| {
            bytes += rest.len();
            self.blob.append(rest)
        };
        let blob: Option<&mut Append<'_>> = match in_blob {
            true => Some(&mut append),
            false => None,
        };
        let value = chunk::pack(contents, packing, blob)?;
        bytes += value.len();
        Ok((value, bytes))
    }

    /// Brings a mailbox that has `total` messages in the tree back to few without a summary, and
    /// few summaries; `known` of them are known to have one. Answers how many have one then.
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
        let mut new = self.new_summaries(prefix, Summary::at(summarised), last_id, left)?;
        let count = new.len();
        let Some((last, others)) = new.split_last_mut() else {
            return Ok(summarised);
        };
        let mut stored = Vec::new();
        for found in search::upwards(&self.summaries, prefix, 0) {
            stored.push(found?);
        }
        if stored.len() + count > SUMMARIES_MAX {
            self.merge_summaries(prefix, &stored, others, pace)?;
            self.store_summary(prefix, last, &stored, pace)?;
        } else {
            for summary in others {
                self.store_summary(prefix, summary, &[], pace)?;
            }
            self.store_summary(prefix, last, &[], pace)?;
        }
        Ok(last.end())
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
            })?;
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
        summary: &mut Summary,
        older: &[FoundChunk],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let key = key::with_id(prefix, summary.first_id());
        let parts = summary.parts();
        let contents = summary.contents(&parts);
        let (value, bytes) = self.packed(&contents, Packing::None, true)?;
        let bytes = bytes + key.len();
        let older = older.iter().map(|found| &found.key);
        self.summaries.replace(older, key, value)?;
        pace(self, bytes)
    }

    /// Puts what these summaries hold behind the keys of their senders.
    fn merge_summaries(
        &self,
        prefix: &[u8],
        stored: &[FoundChunk],
        new: &mut [Summary],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut all = BySender::default();
        for found in stored {
            senders::each(&self.opened(found)?, found.first_id, |sender, ids| {
                ids.iter().for_each(|id| all.push(sender, *id));
            })?;
        }
        for summary in new {
            summary.add_to(&mut all);
        }
        for (sender, ids) in all.groups() {
            let ids: Vec<u64> = ids.collect();
            self.add_to_sender(&key::with_sender(prefix, sender), &ids, pace)?;
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

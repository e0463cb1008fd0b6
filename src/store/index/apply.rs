//! Writes a generation of the tail into the trees.
//!
//! Idempotent: what a mailbox (or a sender in it) already has is skipped, so that a
//! checkpoint may be repeated from its beginning after a crash in the midst of it.

use std::collections::BTreeMap;

use sled::Tree;

use super::super::tail::{Entry, Generation, MESSAGE_OVERHEAD_BYTES};
use super::chunk::{self, IDS_MAX, MESSAGES_MAX, PAYLOAD_BYTES_MAX, Packed, RAW_BYTES_MAX};
use super::{Index, IndexError, key, search};
use crate::model::{Mailbox, UserId};

/// Told after each write how many bytes it was; paces and syncs, or stops the work.
pub(in crate::store) type Pace<'a> = dyn FnMut(&Index, usize) -> Result<(), IndexError> + 'a;

impl Index {
    /// Writes the messages of a generation, mailbox by mailbox.
    pub(in crate::store) fn apply_messages(
        &self,
        generation: &Generation,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut mailboxes: Vec<_> = generation.mailboxes.iter().collect();
        mailboxes.sort_unstable_by_key(|(mailbox, _)| *mailbox);
        for (mailbox, part) in mailboxes {
            self.apply_mailbox(mailbox, generation, &part.entries, pace)?;
            self.apply_senders(mailbox, generation, &part.entries, pace)?;
        }
        Ok(())
    }

    fn apply_mailbox(
        &self,
        mailbox: &Mailbox,
        generation: &Generation,
        entries: &[Entry],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let prefix = key::prefix(mailbox, None);
        let mut chunk = OpenChunk::default();
        let mut above = 0;
        if let Some(last) = search::at_or_below(&self.messages, &prefix, u64::MAX)? {
            above = last.head.last_id;
            chunk.position = last.head.end();
            let open = last.head.count < MESSAGES_MAX as u64 && last.head.raw_bytes < RAW_BYTES_MAX;
            if open && !last.head.in_parts() {
                let (head, raw) = self.unpack(&last)?;
                chunk = OpenChunk {
                    position: head.position,
                    ids: chunk::decode_message_ids(&head, &raw).map_err(IndexError::Damaged)?,
                    raw,
                    written: head.count as usize,
                };
            }
        }
        let mut encoded = Vec::new();
        for entry in entries {
            let message = entry.message();
            generation.note_written(message.content.len() + MESSAGE_OVERHEAD_BYTES / 2);
            if message.id.0 <= above {
                continue;
            }
            encoded.clear();
            chunk::encode_message(message, &mut encoded);
            let full =
                chunk.ids.len() >= MESSAGES_MAX || chunk.raw.len() + encoded.len() > RAW_BYTES_MAX;
            if full && !chunk.ids.is_empty() {
                self.store_messages(&prefix, &mut chunk, pace)?;
            }
            chunk.ids.push(message.id.0);
            chunk.raw.extend_from_slice(&encoded);
        }
        self.store_messages(&prefix, &mut chunk, pace)
    }

    /// Stores the chunk if there is something new in it, and begins the next one.
    fn store_messages(
        &self,
        prefix: &[u8],
        chunk: &mut OpenChunk,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let count = chunk.ids.len();
        let ends = chunk.ids.first().zip(chunk.ids.last());
        if let Some((first, last)) = ends.filter(|_| count > chunk.written) {
            let packed = chunk::pack(count, chunk.position, *last, &chunk.raw);
            let key = key::with_id(prefix, *first);
            self.store_parts(&key, &packed, pace)?;
            insert(self, &self.messages, &key, packed.value, pace)?;
        }
        *chunk = OpenChunk {
            position: chunk.position + count as u64,
            ..OpenChunk::default()
        };
        Ok(())
    }

    /// Before the chunk that refers to them.
    fn store_parts(
        &self,
        key: &[u8],
        packed: &Packed,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        for (number, part) in (0..).zip(packed.in_parts.chunks(PAYLOAD_BYTES_MAX)) {
            insert(
                self,
                &self.parts,
                &key::part(key, number),
                part.to_vec(),
                pace,
            )?;
        }
        Ok(())
    }

    fn apply_senders(
        &self,
        mailbox: &Mailbox,
        generation: &Generation,
        entries: &[Entry],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let mut senders: BTreeMap<&UserId, Vec<u64>> = BTreeMap::new();
        for entry in entries {
            let message = entry.message();
            let ids = senders.entry(&message.from_id).or_default();
            ids.push(message.id.0);
        }
        for (from, ids) in senders {
            generation.note_written(ids.len() * MESSAGE_OVERHEAD_BYTES / 2);
            let prefix = key::prefix(mailbox, Some(from));
            let mut open: Vec<u64> = Vec::new();
            let mut position = 0;
            let mut above = 0;
            if let Some(last) = search::at_or_below(&self.senders, &prefix, u64::MAX)? {
                above = last.head.last_id;
                position = last.head.end();
                if last.head.count < IDS_MAX as u64 {
                    let (head, raw) = self.unpack(&last)?;
                    open = chunk::decode_ids(&head, &raw).map_err(IndexError::Damaged)?;
                    position = head.position;
                }
            }
            let new = ids.partition_point(|id| *id <= above);
            if new == ids.len() {
                continue;
            }
            open.extend_from_slice(&ids[new..]);
            for ids in open.chunks(IDS_MAX) {
                if let Some((first, last)) = ids.first().zip(ids.last()) {
                    let packed = chunk::pack(ids.len(), position, *last, &chunk::encode_ids(ids));
                    let key = key::with_id(&prefix, *first);
                    insert(self, &self.senders, &key, packed.value, pace)?;
                    position += ids.len() as u64;
                }
            }
        }
        Ok(())
    }
}

/// A chunk that is being filled.
#[derive(Debug, Default)]
struct OpenChunk {
    position: u64,
    ids: Vec<u64>,
    raw: Vec<u8>,
    /// How many of its messages the tree has already.
    written: usize,
}

fn insert(
    index: &Index,
    tree: &Tree,
    key: &[u8],
    value: Vec<u8>,
    pace: &mut Pace<'_>,
) -> Result<(), IndexError> {
    let bytes = key.len() + value.len();
    tree.insert(key, value)?;
    pace(index, bytes)
}

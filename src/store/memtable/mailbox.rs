//! One mailbox's part of a memtable: where its messages are in the batches.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Mailbox, Message, MsgId, UserId};
use crate::store::data::body;

/// From this many messages on, a mailbox keeps a list for each sender.
const SENDERS_APART_MIN: usize = 128;
/// Memory for such a list: the name, the place in the map, the list.
const SENDER_BYTES: usize = 160;
/// Memory for a message in it; it grows by doubling.
const SENDER_PLACE_BYTES: usize = 8;
const OFFLINE: u32 = 1 << 31;

/// The bodies of one commit, each with its length in four bytes before it.
pub(crate) type Bodies = Arc<[u8]>;

/// The place of a message in the bodies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// Index into the bodies of the memtable.
    batch: u32,
    /// Offset in them, and the flag `OFFLINE`.
    location: u32,
}

impl Entry {
    pub(super) fn new(id: u64, batch: u32, start: u32, offline: bool) -> Self {
        debug_assert!(start < OFFLINE);
        Self {
            id,
            batch,
            location: start | if offline { OFFLINE } else { 0 },
        }
    }

    pub(crate) fn offline(self) -> bool {
        self.location & OFFLINE != 0
    }

    /// Batch and offset of the body. They rise in commit order.
    pub(super) fn location(self) -> (u32, u32) {
        (self.batch, self.location & !OFFLINE)
    }

    fn batch(self, batches: &[Bodies]) -> &Bodies {
        &batches[self.batch as usize]
    }

    fn cut(self, bodies: &[u8]) -> &[u8] {
        let start = self.location().1 as usize;
        let (length, rest) = bodies[start..]
            .split_first_chunk::<4>()
            .expect("each body has its length before it");
        &rest[..u32::from_le_bytes(*length) as usize]
    }

    pub(crate) fn body(self, batches: &[Bodies]) -> &[u8] {
        self.cut(self.batch(batches))
    }

    fn is_from(self, from: &UserId, batches: &[Bodies]) -> bool {
        body::sender(self.body(batches)) == Some(from.as_str().as_bytes())
    }
}

/// A message taken from a memtable, to be decoded without a lock.
#[derive(Debug)]
pub(crate) struct EncodedMessage {
    entry: Entry,
    bodies: Bodies,
}

impl EncodedMessage {
    pub(super) fn id(&self) -> MsgId {
        MsgId(self.entry.id)
    }

    pub(crate) fn message(&self, mailbox: &Mailbox) -> Message {
        let (sender, rest) = body::split(self.entry.cut(&self.bodies))
            .expect("a memtable holds only what it encoded itself");
        let Entry { id, .. } = self.entry;
        body::decode(&sender[1..], rest, id, mailbox, self.entry.offline())
            .expect("a memtable holds only what it encoded itself")
    }
}

/// Each sender's messages, as indexes into the entries.
type BySender = HashMap<UserId, Vec<u32>>;

/// A mailbox in a memtable, in id order.
#[derive(Debug, Default)]
pub(crate) struct MailboxPart {
    pub(crate) entries: Vec<Entry>,
    /// Boxed, since most mailboxes have none.
    by_sender: Option<Box<BySender>>,
}

impl MailboxPart {
    /// Adds a message, and returns the bytes that it takes.
    pub(super) fn push(&mut self, entry: Entry, from: &UserId, batches: &[Bodies]) -> usize {
        let capacity = self.entries.capacity();
        let index = self.entries.len() as u32;
        self.entries.push(entry);
        let grown = self.entries.capacity() - capacity;
        let mut bytes = grown * size_of::<Entry>();
        if let Some(by_sender) = &mut self.by_sender {
            bytes += SENDER_PLACE_BYTES;
            match by_sender.get_mut(from) {
                Some(indexes) => indexes.push(index),
                None => {
                    bytes += SENDER_BYTES;
                    by_sender.insert(from.clone(), vec![index]);
                }
            }
        } else if self.entries.len() >= SENDERS_APART_MIN {
            let by_sender = self.senders(batches);
            bytes += by_sender.len() * SENDER_BYTES + self.entries.len() * SENDER_PLACE_BYTES;
            self.by_sender = Some(Box::new(by_sender));
        }
        bytes
    }

    fn senders(&self, batches: &[Bodies]) -> BySender {
        let mut by_sender = BySender::new();
        for (index, entry) in (0..).zip(&self.entries) {
            let from = body::sender(entry.body(batches))
                .and_then(|from| std::str::from_utf8(from).ok())
                .and_then(|from| UserId::parse(from).ok())
                .expect("a memtable holds only what it encoded itself");
            by_sender.entry(from).or_default().push(index);
        }
        by_sender
    }

    /// The number of messages with an id of at most `upto`.
    pub(super) fn rank(&self, upto: u64) -> usize {
        self.entries.partition_point(|entry| entry.id <= upto)
    }

    pub(super) fn rank_from(&self, from: &UserId, upto: u64, batches: &[Bodies]) -> usize {
        match &self.by_sender {
            Some(by_sender) => by_sender.get(from).map_or(0, |indexes| {
                indexes.partition_point(|i| self.entries[*i as usize].id <= upto)
            }),
            None => {
                let below = self.entries[..self.rank(upto)].iter();
                below.filter(|entry| entry.is_from(from, batches)).count()
            }
        }
    }

    /// Appends messages (from `from`) after `skip` others, until `out` has `count_max`. Returns the
    /// rest of `skip`.
    pub(super) fn collect(
        &self,
        from: Option<&UserId>,
        skip: u64,
        count_max: usize,
        batches: &[Bodies],
        out: &mut Vec<EncodedMessage>,
    ) -> u64 {
        let wanted = count_max.saturating_sub(out.len());
        let at = usize::try_from(skip).unwrap_or(usize::MAX);
        let take = |entry: &Entry| EncodedMessage {
            entry: *entry,
            bodies: entry.batch(batches).clone(),
        };
        let available = match (from, &self.by_sender) {
            (None, _) => {
                out.extend(self.entries.iter().skip(at).take(wanted).map(take));
                self.entries.len()
            }
            (Some(from), Some(by_sender)) => {
                let indexes = by_sender.get(from).map_or(&[][..], Vec::as_slice);
                let entries = indexes.iter().map(|i| &self.entries[*i as usize]);
                out.extend(entries.skip(at).take(wanted).map(take));
                indexes.len()
            }
            (Some(from), None) => {
                let theirs = self.entries.iter().filter(|e| e.is_from(from, batches));
                let mut count = 0;
                for entry in theirs {
                    if count >= at && count - at < wanted {
                        out.push(take(entry));
                    }
                    count += 1;
                }
                count
            }
        };
        skip.saturating_sub(available as u64)
    }
}

//! Copies an index that is in use, without what is gone.
//!
//! Messages are read mailbox by mailbox in id order and packed into full chunks, so the copy is
//! smaller than the original and needs no memory for a memtable. Shared contents are copied with
//! the first message that references them. Messages written meanwhile are above `last_id`: they are
//! left out and come from the journal. The small trees are copied as they are; replaying the
//! journal over them leads to the same result.

use super::apply::Pace;
use super::chunk::Opened;
use super::database::Index;
use super::engine::{Bytes, Tree, guarded};
use super::error::IndexError;
use super::manifest::{Manifest, SmallCounts};
use super::messages::{OpenChunk, Rest};
use super::{key, messages, search, small};
use crate::model::{Domain, Mailbox, MsgId};

/// Messages of a mailbox after which its senders are summarised again.
const SUMMARISE_EVERY: u64 = 8 << 10;

/// Decides what goes into a copy.
pub(crate) trait Kept {
    /// Messages at or below it are left out.
    fn low_watermark(&self, mailbox: &Mailbox) -> MsgId;

    /// Whether the ids of a send stay, for its repeats.
    fn keeps_send(&self, domain: &Domain, first: MsgId) -> bool;

    fn keeps_erasure(&self, mailbox: &Mailbox, upto: MsgId) -> bool;
}

struct Copy<'a> {
    from: &'a Index,
    to: &'a Index,
    kept: &'a dyn Kept,
    state: Manifest,
    /// Messages left out.
    dropped: u64,
    found: SmallCounts,
    pace: &'a mut Pace<'a>,
}

/// The mailbox being copied.
#[derive(Default)]
struct Current {
    prefix: Vec<u8>,
    low_watermark: u64,
    /// The position behind the last chunk read.
    end: u64,
    chunk: OpenChunk,
    /// The position below which senders are summarised.
    summarised: u64,
}

impl Index {
    /// Copies the contents of this index according to its manifest `of` into the empty index `to`,
    /// number `number`. Returns the manifest of the copy and the counts found in the small trees.
    /// `pace` is called with the bytes of each piece of work, and may pause or stop it.
    /// [`IndexError::Damaged`]: this index lacks something that `of` promises.
    pub(crate) fn copy(
        &self,
        of: &Manifest,
        to: &Self,
        number: u64,
        kept: &dyn Kept,
        pace: &mut Pace<'_>,
    ) -> Result<(Manifest, SmallCounts), IndexError> {
        let mut pace = |index: &Self, bytes| pace(index, bytes);
        let mut copy = Copy {
            from: self,
            to,
            kept,
            state: Manifest {
                position: of.position,
                last_id: of.last_id,
                ..Manifest::empty(number)
            },
            dropped: 0,
            found: SmallCounts::default(),
            pace: &mut pace,
        };
        guarded(|| {
            copy.messages()?;
            if copy.state.messages + copy.dropped != of.messages {
                let found = copy.state.messages + copy.dropped;
                return Err(format!("it has {found} messages instead of {}", of.messages).into());
            }
            copy.small()
        })?;
        let Copy {
            mut state, found, ..
        } = copy;
        to.sync()?;
        state.blob_bytes = to.blob_bytes();
        Ok((state, found))
    }
}

impl Copy<'_> {
    fn messages(&mut self) -> Result<(), IndexError> {
        let mut current = Current::default();
        for entry in self.from.messages.iter() {
            let found = search::FoundChunk::parse(entry?)?;
            let (prefix, first_id) = key::split(&found.key).ok_or("a key is cut short")?;
            if prefix != current.prefix.as_slice() {
                self.end(&mut current)?;
                let mailbox = key::mailbox(prefix).ok_or("a key")?;
                current = Current {
                    prefix: prefix.to_vec(),
                    low_watermark: self.kept.low_watermark(&mailbox).0,
                    ..Current::default()
                };
            }
            // Written since the copy began.
            if first_id > self.state.last_id {
                continue;
            }
            if found.head.position != current.end {
                return Err("the positions of a mailbox have a gap".into());
            }
            current.end = found.head.end();
            if found.head.last_id <= current.low_watermark {
                self.dropped += found.head.count;
                (self.pace)(self.to, 0)?;
                continue;
            }
            let opened = self.from.opened(&found)?;
            self.take(&mut current, &opened)?;
        }
        self.end(&mut current)
    }

    fn take(&mut self, current: &mut Current, opened: &Opened<'_>) -> Result<(), IndexError> {
        let payload = opened.payload()?;
        let domain = key::of_domain(&current.prefix).unwrap_or_default();
        for row in messages::rows(opened)? {
            if row.id > self.state.last_id {
                break;
            }
            if row.id <= current.low_watermark {
                self.dropped += 1;
                continue;
            }
            let body = row.body(&payload)?;
            if let Rest::SharedFrom(first) = body.rest {
                let key = key::with_id(domain, first);
                let copied = self.to.copy_content(self.from, &key, self.pace)?;
                self.state.contents += u64::from(copied);
            }
            if !current.chunk.has_room(body.bytes()) {
                self.to
                    .store_messages(&current.prefix, &mut current.chunk, self.pace)?;
            }
            current.chunk.push(row.id, row.offline, body);
            self.state.messages += 1;
        }
        if current.chunk.contents.position - current.summarised >= SUMMARISE_EVERY {
            self.summarise(current)?;
        }
        Ok(())
    }

    fn end(&mut self, current: &mut Current) -> Result<(), IndexError> {
        self.to
            .store_messages(&current.prefix, &mut current.chunk, self.pace)?;
        self.summarise(current)
    }

    fn summarise(&mut self, current: &mut Current) -> Result<(), IndexError> {
        current.summarised = self.to.summarise(
            &current.prefix,
            current.chunk.contents.position,
            current.summarised,
            self.pace,
        )?;
        Ok(())
    }

    fn small(&mut self) -> Result<(), IndexError> {
        let (from, to, kept) = (self.from, self.to, self.kept);
        // Backwards, so that a user's confirmed id comes behind the user's cursors: a flush that
        // lowers a cursor meanwhile writes the confirmed id first.
        let cursors = from.cursors.iter().rev();
        let keeps_cursor = |key: &[u8], value: &[u8]| {
            small::cursor_value(value)?;
            // Confirmed ids of an empty mailbox go: whatever comes is above them.
            let is_confirmed = key::of_mailbox(key) == Some(key);
            Ok(!is_confirmed || to.messages.scan_prefix(key).next().is_some())
        };
        (self.found.cursors, self.state.small.cursors) =
            self.copy_tree(cursors, &to.cursors, keeps_cursor)?;
        (self.found.domains, self.state.small.domains) =
            self.copy_tree(from.domains.iter(), &to.domains, |_, _| Ok(true))?;
        let keeps_erasure = |key: &[u8], value: &[u8]| {
            let (mailbox, upto) = small::erasure(key, value)?;
            Ok(kept.keeps_erasure(&mailbox, upto))
        };
        (self.found.erased, self.state.small.erased) =
            self.copy_tree(from.erased.iter(), &to.erased, keeps_erasure)?;
        self.copy_tree(from.age.iter(), &to.age, |_, _| Ok(true))?;
        let keeps_send = |key: &[u8], value: &[u8]| {
            let domain = key::domain(key).ok_or("a send")?;
            Ok(kept.keeps_send(&domain, small::first_of_send(value)?))
        };
        let days = from.sends.lock().clone();
        for (day, tree) in days {
            let to = to.sends_tree_of(day)?;
            let (found, count) = self.copy_tree(tree.iter(), &to, keeps_send)?;
            self.found.sends.insert(day, found);
            if count > 0 {
                self.state.small.sends.insert(day, count);
            }
        }
        Ok(())
    }

    /// Copies the entries that are kept. Returns how many were found, and how many kept.
    fn copy_tree(
        &mut self,
        entries: impl Iterator<Item = Result<(Bytes, Bytes), IndexError>>,
        to: &Tree,
        keeps: impl Fn(&[u8], &[u8]) -> Result<bool, IndexError>,
    ) -> Result<(u64, u64), IndexError> {
        let (mut found, mut count) = (0, 0);
        for entry in entries {
            let (key, value) = entry?;
            found += 1;
            if keeps(&key, &value)? {
                let bytes = key.len() + value.len();
                to.insert(key, value)?;
                count += 1;
                (self.pace)(self.to, bytes)?;
            }
        }
        Ok((found, count))
    }
}

//! Verifies the whole index against its manifest after an unclean stop.
//!
//! Checks every value in sled, and that the chunks of each sequence are contiguous. Of the blob
//! file it reads only what an interrupted flush wrote: the rest was durable before the manifest, is
//! never rewritten, and readers check the checksum of each chunk.

use std::iter::Peekable;

use super::chunk::Chunk;
use super::database::Index;
use super::engine::{Tree, guarded};
use super::error::IndexError;
use super::manifest::Manifest;
use super::search::FoundChunk;
use super::{key, messages, senders};
use crate::store::api::Opening;

/// A sequence of chunks under one prefix, up to the last one taken.
#[derive(Debug, Default)]
struct Sequence {
    prefix: Vec<u8>,
    end: u64,
    last_id: u64,
}

impl Sequence {
    /// Takes the next chunk of a tree. `first`: the required position of a sequence's first chunk.
    fn take(&mut self, found: &FoundChunk, first: Option<u64>) -> Result<(), IndexError> {
        let (prefix, _) = key::split(&found.key).ok_or("a key")?;
        if prefix != self.prefix.as_slice() {
            *self = Self {
                prefix: prefix.to_vec(),
                end: first.unwrap_or(found.head.position),
                last_id: 0,
            };
        }
        let fits = found.head.position == self.end
            && found.first_id > self.last_id
            && found.first_id <= found.head.last_id;
        if !fits {
            return Err("the chunks of a mailbox do not fit together".into());
        }
        self.end = found.head.end();
        self.last_id = found.head.last_id;
        Ok(())
    }
}

impl Index {
    /// Verifies all chunks and counts, and returns the highest id. Afterwards `state` counts what
    /// an interrupted flush left in the small trees, so that its loss would be noticed. Stops with
    /// an error if `opening` is stopped, and reports the messages seen to it.
    pub(crate) fn verify(
        &self,
        state: &mut Manifest,
        opening: &Opening,
    ) -> Result<u64, IndexError> {
        if self.blob.bytes() < state.blob_bytes {
            return Err("its heap is too short".into());
        }
        self.has_trailer(state)?;
        guarded(|| {
            let of_messages = std::thread::scope(|scope| {
                let known = &*state;
                let senders = scope.spawn(|| self.verify_senders(known, opening));
                let highest = self.verify_messages(known, opening);
                senders.join().unwrap_or(Err(IndexError::Panicked))?;
                highest
            })?;
            let of_contents = self.verify_contents(state, opening)?;
            self.verify_small(state)?;
            Ok(of_messages.max(of_contents))
        })
    }

    fn verify_messages(&self, state: &Manifest, opening: &Opening) -> Result<u64, IndexError> {
        let mut sequence = Sequence::default();
        let mut highest = 0;
        let mut known = 0;
        for found in chunks(&self.messages, opening) {
            let found = found?;
            sequence.take(&found, Some(0))?;
            self.verify_chunk(&found, state)?;
            highest = highest.max(found.head.last_id);
            opening.reach(known);
            if found.head.last_id <= state.last_id {
                known += found.head.count;
                continue;
            }
            messages::each(&self.opened(&found)?, |row| {
                known += u64::from(row.id <= state.last_id);
            })?;
        }
        if known != state.messages {
            return Err(format!("it holds {known} messages instead of {}", state.messages).into());
        }
        Ok(highest)
    }

    /// Verifies a value, and its part of the blob file unless that was durable when `state` was
    /// written.
    fn verify_chunk(&self, found: &FoundChunk, state: &Manifest) -> Result<(), IndexError> {
        let chunk = Chunk::check(&found.value)?;
        let reference = chunk.reference()?;
        if reference.is_some_and(|reference| reference.end() > state.blob_bytes) {
            self.opened(found)?;
        }
        Ok(())
    }

    /// Refuses fewer contents than `state` counts; then `state` counts them all. Returns the
    /// highest id.
    fn verify_contents(&self, state: &mut Manifest, opening: &Opening) -> Result<u64, IndexError> {
        let (mut count, mut highest) = (0, 0);
        for found in chunks(&self.contents, opening) {
            let found = found?;
            self.verify_chunk(&found, state)?;
            count += 1;
            highest = highest.max(found.head.last_id);
        }
        if count < state.contents {
            return Err("what messages share is missing".into());
        }
        state.contents = count;
        Ok(highest)
    }

    /// Verifies summaries and senders' keys. The ids that a mailbox's keys hold below its first
    /// summary are as many as that summary's position.
    fn verify_senders(&self, state: &Manifest, opening: &Opening) -> Result<(), IndexError> {
        let mut sequence = Sequence::default();
        let mut keys = chunks(&self.senders, opening).peekable();
        for found in chunks(&self.summaries, opening) {
            let found = found?;
            let is_first = {
                let prefix = key::of_mailbox(&found.key);
                prefix != Some(sequence.prefix.as_slice())
            };
            sequence.take(&found, None)?;
            self.verify_chunk(&found, state)?;
            if is_first {
                let keyed = count_below(&mut keys, &sequence.prefix, found.first_id)?;
                if keyed != found.head.position {
                    let expected = found.head.position;
                    return Err(format!("{keyed} senders' messages instead of {expected}").into());
                }
            }
        }
        match keys.next().transpose()? {
            Some(_) => Err("a summary of senders is missing".into()),
            None => Ok(()),
        }
    }
}

fn chunks(tree: &Tree, opening: &Opening) -> impl Iterator<Item = Result<FoundChunk, IndexError>> {
    tree.iter().map(|entry| match opening.is_stopped() {
        true => Err(IndexError::Closing),
        false => FoundChunk::parse(entry?),
    })
}

/// Verifies the keys of one mailbox, and counts their ids below `id`.
fn count_below(
    keys: &mut Peekable<impl Iterator<Item = Result<FoundChunk, IndexError>>>,
    mailbox: &[u8],
    id: u64,
) -> Result<u64, IndexError> {
    let mut sequence = Sequence::default();
    let mut count = 0;
    let of_mailbox = |found: &Result<FoundChunk, IndexError>| match found {
        Ok(found) => key::of_mailbox(&found.key) == Some(mailbox),
        Err(_) => true,
    };
    while let Some(found) = keys.next_if(of_mailbox) {
        let found = found?;
        sequence.take(&found, Some(0))?;
        let chunk = Chunk::check(&found.value)?;
        count += if found.head.last_id < id {
            found.head.count
        } else {
            let opened = chunk.open(|_| Err("a sender's ids are never in the heap".into()))?;
            senders::ids(&opened)?.partition_point(|one| *one < id) as u64
        };
    }
    Ok(count)
}

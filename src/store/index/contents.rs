//! Contents that the recipients of a large send share: stored once, referenced by their chunks.
//!
//! A content is a chunk of one body without its sender, in the blob file, under the first message
//! id that references it. References survive when chunks are rewritten or copied, whatever becomes
//! of that message.
//!
//! Invariant: every referenced content exists: it is written before the chunk, and goes only with
//! the whole index.

use super::apply::Pace;
use super::chunk::Contents;
use super::database::Index;
use super::error::IndexError;
use super::key;
use super::manifest::Manifest;
use super::messages::{Body, Rest};
use super::packing::Packing;
use super::search::FoundChunk;
#[cfg(test)]
use crate::model::Domain;
use crate::model::Mailbox;
use crate::store::memtable::Memtable;

impl Index {
    /// Writes what the messages of a memtable share, and counts what is new in `state`.
    pub(super) fn apply_contents(
        &self,
        memtable: &Memtable,
        state: &mut Manifest,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        for (domain, first, body) in memtable.shared() {
            memtable.note_written(1);
            let key = key::with_id(&key::domain_prefix(domain), first);
            // By a flush that was interrupted.
            if self.contents.contains_key(&key)? {
                continue;
            }
            if let Rest::Here(rest) = Body::new(body, None).rest {
                self.put_content(&key, first, rest, pace)?;
                state.contents += 1;
            }
        }
        Ok(())
    }

    fn put_content(
        &self,
        key: &[u8],
        first: u64,
        content: &[u8],
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let chunk = Contents {
            count: 1,
            last_id: first,
            payload: content,
            ..Contents::default()
        };
        let (value, bytes) = self.packed(&chunk, Packing::Small, true)?;
        self.contents.insert(key, value)?;
        pace(self, key.len() + bytes)
    }

    /// Writes one that no chunk names yet, as an interrupted flush leaves it.
    #[cfg(test)]
    pub(crate) fn leave_content(&self, domain: &Domain, first: u64) {
        let key = key::with_id(&key::domain_prefix(domain), first);
        let put = self.put_content(&key, first, b"lost", &mut |_, _| Ok(()));
        put.expect("it is written");
    }

    /// The body without the sender that messages of this mailbox's domain share from this id on.
    pub(super) fn content(&self, mailbox: &Mailbox, first: u64) -> Result<Vec<u8>, IndexError> {
        self.content_at(&key::with_id(&key::domain_prefix(&mailbox.domain), first))
    }

    fn content_at(&self, key: &[u8]) -> Result<Vec<u8>, IndexError> {
        let value = self.contents.get(key)?;
        let value = value.ok_or("what messages share is missing")?;
        let found = FoundChunk::parse((key.into(), value))?;
        Ok(self.opened(&found)?.payload()?.into())
    }

    /// Copies what stands under this key in another index, if it is not here yet; answers whether
    /// it was not.
    pub(super) fn copy_content(
        &self,
        from: &Self,
        key: &[u8],
        pace: &mut Pace<'_>,
    ) -> Result<bool, IndexError> {
        if self.contents.contains_key(key)? {
            return Ok(false);
        }
        let (_, first) = key::split(key).ok_or("a key")?;
        self.put_content(key, first, &from.content_at(key)?, pace)?;
        Ok(true)
    }
}

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
use crate::store::memtable::Memtable;

impl Index {
    /// Writes the shared contents of a memtable, and counts the new ones in `state`.
    pub(super) fn apply_contents(
        &self,
        memtable: &Memtable,
        state: &mut Manifest,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        for (domain, first, body) in memtable.shared() {
            memtable.note_written(1);
            let key = key::with_id(&key::domain_prefix(domain), first);
            // Written by an interrupted flush.
            if self.contents.get(&key)?.is_some() {
                continue;
            }
            if let Rest::Here(rest) = Body::new(body, None).rest {
                self.put_content(&key, first, rest.to_vec(), pace)?;
                state.contents += 1;
            }
        }
        Ok(())
    }

    fn put_content(
        &self,
        key: &[u8],
        first: u64,
        payload: Vec<u8>,
        pace: &mut Pace<'_>,
    ) -> Result<(), IndexError> {
        let chunk = Contents {
            count: 1,
            last_id: first,
            payload,
            ..Contents::default()
        };
        let (value, bytes) = self.packed(&chunk, Packing::Small, true)?;
        self.contents.insert(key, value)?;
        pace(self, key.len() + bytes)
    }

    /// Leaves an unreferenced content, as an interrupted flush does.
    #[cfg(test)]
    pub(crate) fn leave_content(&self, domain: &Domain, first: u64) {
        let key = key::with_id(&key::domain_prefix(domain), first);
        let put = self.put_content(&key, first, b"lost".to_vec(), &mut |_, _| Ok(()));
        put.expect("it is written");
    }

    /// A shared body without its sender. The key is the domain and the first id.
    pub(super) fn content(&self, key: &[u8]) -> Result<Vec<u8>, IndexError> {
        let value = self.contents.get(key)?;
        let value = value.ok_or("what messages share is missing")?;
        let found = FoundChunk::parse((key.into(), value))?;
        Ok(self.opened(&found)?.payload()?.into())
    }

    /// Copies a content from another index. False if it is here already.
    pub(super) fn copy_content(
        &self,
        from: &Self,
        key: &[u8],
        pace: &mut Pace<'_>,
    ) -> Result<bool, IndexError> {
        if self.contents.get(key)?.is_some() {
            return Ok(false);
        }
        let (_, first) = key::split(key).ok_or("a key")?;
        self.put_content(key, first, from.content(key)?, pace)?;
        Ok(true)
    }
}

//! Writes a memtable into an index and makes it durable.
//!
//! Invariant: everything the manifest claims is durably in the index. What the index holds beyond
//! it is written again after a crash, with the same result.

use super::apply::syncing;
use super::database::Index;
use super::engine::guarded;
use super::error::IndexError;
use super::manifest::Manifest;
use crate::store::memtable::Memtable;

/// Bytes between syncs while the store is in use: no commit finds the disk busy for long.
pub(crate) const SYNC_BYTES: usize = 1 << 20;
/// The same while nobody else needs the disk.
const SYNC_BYTES_ALONE: usize = 8 << 20;

/// How a memtable is written.
pub(crate) enum Pacing<'a> {
    /// Beside other work: called after each write with its bytes, and may pause or stop it.
    Paced(&'a mut dyn FnMut(usize) -> Result<(), IndexError>),
    /// As fast as it can be.
    AtOnce,
}

impl Index {
    /// Writes a memtable and returns the updated manifest. Sends of days before `day_min` are
    /// dropped.
    pub(crate) fn write(
        &self,
        memtable: &Memtable,
        state: &Manifest,
        day_min: u64,
        pacing: Pacing<'_>,
    ) -> Result<Manifest, IndexError> {
        let mut state = state.clone();
        memtable.begin_writing();
        guarded(|| match pacing {
            Pacing::AtOnce => {
                let mut pace = syncing(SYNC_BYTES_ALONE, |_| Ok(()));
                self.apply_contents(memtable, &mut state, &mut pace)?;
                self.apply_messages_at_once(memtable, SYNC_BYTES_ALONE)?;
                self.apply_small(memtable, day_min, &mut state, &mut pace)
            }
            Pacing::Paced(between) => {
                let mut pace = syncing(SYNC_BYTES, between);
                self.apply_contents(memtable, &mut state, &mut pace)?;
                self.apply_messages(memtable, &mut pace)?;
                self.apply_small(memtable, day_min, &mut state, &mut pace)
            }
        })?;
        self.put_trailer(memtable.end.sequence)?;
        self.sync()?;
        state.blob_bytes = self.blob_bytes();
        state.messages += memtable.messages;
        state.position = memtable.end;
        state.last_id = memtable.last_id.0;
        Ok(state)
    }
}

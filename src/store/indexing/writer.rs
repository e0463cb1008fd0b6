//! Writes a memtable into an index and records durably how far the index is.
//!
//! Invariant: everything the manifest claims is durably in the index. What the index holds beyond
//! it is written again after a crash, with the same result.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use super::error::BuildError;
use crate::store::disk::{FileSystem, Pacer};
use crate::store::index::{
    Index, IndexError, Manifest, expect_fewer_cursors, guarded, save, syncing,
};
use crate::store::memtable::Memtable;

/// While the store is in use, the index is made durable after so many bytes, so that no
/// commit finds the disk busy for long.
pub(crate) const SYNC_BYTES: usize = 1 << 20;
/// The same while nobody waits but for the index itself.
const SYNC_BYTES_ALONE: usize = 8 << 20;

/// How a memtable is written.
pub(crate) enum Pacing<'a> {
    /// Beside other work: called after each write with its bytes, and may pause or stop it.
    Paced(&'a mut dyn FnMut(usize) -> Result<(), IndexError>),
    /// As fast as it can be.
    AtOnce,
}

/// Writes a memtable into the index and makes it durable, as it goes on and at the end; answers
/// the index's state then.
pub(crate) fn apply(
    index: &Index,
    memtable: &Memtable,
    state: &Manifest,
    day_min: u64,
    how: Pacing<'_>,
) -> Result<Manifest, IndexError> {
    let mut state = state.clone();
    memtable.begin_writing();
    guarded(|| match how {
        Pacing::AtOnce => {
            let mut pace = syncing(SYNC_BYTES_ALONE, |_| Ok(()));
            index.apply_contents(memtable, &mut state, &mut pace)?;
            index.apply_messages_at_once(memtable, SYNC_BYTES_ALONE)?;
            index.apply_small(memtable, day_min, &mut state, &mut pace)
        }
        Pacing::Paced(between) => {
            let mut pace = syncing(SYNC_BYTES, between);
            index.apply_contents(memtable, &mut state, &mut pace)?;
            index.apply_messages(memtable, &mut pace)?;
            index.apply_small(memtable, day_min, &mut state, &mut pace)
        }
    })?;
    index.put_trailer(memtable.end.sequence)?;
    index.sync()?;
    state.blob_bytes = index.blob_bytes();
    state.messages += memtable.messages;
    state.position = memtable.end;
    state.last_id = memtable.last_id.0;
    Ok(state)
}

/// What memtables are written into.
pub(crate) struct IndexTarget {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) index: Index,
    /// Whether this is the index that counts: then its state is saved as it goes on.
    pub(crate) counts: bool,
    /// Whether it pauses for others.
    pub(crate) is_paced: bool,
}

impl IndexTarget {
    /// Writes a memtable, and drops the sends of days before `day_min`; answers the index's state
    /// behind it.
    pub(crate) fn write(
        &self,
        immutable: &Memtable,
        state: &Manifest,
        day_min: u64,
    ) -> Result<Manifest, BuildError> {
        let files = self.files.as_ref();
        if self.counts {
            expect_fewer_cursors(files, &self.dir, immutable, state)?;
        }
        let mut pacer = Pacer::new();
        let mut pause = |_| {
            pacer.step();
            Ok(())
        };
        let how = match self.is_paced {
            true => Pacing::Paced(&mut pause),
            false => Pacing::AtOnce,
        };
        let state = apply(&self.index, immutable, state, day_min, how)?;
        if self.counts {
            save(files, &self.dir, &state)?;
        }
        Ok(state)
    }
}

/// The thread that writes a memtable, if one does.
#[derive(Default)]
pub(crate) struct Writing<'scope> {
    pub(crate) thread: Option<ScopedJoinHandle<'scope, Result<Manifest, BuildError>>>,
}

impl Writing<'_> {
    /// Waits for it, and takes over how far the index is then.
    pub(crate) fn end(&mut self, state: &mut Manifest) -> Result<(), BuildError> {
        if let Some(thread) = self.thread.take() {
            let written = thread.join();
            *state = written.unwrap_or(Err(IndexError::Panicked.into()))?;
        }
        Ok(())
    }
}

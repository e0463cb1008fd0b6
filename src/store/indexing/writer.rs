//! Writes generations of the tail into the index, and says durably how far it is.
//!
//! Invariant: what the state on disk says is in the index, durably; what the index has beyond it
//! is written once more behind a crash, to the same end.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use super::error::BuildError;
use crate::store::disk::{Breather, FileSystem};
use crate::store::index::{
    Index, IndexError, IndexState, expect_fewer_cursors, guarded, save, syncing,
};
use crate::store::memtable::Generation;

/// While the store is in use, the index is made durable after so many bytes, so that no
/// commit finds the disk busy for long.
pub(crate) const SYNC_BYTES: usize = 1 << 20;
/// The same while nobody waits but for the index itself.
const SYNC_BYTES_ALONE: usize = 8 << 20;

/// How a generation is written.
pub(crate) enum How<'a> {
    /// Beside other work: called after each write with its bytes, and may pause or stop it.
    Paced(&'a mut dyn FnMut(usize) -> Result<(), IndexError>),
    /// As fast as it can be.
    AtOnce,
}

/// Writes a generation into the index and makes it durable, as it goes on and at the end; answers
/// the index's state then.
pub(crate) fn apply(
    index: &Index,
    generation: &Generation,
    state: &IndexState,
    day_min: u64,
    how: How<'_>,
) -> Result<IndexState, IndexError> {
    let mut state = state.clone();
    generation.begin_writing();
    match how {
        How::AtOnce => {
            let mut pace = syncing(SYNC_BYTES_ALONE, |_| Ok(()));
            index.apply_contents(generation, &mut state, &mut pace)?;
            index.apply_messages_at_once(generation, SYNC_BYTES_ALONE)?;
            index.apply_small(generation, day_min, &mut state, &mut pace)?;
        }
        How::Paced(between) => {
            let mut pace = syncing(SYNC_BYTES, between);
            index.apply_contents(generation, &mut state, &mut pace)?;
            index.apply_messages(generation, &mut pace)?;
            index.apply_small(generation, day_min, &mut state, &mut pace)?;
        }
    }
    index.sync()?;
    state.heap_bytes = index.heap_bytes();
    state.messages += generation.messages;
    state.position = generation.end;
    state.last_id = generation.last_id.0;
    Ok(state)
}

/// What generations are written into.
pub(crate) struct Target {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) index: Index,
    /// Whether this is the index that counts: then its state is saved as it goes on.
    pub(crate) counts: bool,
    /// Whether it pauses for others.
    pub(crate) is_paced: bool,
}

impl Target {
    /// Writes a generation, and drops the sends of days before `day_min`; answers the index's state
    /// behind it.
    pub(crate) fn write(
        &self,
        frozen: &Generation,
        state: &IndexState,
        day_min: u64,
    ) -> Result<IndexState, BuildError> {
        let files = self.files.as_ref();
        if self.counts {
            expect_fewer_cursors(files, &self.dir, frozen, state)?;
        }
        let mut breather = Breather::new();
        let mut pause = |_| {
            breather.step();
            Ok(())
        };
        let how = match self.is_paced {
            true => How::Paced(&mut pause),
            false => How::AtOnce,
        };
        let state = guarded(|| apply(&self.index, frozen, state, day_min, how))?;
        if self.counts {
            save(files, &self.dir, &state)?;
        }
        Ok(state)
    }
}

/// The thread that writes a generation, if one does.
#[derive(Default)]
pub(crate) struct Writing<'scope> {
    pub(crate) thread: Option<ScopedJoinHandle<'scope, Result<IndexState, BuildError>>>,
}

impl Writing<'_> {
    /// Waits for it, and takes over how far the index is then.
    pub(crate) fn end(&mut self, state: &mut IndexState) -> Result<(), BuildError> {
        if let Some(thread) = self.thread.take() {
            let written = thread.join();
            *state = written.unwrap_or(Err(IndexError::Panicked.into()))?;
        }
        Ok(())
    }
}

//! Writes memtables into the index of a builder, in a thread beside the replay.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use super::error::BuildError;
use crate::store::disk::{FileSystem, Pacer};
use crate::store::index::{Index, IndexError, Manifest, Pacing, expect_fewer_cursors, save};
use crate::store::memtable::Memtable;

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
        let pacing = match self.is_paced {
            true => Pacing::Paced(&mut pause),
            false => Pacing::AtOnce,
        };
        let state = self.index.write(immutable, state, day_min, pacing)?;
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

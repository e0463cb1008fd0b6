//! Writes memtables into the index of a builder, in a thread beside the replay.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::BuildError;
use crate::store::disk::{FileSystem, Pacer};
use crate::store::index::{Index, Manifest, Pacing, expect_fewer_cursors, save};
use crate::store::memtable::Memtable;

/// The place and limits of an index being made.
pub(crate) struct Site {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) cache_bytes: u64,
    /// Most bytes of the memtables.
    pub(crate) memtable_bytes_max: usize,
    /// Whether this is the index in use: its manifest is then saved with every memtable.
    pub(crate) counts: bool,
}

/// The index that memtables are written into.
pub(crate) struct IndexTarget {
    pub(crate) site: Site,
    pub(crate) index: Index,
    /// Whether writing yields to others.
    pub(crate) is_paced: bool,
}

impl IndexTarget {
    /// Writes a memtable, and drops sends of days before `day_min`. Returns the new manifest.
    pub(crate) fn write(
        &self,
        immutable: &Memtable,
        state: &Manifest,
        day_min: u64,
    ) -> Result<Manifest, BuildError> {
        let Site {
            files, dir, counts, ..
        } = &self.site;
        if *counts {
            expect_fewer_cursors(files.as_ref(), dir, immutable, state)?;
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
        if *counts {
            save(files.as_ref(), dir, &state)?;
        }
        Ok(state)
    }
}

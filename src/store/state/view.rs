//! A view: what a reader sees of the store, all of it as of one moment.
//!
//! Memtables first, index second: what a flush drops from the memtables afterwards is in the index,
//! and what another index takes over from this one is still held here. Whatever is moved while a
//! view is in use is in both, so a reader of messages takes from the index only what was there
//! already, and a reader of cursors repeats changes.

use std::sync::Arc;

use super::shared::Shared;
use crate::store::index::{Index, IndexError};
use crate::store::memtable::Snapshot;

/// The store at one moment, for one read. Holds memory and files that a flush or a compaction has
/// released until it is dropped.
pub struct View<'a> {
    pub(super) shared: &'a Shared,
    pub(super) memtables: Snapshot,
    index: Result<Arc<Index>, IndexError>,
}

impl Shared {
    pub(crate) fn view(&self) -> View<'_> {
        self.view_stepped(|| ())
    }

    /// As `view`, with a step of a test in between.
    pub(crate) fn view_stepped(&self, between: impl FnOnce()) -> View<'_> {
        let memtables = self.memtables().snapshot();
        between();
        View {
            shared: self,
            memtables,
            index: self.index(),
        }
    }
}

impl View<'_> {
    pub(super) fn read<'v, T>(
        &'v self,
        work: impl FnOnce(&'v Index) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let index = self.index.as_ref().map_err(Clone::clone)?;
        self.shared.judge(index, work)
    }
}

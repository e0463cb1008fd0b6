//! The memtables as they are at one moment, for a read that goes on while they change.
//!
//! Copies nothing. The active memtable stays where it is and grows: a reader takes from it what has
//! an id of at most `last_id`.

use std::sync::Arc;

use super::pair::Memtables;
use super::table::{Memtable, Rotated};

/// The memtables of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    immutable: Option<Arc<Memtable>>,
    rotated: Rotated,
}

impl Memtables {
    /// What a reader sees who looks now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            immutable: self.immutable.clone(),
            rotated: self.rotated.clone(),
        }
    }
}

impl Snapshot {
    /// Its memtables, the older one first. `now` has the active one, unless that was rotated since.
    pub(crate) fn tables<'a>(&'a self, now: &'a Memtables) -> impl Iterator<Item = &'a Memtable> {
        let active = self.rotated.get().map_or(&now.active, Arc::as_ref);
        self.immutable.as_deref().into_iter().chain([active])
    }
}

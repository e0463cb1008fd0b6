//! Writes an index once more, without what its making has left behind.
//!
//! sled writes a page again whenever something comes to it, and gives little of that back. What
//! is copied tree by tree, in the order of the keys, is written once. The heap is as it is, and
//! is handed on.

use std::fs::File;
use std::path::Path;

use super::heap::Heap;
use super::{Index, IndexError, guarded, place};

/// The copy is made durable after so many bytes.
const SYNC_BYTES: usize = 256 << 10;

impl Index {
    /// Closes the index at `from` and answers the same one at `to`, compact. `between` is called
    /// behind each part of the work, and may pause or stop it; then there is neither of the two.
    pub(in crate::store) fn compacted(
        self,
        from: &Path,
        to: &Path,
        cache_bytes: u64,
        between: &mut dyn FnMut() -> Result<(), IndexError>,
    ) -> Result<Self, IndexError> {
        guarded(|| {
            place::make(to)?;
            let copy = Self::config(to, cache_bytes).open()?;
            let file = File::open(to.join("db"))?;
            let mut unsynced = 0;
            for name in self.db.tree_names() {
                let tree = copy.open_tree(&name)?;
                for entry in &self.db.open_tree(&name)? {
                    let (key, value) = entry?;
                    unsynced += key.len() + value.len();
                    tree.insert(key, value)?;
                    if unsynced >= SYNC_BYTES {
                        copy.flush()?;
                        file.sync_data()?;
                        unsynced = 0;
                        between()?;
                    }
                }
            }
            copy.flush()?;
            file.sync_data()?;
            drop(copy);
            drop(self);
            Heap::hand_on(from, to)?;
            Self::open(to, cache_bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_compact_index_has_the_same_and_takes_less() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (place::path(dir.path(), 1), place::path(dir.path(), 2));
        let index = Index::open(&from, 4 << 20).unwrap();
        for round in 0..40_u8 {
            for key in 0..2_000_u32 {
                let value = vec![round; 60];
                index.cursors.insert(key.to_be_bytes(), value).unwrap();
            }
            index.sync().unwrap();
        }
        index.heap.append(b"heap").unwrap();
        index.sync().unwrap();
        let before = std::fs::metadata(from.join("db")).unwrap().len();
        let compact = index
            .compacted(&from, &to, 4 << 20, &mut || Ok(()))
            .unwrap();
        assert_eq!(compact.cursors.len(), 2_000);
        assert_eq!(compact.heap.read(0, 4).unwrap(), b"heap");
        let values: Vec<_> = compact.cursors.iter().map(|e| e.unwrap().1[0]).collect();
        assert!(values.iter().all(|value| *value == 39));
        compact.sync().unwrap();
        let after = std::fs::metadata(to.join("db")).unwrap().len();
        assert!(after * 2 < before, "{before} bytes became {after}");
        assert!(!from.join("heap").exists());
    }
}

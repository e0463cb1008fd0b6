//! The open index: sled's trees and the blob file beside them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use parking_lot::Mutex;

use super::blob::BlobFile;
use super::engine::{Engine, Tree, guarded};
use super::error::IndexError;
use super::location;
use super::unpacked::{self, Unpacked};

#[derive(Debug)]
pub(crate) struct Index {
    pub(super) engine: Engine,
    pub(super) messages: Tree,
    pub(super) contents: Tree,
    pub(super) blob: BlobFile,
    pub(super) unpacked: Unpacked,
    pub(super) summaries: Tree,
    pub(super) senders: Tree,
    pub(super) cursors: Tree,
    pub(super) domains: Tree,
    pub(super) erased: Tree,
    pub(super) age: Tree,
    pub(super) trailer: Tree,
    pub(super) sends: Mutex<BTreeMap<u64, Tree>>,
    file: File,
}

pub(super) const SENDS_PREFIX: &str = "sends-";
/// sled is given a part of the budget: it counts a page's bytes on disk, which are half of those in
/// memory, and sees a page only after some further accesses. Unpacked chunks take as much again.
const CACHE_PART: u64 = 4;
/// sled divides it by 256, so less is useless.
const CACHE_BYTES_MIN: u64 = 1 << 20;

impl Index {
    /// Opens the index at `path`, or creates it.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        location::make(path)?;
        let blob = BlobFile::open(path)?;
        guarded(|| Self::with_blob(path, blob, cache_bytes))
    }

    /// Opens a copy of sled's files with the blob file of the index `of`, read-only.
    pub(super) fn open_copy(path: &Path, of: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let blob = BlobFile::open_to_read(of)?;
        guarded(|| Self::with_blob(path, blob, cache_bytes))
    }

    fn with_blob(path: &Path, blob: BlobFile, cache_bytes: u64) -> Result<Self, IndexError> {
        let cache_bytes = cache_bytes / CACHE_PART;
        let engine = Engine::open(path, cache_bytes.max(CACHE_BYTES_MIN))?;
        let mut sends = BTreeMap::new();
        for name in engine.tree_names() {
            if let Some(Ok(day)) = name.strip_prefix(SENDS_PREFIX).map(str::parse) {
                sends.insert(day, engine.tree(&name)?);
            }
        }
        Ok(Self {
            messages: engine.tree("messages")?,
            contents: engine.tree("contents")?,
            blob,
            unpacked: unpacked::cache(cache_bytes),
            summaries: engine.tree("summaries")?,
            senders: engine.tree("senders")?,
            cursors: engine.tree("cursors")?,
            domains: engine.tree("domains")?,
            erased: engine.tree("erased")?,
            age: engine.tree("age")?,
            trailer: engine.tree("trailer")?,
            sends: Mutex::new(sends),
            file: File::open(path.join("db"))?,
            engine,
        })
    }

    /// Reads from it; a panic over damaged bytes is an error.
    pub(crate) fn read<'i, T>(
        &'i self,
        work: impl FnOnce(&'i Self) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        guarded(|| work(self))
    }

    pub(crate) fn close(self) -> Result<(), IndexError> {
        guarded(|| {
            drop(self);
            Ok(())
        })
    }

    /// Makes all writes durable. sled's own flush starts the writing, but waits for no disk.
    pub(crate) fn sync(&self) -> Result<(), IndexError> {
        // First the targets of sled's references.
        self.blob.sync()?;
        self.engine.flush()?;
        Ok(self.file.sync_data()?)
    }

    pub(crate) fn blob_bytes(&self) -> u64 {
        self.blob.bytes()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.cursors.is_empty() && self.domains.is_empty()
    }

    /// Makes every value of a tree unreadable, as damage would.
    #[cfg(test)]
    pub(crate) fn spoil(&self, tree: &str) {
        let tree = self.engine.tree(tree).expect("sled is whole");
        for entry in tree.iter() {
            let (key, _) = entry.expect("sled is whole");
            tree.insert(key, vec![0xff_u8; 40]).expect("sled is whole");
        }
    }

    /// Removes the first entry of a tree, as damage would.
    #[cfg(test)]
    pub(crate) fn lose_first_of(&self, tree: &str) {
        let tree = self.engine.tree(tree).expect("sled is whole");
        let first = tree.iter().next().expect("the tree is not empty");
        let (key, _) = first.expect("sled is whole");
        tree.remove(key).expect("sled is whole");
    }

    pub(super) fn sends_tree(&self, day: u64) -> Option<Tree> {
        let sends = self.sends.lock();
        sends.get(&day).cloned()
    }
}

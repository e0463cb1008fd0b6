//! The open index: sled's trees and the blob file beside them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sled::{Db, Tree};

use super::blob::BlobFile;
use super::error::{IndexError, guarded};
use super::location;
use super::unpacked::Unpacked;

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) db: Db,
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
    pub(super) sends: Mutex<BTreeMap<u64, Tree>>,
    file: File,
}

/// How long an index that was closed may still be locked: sled gives its lock up in threads of
/// its own. Nobody else can have it, as the data directory is ours.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(5);
const LOCKED: &str = "could not acquire lock";
const LOCKED_PAUSE: Duration = Duration::from_millis(1);

fn open_sled(config: &sled::Config) -> Result<Db, IndexError> {
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(error)
                if error.to_string().contains(LOCKED) && begun.elapsed() < UNLOCKED_WITHIN =>
            {
                std::thread::sleep(LOCKED_PAUSE);
            }
            opened => return Ok(opened?),
        }
    }
}

pub(super) const SENDS_PREFIX: &str = "sends-";
/// sled counts a page's bytes on disk, of which it takes twice as many in memory, and looks
/// at a page for the first time after some accesses more: so it is given a part of what it
/// may take. Unpacked chunks take as much beside it.
const CACHE_PART: u64 = 4;
/// Less makes no sense: sled divides it by 256.
const CACHE_BYTES_MIN: u64 = 1 << 20;

impl Index {
    /// Opens or makes the index that is (or is to be) at `path`.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(|| {
            location::make(path)?;
            Self::with_blob(path, BlobFile::open(path)?, cache_bytes)
        })
    }

    /// Opens a copy of sled's files, beside the blob file of the index `of`, only to read.
    pub(super) fn open_copy(path: &Path, of: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(|| Self::with_blob(path, BlobFile::open_to_read(of)?, cache_bytes))
    }

    fn with_blob(path: &Path, blob: BlobFile, cache_bytes: u64) -> Result<Self, IndexError> {
        let db = open_sled(&Self::config(path, cache_bytes))?;
        let mut sends = BTreeMap::new();
        for name in db.tree_names() {
            let name = String::from_utf8_lossy(&name).into_owned();
            if let Some(Ok(day)) = name.strip_prefix(SENDS_PREFIX).map(str::parse) {
                sends.insert(day, db.open_tree(&name)?);
            }
        }
        let index = Self {
            messages: db.open_tree("messages")?,
            contents: db.open_tree("contents")?,
            blob,
            unpacked: Unpacked::new(cache_bytes / CACHE_PART),
            summaries: db.open_tree("summaries")?,
            senders: db.open_tree("senders")?,
            cursors: db.open_tree("cursors")?,
            domains: db.open_tree("domains")?,
            erased: db.open_tree("erased")?,
            age: db.open_tree("age")?,
            sends: Mutex::new(sends),
            file: File::open(path.join("db"))?,
            db,
        };
        Ok(index)
    }

    fn config(path: &Path, cache_bytes: u64) -> sled::Config {
        sled::Config::new()
            .path(path)
            .cache_capacity((cache_bytes / CACHE_PART).max(CACHE_BYTES_MIN))
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None)
    }

    /// Makes what was written durable. sled's flush alone is not: it starts the
    /// writing, but waits for no disk.
    pub(crate) fn sync(&self) -> Result<(), IndexError> {
        // First what sled's values refer to.
        self.blob.sync()?;
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// How many bytes its blob file has.
    pub(crate) fn blob_bytes(&self) -> u64 {
        self.blob.bytes()
    }

    /// Whether nothing was ever written into it.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.cursors.is_empty() && self.domains.is_empty()
    }

    /// Makes every value of a tree unreadable, as damage would.
    #[cfg(test)]
    pub(crate) fn spoil(&self, tree: &str) {
        let tree = self.db.open_tree(tree).expect("sled is whole");
        for entry in &tree {
            let (key, _) = entry.expect("sled is whole");
            tree.insert(key, vec![0xff_u8; 40]).expect("sled is whole");
        }
    }

    /// Removes the first entry of a tree, as damage would.
    #[cfg(test)]
    pub(crate) fn lose_first_of(&self, tree: &str) {
        let tree = self.db.open_tree(tree).expect("sled is whole");
        let lost = tree.pop_min().expect("sled is whole");
        assert!(lost.is_some(), "the tree is not empty");
    }

    pub(super) fn sends_tree(&self, day: u64) -> Option<Tree> {
        let sends = self.sends.lock();
        sends.get(&day).cloned()
    }
}

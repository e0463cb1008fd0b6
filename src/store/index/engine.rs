//! sled, and all that is known of it: how it is opened, what its errors mean, and that it panics
//! over a damaged file.

use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::IndexError;

/// How long a closed database may stay locked: sled releases its lock in threads of its own. No
/// other process can hold it, since the data directory is locked.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(5);
const LOCKED: &str = "could not acquire lock";
const LOCKED_PAUSE: Duration = Duration::from_millis(1);

/// A key or a value.
pub(super) type Bytes = sled::IVec;

#[derive(Debug)]
pub(super) struct Engine(sled::Db);

#[derive(Debug, Clone)]
pub(super) struct Tree(sled::Tree);

/// Entries of a tree in key order.
pub(super) struct Entries(sled::Iter);

/// Catches panics of sled, which it raises over damaged files.
pub(crate) fn guarded<T, E: From<IndexError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(IndexError::Panicked.into()))
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => {
                Self::Damaged(error.to_string())
            }
            sled::Error::Io(error) => error.into(),
            _ => Self::Engine(error.to_string()),
        }
    }
}

fn call<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    guarded(|| Ok(work()?))
}

impl Engine {
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let begun = Instant::now();
        loop {
            match call(|| config.open()) {
                Err(IndexError::Engine(error))
                    if error.contains(LOCKED) && begun.elapsed() < UNLOCKED_WITHIN =>
                {
                    std::thread::sleep(LOCKED_PAUSE);
                }
                opened => return opened.map(Self),
            }
        }
    }

    pub(super) fn tree(&self, name: &str) -> Result<Tree, IndexError> {
        call(|| self.0.open_tree(name)).map(Tree)
    }

    pub(super) fn tree_names(&self) -> impl Iterator<Item = String> {
        let names = self.0.tree_names().into_iter();
        names.map(|name| String::from_utf8_lossy(&name).into_owned())
    }

    pub(super) fn drop_tree(&self, name: &str) -> Result<(), IndexError> {
        call(|| self.0.drop_tree(name)).map(drop)
    }

    /// Hands dirty pages to the system. Does not wait for the disk.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        call(|| self.0.flush()).map(drop)
    }
}

impl Tree {
    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, IndexError> {
        call(|| self.0.get(key))
    }

    /// Returns the previous value.
    pub(super) fn insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
    ) -> Result<Option<Bytes>, IndexError> {
        call(|| self.0.insert(key, value))
    }

    pub(super) fn remove(&self, key: impl AsRef<[u8]>) -> Result<(), IndexError> {
        call(|| self.0.remove(key)).map(drop)
    }

    /// Replaces `others` by one entry, atomically.
    pub(super) fn replace<'a>(
        &self,
        others: impl Iterator<Item = &'a Bytes>,
        key: Vec<u8>,
        value: Vec<u8>,
    ) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        others.for_each(|other| batch.remove(other));
        batch.insert(key, value);
        call(|| self.0.apply_batch(batch))
    }

    pub(super) fn range(&self, keys: impl RangeBounds<Vec<u8>>) -> Entries {
        Entries(self.0.range(keys))
    }

    pub(super) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        Entries(self.0.scan_prefix(prefix))
    }

    pub(super) fn iter(&self) -> Entries {
        Entries(self.0.iter())
    }

    pub(super) fn count(&self) -> Result<u64, IndexError> {
        self.iter()
            .try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Iterator for Entries {
    type Item = Result<(Bytes, Bytes), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        call(|| self.0.next().transpose()).transpose()
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        call(|| self.0.next_back().transpose()).transpose()
    }
}

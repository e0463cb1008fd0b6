//! The index: the ordered tree by (domain, user, id) that queues and history scan.
//!
//! Holds nothing that is not in the journal too, and can be thrown away at any time.
//! Only the checkpoint writes it; everybody reads it.
//!
//! Trees: `messages` (mailbox, first id → chunk of messages), `contents` (domain, first id → what messages share),
//! `summaries` (mailbox, first id → senders of so many
//! messages), `senders` (mailbox, sender, first id → chunk of ids), `cursors`, `domains`,
//! `erased` (mailbox → up to which id), `sends-<day>` (the ids of sends, by UTC day of the id),
//! `age` (how far age time is).
//!
//! Invariants: within a mailbox, positions count from 0 without gaps, and so they do for
//! each sender in it; no value is longer than a few KiB.

mod age;
mod apply;
mod chunk;
mod contents;
mod copy;
mod heap;
mod key;
mod messages;
mod packing;
pub(super) mod place;
mod read;
mod scratch;
mod search;
mod sender;
mod senders;
mod small;
mod state;
mod unpacked;
mod varint;
mod verify;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heap::Heap;
use sled::{Db, Tree};
use unpacked::Unpacked;

pub(super) use apply::syncing;
pub(super) use copy::{Found, Kept};
pub(super) use scratch::Scratch;
pub use scratch::Scratches;
pub(super) use small::day;
pub(super) use state::IndexState;

use super::api::{AppendError, ReadError};
use super::files::OutOfSpace;

/// Why the index did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum IndexError {
    /// sled says no.
    #[error("{0}")]
    Sled(String),
    /// A stored value is not what it must be.
    #[error("{0}")]
    Damaged(String),
    /// It came with a copy of the data directory, and each of its files is of another moment.
    #[error("it was copied file by file")]
    Copied,
    /// There is no room to write it. What is durable of it is right.
    #[error("{0}")]
    OutOfSpace(String),
    /// sled gave up in a panic.
    #[error("the index panicked")]
    Panicked,
    /// Whoever wanted something of it wants it no more.
    #[error("the store is closing")]
    Stopped,
}

impl OutOfSpace for IndexError {
    fn is_out_of_space(&self) -> bool {
        matches!(self, Self::OutOfSpace(_))
    }
}

impl IndexError {
    fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => {
                Self::Damaged(error.to_string())
            }
            sled::Error::Io(error) => error.into(),
            _ => Self::Sled(error.to_string()),
        }
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        match error.is_out_of_space() {
            true => Self::OutOfSpace(error.to_string()),
            false => Self::Sled(error.to_string()),
        }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Damaged(what) => Self::Damaged(what),
            _ => Self::Index(error.to_string()),
        }
    }
}

impl From<IndexError> for AppendError {
    fn from(error: IndexError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Runs `work`, in which sled may panic over a damaged file.
pub(super) fn guarded<T, E: From<IndexError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(IndexError::Panicked.into()))
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    db: Db,
    messages: Tree,
    contents: Tree,
    heap: Heap,
    unpacked: Unpacked,
    summaries: Tree,
    senders: Tree,
    cursors: Tree,
    domains: Tree,
    erased: Tree,
    age: Tree,
    sends: Mutex<BTreeMap<u64, Tree>>,
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

const SENDS_PREFIX: &str = "sends-";
/// sled counts a page's bytes on disk, of which it takes twice as many in memory, and looks
/// at a page for the first time after some accesses more: so it is given a part of what it
/// may take. Unpacked chunks take as much beside it.
const CACHE_PART: u64 = 4;
/// Less makes no sense: sled divides it by 256.
const CACHE_BYTES_MIN: u64 = 1 << 20;

impl Index {
    /// Opens or makes the index that is (or is to be) at `path`.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(|| {
            place::make(path)?;
            Self::with_heap(path, Heap::open(path)?, cache_bytes)
        })
    }

    /// Opens a copy of sled's files, beside the heap of the index `of`, only to read.
    fn open_copy(path: &Path, of: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(|| Self::with_heap(path, Heap::open_to_read(of)?, cache_bytes))
    }

    fn with_heap(path: &Path, heap: Heap, cache_bytes: u64) -> Result<Self, IndexError> {
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
            heap,
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
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        // First what sled's values refer to.
        self.heap.sync()?;
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// How many bytes its heap has.
    pub(super) fn heap_bytes(&self) -> u64 {
        self.heap.bytes()
    }

    /// Whether nothing was ever written into it.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.cursors.is_empty() && self.domains.is_empty()
    }

    /// Makes every value of a tree unreadable, as damage would.
    #[cfg(test)]
    pub(super) fn spoil(&self, tree: &str) {
        let tree = self.db.open_tree(tree).expect("sled is whole");
        for entry in &tree {
            let (key, _) = entry.expect("sled is whole");
            tree.insert(key, vec![0xff_u8; 40]).expect("sled is whole");
        }
    }

    /// Removes the first entry of a tree, as damage would.
    #[cfg(test)]
    pub(super) fn lose_first_of(&self, tree: &str) {
        let tree = self.db.open_tree(tree).expect("sled is whole");
        let lost = tree.pop_min().expect("sled is whole");
        assert!(lost.is_some(), "the tree is not empty");
    }

    fn sends_tree(&self, day: u64) -> Option<Tree> {
        let sends = self.sends.lock().unwrap_or_else(PoisonError::into_inner);
        sends.get(&day).cloned()
    }
}

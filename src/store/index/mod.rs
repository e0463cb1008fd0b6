//! The index: the ordered tree by (domain, user, id) that queues and history scan.
//!
//! Holds nothing that is not in the journal too, and can be thrown away at any time.
//! Only the checkpoint writes it; everybody reads it.
//!
//! Trees: `messages` (mailbox, first id → chunk of messages), `parts` (pieces of chunks
//! that are too long for one value), `senders` (mailbox, sender, first id → chunk of
//! ids), `cursors`, `domains`,
//! `erased` (mailbox → up to which id), `sends-<day>` (the ids of sends, by UTC day of the id).
//!
//! Invariants: within a mailbox, positions count from 0 without gaps, and so they do for
//! each sender in it; no value is longer than a few KiB.

mod apply;
mod chunk;
mod key;
mod read;
mod search;
mod small;
mod state;
mod verify;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use sled::{Db, Tree};

pub(super) use small::day;
pub(super) use state::IndexState;

use super::api::{AppendError, ReadError};

/// Why the index did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum IndexError {
    /// sled says no.
    #[error("{0}")]
    Sled(String),
    /// A stored value is not what it must be.
    #[error("{0}")]
    Damaged(String),
    /// sled gave up in a panic.
    #[error("the index panicked")]
    Panicked,
}

impl IndexError {
    fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error.to_string())
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        Self::Sled(error.to_string())
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Damaged(what) => Self::Damaged(what),
            IndexError::Sled(_) | IndexError::Panicked => Self::Index(error.to_string()),
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
    parts: Tree,
    senders: Tree,
    cursors: Tree,
    domains: Tree,
    erased: Tree,
    sends: Mutex<BTreeMap<u64, Tree>>,
    file: File,
}

const SENDS_PREFIX: &str = "sends-";

impl Index {
    /// Opens or makes the index in `dir`, where its own directory `db` stands.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(|| {
            let path = path(dir);
            let db = sled::Config::new()
                .path(&path)
                .cache_capacity(cache_bytes)
                .mode(sled::Mode::HighThroughput)
                .flush_every_ms(None)
                .open()?;
            let mut sends = BTreeMap::new();
            for name in db.tree_names() {
                let name = String::from_utf8_lossy(&name).into_owned();
                if let Some(Ok(day)) = name.strip_prefix(SENDS_PREFIX).map(str::parse) {
                    sends.insert(day, db.open_tree(&name)?);
                }
            }
            let index = Self {
                messages: db.open_tree("messages")?,
                parts: db.open_tree("parts")?,
                senders: db.open_tree("senders")?,
                cursors: db.open_tree("cursors")?,
                domains: db.open_tree("domains")?,
                erased: db.open_tree("erased")?,
                sends: Mutex::new(sends),
                file: File::open(path.join("db"))?,
                db,
            };
            make_private(&path)?;
            Ok(index)
        })
    }

    /// Makes what was written durable. sled's flush alone is not: it starts the
    /// writing, but waits for no disk.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Whether nothing was ever written into it.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.cursors.is_empty() && self.domains.is_empty()
    }

    fn sends_tree(&self, day: u64) -> Option<Tree> {
        let sends = self.sends.lock().unwrap_or_else(PoisonError::into_inner);
        sends.get(&day).cloned()
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("db")
}

fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Makes the files of a closed index durable, and answers a number that changes when
/// one of them does: it tells at the next open whether they are still the same.
pub(super) fn seal(dir: &Path) -> io::Result<u64> {
    for file in files(&path(dir))? {
        File::open(file)?.sync_all()?;
    }
    File::open(path(dir))?.sync_all()?;
    File::open(dir)?.sync_all()?;
    fingerprint(dir)
}

/// The number that `seal` answered, if nothing was changed since.
pub(super) fn fingerprint(dir: &Path) -> io::Result<u64> {
    let mut crc = 0;
    let mut bytes_total = 0;
    for file in files(&path(dir))? {
        let metadata = std::fs::metadata(&file)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
        let modified_ns = modified.map_or(0, |since| since.as_nanos());
        let line = format!("{:?} {} {modified_ns}\n", file.file_name(), metadata.len());
        crc = crc32c::crc32c_append(crc, line.as_bytes());
        bytes_total += metadata.len();
    }
    Ok(u64::from(crc) << 32 | (bytes_total & 0xffff_ffff))
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![path.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Moves a broken index aside as `db.broken-<n>`; only the newest such one is kept.
pub(super) fn set_aside(dir: &Path) -> io::Result<()> {
    const BROKEN: &str = "db.broken-";
    let mut newest = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(Ok(number)) = name.strip_prefix(BROKEN).map(str::parse::<u64>) {
            newest = newest.max(number);
            // What stood in the index's place need not be a directory.
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
    }
    match std::fs::rename(path(dir), dir.join(format!("{BROKEN}{}", newest + 1))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

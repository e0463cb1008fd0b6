//! A private copy of an index to read from: sled writes to whatever it opens.
//!
//! Only sled's own files are copied, which are small; the blob file is read in place. The copy
//! holds signing keys, so none may stay behind: one that a killed process left is removed by the
//! next process that makes one, which recognises it by its lock (flock), not by a process id.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::database::Index;
use super::error::IndexError;
use super::{blob, location};
use crate::store::disk::try_lock;

const PREFIX: &str = "relaybox-index-";
/// Attempts to create a copy before others remove it.
const TRIES: u32 = 16;
/// Attempts to remove a copy that sled still writes to.
const REMOVALS: u32 = 16;

/// The copies that a command makes, one at a time.
#[derive(Debug, Default)]
pub struct Scratches {
    /// The current copy.
    dir: Mutex<Option<PathBuf>>,
}

impl Scratches {
    /// Removes the copy before the process exits. Anyone who uses or makes one afterwards blocks
    /// until then.
    pub fn end(&self) {
        let mut dir = self.dir.lock();
        if let Some(dir) = dir.take() {
            remove(&dir);
        }
        std::mem::forget(dir);
    }

    /// An empty directory that nobody removes while the returned file is open.
    fn make(&self, within: &Path) -> io::Result<(PathBuf, File)> {
        let mut slot = self.dir.lock();
        for _ in 0..TRIES {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let nanos = since.unwrap_or_default().as_nanos();
            let dir = within.join(format!("{PREFIX}{}-{nanos}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&dir) {
                // Possibly planted.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            if let Some(held) = locked(&dir) {
                *slot = Some(dir.clone());
                return Ok((dir, held));
            }
        }
        Err(io::Error::other("others remove what is made there"))
    }
}

/// `None` if the directory is gone or belongs to another process.
fn locked(dir: &Path) -> Option<File> {
    let file = File::open(dir).ok()?;
    // Without locks nobody removes what is unlocked.
    try_lock(&file).ok()??;
    let (held, found) = (file.metadata().ok()?, fs::metadata(dir).ok()?);
    ((held.dev(), held.ino()) == (found.dev(), found.ino())).then_some(file)
}

/// Removes copies of this user that no process holds.
fn remove_abandoned(within: &Path) {
    let entries = fs::read_dir(within).into_iter().flatten().flatten();
    for entry in entries {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let mut how = OpenOptions::new();
        let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
        let Ok(dir) = how.read(true).custom_flags(flags.cast_signed()).open(&path) else {
            continue;
        };
        let is_mine = dir
            .metadata()
            .is_ok_and(|found| found.uid() == geteuid().as_raw());
        if is_mine && matches!(try_lock(&dir), Ok(Some(true))) {
            remove(&path);
        }
    }
}

fn remove(dir: &Path) {
    for _ in 0..REMOVALS {
        match fs::remove_dir_all(dir) {
            // sled may create files at any time.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = dir.display();
                tracing::debug!(%path, %error, "a copy of the index stays");
                return;
            }
            _ => return,
        }
    }
}

/// A copy, removed on drop.
pub(crate) struct Scratch<'a> {
    of: PathBuf,
    dir: PathBuf,
    scratches: &'a Scratches,
    /// Marks the copy as in use.
    _lock: File,
}

impl<'a> Scratch<'a> {
    /// Copies the index at `path` to `TMPDIR`.
    pub(crate) fn of(path: &Path, scratches: &'a Scratches) -> io::Result<Self> {
        let within = std::env::temp_dir();
        remove_abandoned(&within);
        let (dir, lock) = scratches.make(&within)?;
        let scratch = Self {
            of: path.to_owned(),
            dir,
            scratches,
            _lock: lock,
        };
        let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
        for file in location::files(path)? {
            let inside = file.strip_prefix(path).map_err(io::Error::other)?;
            if inside == Path::new(blob::NAME) {
                continue;
            }
            let to = scratch.dir.join(inside);
            to.parent().map_or(Ok(()), make)?;
            fs::copy(&file, &to)?;
        }
        Ok(scratch)
    }

    pub(crate) fn open(&self, cache_bytes: u64) -> Result<Index, IndexError> {
        Index::open_copy(&self.dir, &self.of, cache_bytes)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let mut slot = self.scratches.dir.lock();
        if let Some(dir) = slot.take() {
            remove(&dir);
        }
    }
}

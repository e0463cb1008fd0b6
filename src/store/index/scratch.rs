//! A private copy of an index, to read from: sled writes into what it opens, also where nothing
//! is changed.
//!
//! Only sled's own files are copied, which are small beside the heap; that one is read in its place.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Index, IndexError, heap, place};

/// The copy; it goes away with this.
pub(in crate::store) struct Scratch {
    of: PathBuf,
    dir: PathBuf,
}

impl Scratch {
    /// Copies the index at `path` into the directory for temporary files (`TMPDIR`).
    pub(in crate::store) fn of(path: &Path) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since.unwrap_or_default().as_nanos();
        let name = format!("relaybox-index-{}-{nanos}", std::process::id());
        let scratch = Self {
            of: path.to_owned(),
            dir: std::env::temp_dir().join(name),
        };
        let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
        // Not one that somebody has put there.
        DirBuilder::new().mode(0o700).create(&scratch.dir)?;
        for file in place::files(path)? {
            let inside = file.strip_prefix(path).map_err(io::Error::other)?;
            if inside == Path::new(heap::NAME) {
                continue;
            }
            let to = scratch.dir.join(inside);
            to.parent().map_or(Ok(()), make)?;
            fs::copy(&file, &to)?;
        }
        Ok(scratch)
    }

    /// Opens it.
    pub(in crate::store) fn open(&self, cache_bytes: u64) -> Result<Index, IndexError> {
        Index::open_copy(&self.dir, &self.of, cache_bytes)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            let path = self.dir.display();
            tracing::debug!(%path, %error, "a copy of the index stays");
        }
    }
}

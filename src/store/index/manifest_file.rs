//! Reads and writes `db.state`, the file that holds the manifest.

use std::path::Path;

use super::manifest::Manifest;
use crate::store::api::{FileError, io_error};
use crate::store::disk::{FileIdentity, FileSystem, files};
use crate::store::memtable::Memtable;

/// Before a memtable goes into the index: from then on the index may hold fewer cursors
/// than its state says, as it does after a crash in the midst of it.
pub(crate) fn expect_fewer_cursors(
    files: &dyn FileSystem,
    dir: &Path,
    memtable: &Memtable,
    state: &Manifest,
) -> std::io::Result<()> {
    let dropped = memtable.dropped_cursors();
    if dropped == 0 {
        return Ok(());
    }
    let mut fewer = state.clone();
    fewer.small.cursors = fewer.small.cursors.saturating_sub(dropped);
    save(files, dir, &fewer)
}

/// Writes the index's state, and with it what the file is known by that holds it.
pub(crate) fn save(files: &dyn FileSystem, dir: &Path, state: &Manifest) -> std::io::Result<()> {
    files::replace_by(files, dir, Manifest::FILE, |identity| {
        state.encode(identity)
    })
}

/// An index's state as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) state: Manifest,
    pub(crate) origin: Origin,
}

/// Whether the file is the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is, moved perhaps, or copied with all of its file system.
    Original,
    /// It is another one: the directory was copied file by file, each at another moment.
    Copy,
    /// Nothing tells: the file system does not, or it was written by an earlier version.
    Unknown,
}

/// Reads the index's state; `None` where there is none, or none that is right.
pub(crate) fn load(files: &dyn FileSystem, dir: &Path) -> Result<Option<Loaded>, FileError> {
    let path = dir.join(Manifest::FILE);
    let bytes = files.read(&path).map_err(io_error("cannot read", &path))?;
    let decoded = bytes.and_then(|bytes| Manifest::decode(&bytes));
    Ok(decoded.map(|(state, noted)| Loaded {
        state,
        origin: match noted {
            FileIdentity::Unknown => Origin::Unknown,
            noted if noted.is_still(files.identity(&path)) => Origin::Original,
            _ => Origin::Copy,
        },
    }))
}

//! Reads and writes `db.state`, the file that holds the manifest.

use std::path::Path;

use super::manifest::Manifest;
use crate::store::api::{FileError, io_error};
use crate::store::disk::{FileIdentity, FileSystem, files};
use crate::store::memtable::Memtable;

/// Lowers the count of cursors before a memtable that drops cursors is written: after a crash in
/// between the index may hold fewer.
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

/// Writes the manifest together with the identity of its own file.
pub(crate) fn save(files: &dyn FileSystem, dir: &Path, state: &Manifest) -> std::io::Result<()> {
    files::replace_by(files, dir, Manifest::FILE, |identity| {
        state.encode(identity)
    })
}

#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) state: Manifest,
    pub(crate) origin: Origin,
}

/// Whether the file is where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Possibly moved, or copied with its whole file system.
    Original,
    /// The directory was copied file by file, each at another moment.
    Copy,
    /// The file system has no identities, or an earlier version wrote the file.
    Unknown,
}

/// `None` if there is no valid manifest.
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

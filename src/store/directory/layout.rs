//! The layout of the data directory: names of files, and its version.

use std::path::{Path, PathBuf};

use crate::store::api::{FileError, OpenError, io_error};
use crate::store::disk::{FileSystem, files};
use crate::store::journal::{Position, segments};

/// The version of the layout.
const VERSION_NUMBER: u32 = 1;
pub(crate) const VERSION: &str = "VERSION";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const JOURNAL: &str = "journal";
/// Settings, if the operator put them there.
pub(crate) const SETTINGS: &str = "relaybox.toml";
/// Marks a compaction that is due.
pub(crate) const COMPACTION_DUE: &str = "sweep.due";
/// The journal of an unfinished restore: while it exists, the directory is incomplete.
pub(crate) const RESTORING: &str = "journal.restoring";

/// Refuses a directory that this program may not open; whether it has a version.
pub(crate) fn prepare(files: &dyn FileSystem, dir: &Path) -> Result<bool, OpenError> {
    if dir.join(RESTORING).exists() {
        return Err(OpenError::HalfRestored(dir.to_owned()));
    }
    check_version(files, dir)
}

/// Refuses what is no data directory of a known version.
pub(crate) fn known(files: &dyn FileSystem, dir: &Path) -> Result<(), OpenError> {
    refuse_other(dir)?;
    let journal = dir.join(JOURNAL);
    // Without the version its segments say what it is.
    if prepare(files, dir)? || (journal.is_dir() && !segments(files, &journal)?.is_empty()) {
        return Ok(());
    }
    Err(OpenError::Missing(dir.to_owned()))
}

/// Writes the version, after the first segment: a directory with a version and no segment has lost
/// it, and one with neither is new.
pub(crate) fn put_version(files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
    let text = format!("{VERSION_NUMBER}\n");
    put(files, dir, VERSION, text.as_bytes())
}

/// Whether the directory has a version; an error if it is unknown. Zeros behind it are padding.
pub(crate) fn check_version(files: &dyn FileSystem, dir: &Path) -> Result<bool, OpenError> {
    let Some(found) = read(files, dir, VERSION)? else {
        return Ok(false);
    };
    let text = without_padding(&found).trim_ascii();
    if text.is_empty() {
        return Ok(false);
    }
    let number = std::str::from_utf8(text).ok();
    match number.and_then(|number| number.parse().ok()) {
        Some(VERSION_NUMBER) => Ok(true),
        Some(found) if found > VERSION_NUMBER => Err(OpenError::TooNew {
            found,
            known: VERSION_NUMBER,
        }),
        _ => {
            let what = "it does not hold a version";
            Err(FileError::damaged(dir.join(VERSION), 0, what).into())
        }
    }
}

/// Strips the zeros that tools which copy in blocks leave at the end.
pub(crate) fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0);
    bytes.get(..end.map_or(0, |at| at + 1)).unwrap_or_default()
}

/// Reads a small file; `None` if there is none.
pub(crate) fn read(
    files: &dyn FileSystem,
    dir: &Path,
    name: &str,
) -> Result<Option<Vec<u8>>, FileError> {
    let path = dir.join(name);
    files.read(&path).map_err(io_error("cannot read", &path))
}

/// Replaces a small file.
pub(crate) fn put(
    files: &dyn FileSystem,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), FileError> {
    files::replace(files, dir, name, bytes).map_err(io_error("cannot write", &dir.join(name)))
}

/// Refuses a path that leads to something else than a directory.
pub(crate) fn refuse_other(dir: &Path) -> Result<(), OpenError> {
    let what = match std::fs::metadata(dir) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "it is a file",
        Err(_) if dir.is_symlink() => "it is a link that leads nowhere",
        // It will be created, or opening it says what is wrong.
        Err(_) => return Ok(()),
    };
    Err(OpenError::NoDirectory {
        path: dir.to_owned(),
        what,
    })
}

/// An error: the journal does not begin with the first frame.
pub(crate) fn astray(journal: PathBuf) -> FileError {
    let what = format!("it does not begin with frame {}", Position::START.sequence);
    FileError::damaged(journal, 0, what)
}

pub(crate) const ASIDE: &str = "journal.damaged-";

/// Whether an entry of a data directory is what a repair set aside.
pub(crate) fn is_aside(name: &str) -> bool {
    name.starts_with(ASIDE)
}

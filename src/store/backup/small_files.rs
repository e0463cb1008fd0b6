//! The small files that go along with a journal.

use std::path::Path;

use crate::store::api::{FileError, io_error};
use crate::store::directory::layout;
use crate::store::disk::FileSystem;

/// Copies a small file, or removes it where there is none any more.
pub(super) fn take_along(
    files: &dyn FileSystem,
    dir: &Path,
    dest: &Path,
    name: &str,
) -> Result<(), FileError> {
    let there = layout::read(files, dest, name)?;
    match layout::read(files, dir, name)? {
        bytes if bytes == there => Ok(()),
        Some(bytes) => layout::put(files, dest, name, &bytes),
        None => remove(files, dest, name),
    }
}

pub(super) fn remove(files: &dyn FileSystem, dest: &Path, name: &str) -> Result<(), FileError> {
    let path = dest.join(name);
    let removed = files.remove(&path).and_then(|()| files.sync_dir(dest));
    removed.map_err(io_error("cannot remove", &path))
}

//! Where indexes live: `db/<number>/` in the data directory.
//!
//! The manifest names the current one. Any other is being built or on its way out, and may be
//! removed once nobody has it open. So one small write swaps an index for another.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Removing a large file frees this much at a time, with a pause.
const SHRINK_BYTES: u64 = 4 << 20;
const SHRINK_PAUSE: Duration = Duration::from_millis(2);
const PARENT: &str = "db";
const BROKEN: &str = "db.broken-";

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(PARENT).join(number.to_string())
}

/// An unused number.
pub(crate) fn free_number(dir: &Path) -> io::Result<u64> {
    let taken = numbers(dir)?.into_iter();
    Ok(taken.max().unwrap_or(0).saturating_add(1))
}

/// All numbers in use.
pub(crate) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let names = entries(&dir.join(PARENT))?.into_iter();
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// Creates the directory of an index, private, with its parents.
pub(super) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

pub(crate) fn remove_all_but(dir: &Path, number: u64) -> io::Result<()> {
    let parent = dir.join(PARENT);
    for name in entries(&parent)? {
        if name != number.to_string() {
            remove(&parent.join(name))?;
        }
    }
    Ok(())
}

/// Renames all indexes to `db.broken-<n>`. Only the newest of these is kept.
pub(crate) fn set_aside(dir: &Path) -> io::Result<()> {
    let newest = remove_broken(dir)?;
    match std::fs::rename(
        dir.join(PARENT),
        dir.join(format!("{BROKEN}{}", newest + 1)),
    ) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes all `db.broken-<n>`. Returns the highest `<n>`.
pub(crate) fn remove_broken(dir: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for name in entries(dir)? {
        if let Some(Ok(number)) = name.strip_prefix(BROKEN).map(str::parse::<u64>) {
            newest = newest.max(number);
            remove(&dir.join(name))?;
        }
    }
    Ok(newest)
}

/// Syncs the files of a closed index and returns their fingerprint, which changes with any of them.
pub(crate) fn seal(path: &Path) -> io::Result<u64> {
    for file in files(path)? {
        File::open(file)?.sync_all()?;
    }
    for dir in path.ancestors().take(3) {
        File::open(dir)?.sync_all()?;
    }
    fingerprint(path)
}

/// Equal to the result of `seal` if nothing has changed since.
pub(crate) fn fingerprint(path: &Path) -> io::Result<u64> {
    let mut crc = 0;
    let mut bytes_total = 0;
    for file in files(path)? {
        let metadata = std::fs::metadata(&file)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
        let modified_ns = modified.map_or(0, |since| since.as_nanos());
        let line = format!("{:?} {} {modified_ns}\n", file.file_name(), metadata.len());
        crc = crc32c::crc32c_append(crc, line.as_bytes());
        bytes_total += metadata.len();
    }
    Ok(u64::from(crc) << 32 | (bytes_total & 0xffff_ffff))
}

/// Changes the fingerprint, durably.
pub(crate) fn unseal(path: &Path) -> io::Result<()> {
    for file in files(path)? {
        let file = File::options().write(true).open(file)?;
        file.set_modified(SystemTime::now())?;
        file.sync_all()?;
    }
    Ok(())
}

pub(crate) fn bytes(path: &Path) -> io::Result<u64> {
    let sizes = files(path)?.into_iter();
    sizes.map(|file| Ok(std::fs::metadata(file)?.len())).sum()
}

/// The names in a directory, none if it does not exist.
fn entries(dir: &Path) -> io::Result<Vec<String>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let found = match std::fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    found
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The path need not be a directory.
fn remove(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.is_dir() {
        return std::fs::remove_file(path);
    }
    for file in files(path)? {
        shrink(&file)?;
    }
    std::fs::remove_dir_all(path)
}

/// Frees the space of a file step by step: a file system that frees it at once delays other syncs.
fn shrink(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        // sled removes files in threads of its own.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut bytes = found.len();
    // The target of a link is left alone.
    if !found.is_file() || bytes <= SHRINK_BYTES {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    while bytes > SHRINK_BYTES {
        bytes -= SHRINK_BYTES;
        // With an exhausted btrfs quota it can only be removed; otherwise that fails too.
        if file.set_len(bytes).is_err() {
            break;
        }
        std::thread::sleep(SHRINK_PAUSE);
    }
    Ok(())
}

pub(super) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
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

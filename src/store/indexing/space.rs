//! How much disk space a memtable needs before it may be written into the index.

use std::path::Path;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use crate::store::disk::{FileSystem, INDEX_FACTOR, Lent, Reserve, WRITE_FILES};
use crate::store::index::location;

/// Space to leave free beside what a memtable takes.
const FREE_BYTES_MARGIN: u64 = 8 << 20;
/// The same when the reserve has to provide it.
const FREE_BYTES_MIN: u64 = 2 << 20;
/// Free space required before a memtable of this size is written.
pub(crate) const fn needed_bytes(bytes: usize) -> u64 {
    FREE_BYTES_MARGIN + INDEX_FACTOR * bytes as u64
}

/// Refuses a memtable of this size if writing it might fill the disk and leave the index broken.
pub(crate) fn check_space(files: &dyn FileSystem, dir: &Path, bytes: usize) -> std::io::Result<()> {
    files.check_space(dir, needed_bytes(bytes), WRITE_FILES)
}

/// The largest memtable that fits under RLIMIT_FSIZE: the index at `path` is mostly one file. A
/// margin is kept for what `is_needed`.
pub(crate) fn file_space(path: &Path, is_needed: bool) -> std::io::Result<usize> {
    let Some(most) = getrlimit(Resource::Fsize).current else {
        return Ok(usize::MAX);
    };
    let kept_bytes = match is_needed {
        true => 0,
        false => FREE_BYTES_MARGIN,
    };
    let left_bytes = most.saturating_sub(location::bytes(path)? + kept_bytes);
    Ok(usize::try_from(left_bytes / INDEX_FACTOR).unwrap_or(usize::MAX))
}

/// Makes sure that a memtable of this size and its files can be written, lending from the reserve
/// if necessary.
pub(crate) fn space_for(
    reserve: &Arc<Reserve>,
    bytes: usize,
    needed_files: u64,
) -> std::io::Result<Option<Lent>> {
    let checked = reserve.check_space(needed_bytes(bytes), needed_files);
    if checked.is_ok() {
        return Ok(None);
    }
    let needed_bytes = FREE_BYTES_MIN + INDEX_FACTOR * bytes as u64;
    let lent = reserve.lend(needed_bytes, needed_files);
    reserve.check_space(needed_bytes, needed_files)?;
    Ok(Some(lent))
}

/// Size at which a flush is due: half of the maximum. The more messages of a mailbox are written at
/// once, the less is written for each.
pub(crate) fn flush_bytes(memtable_bytes_max: usize) -> usize {
    (memtable_bytes_max / 2).max(1)
}

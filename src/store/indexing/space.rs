//! How much disk space a memtable needs before it may be written into the index.

use std::path::Path;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use crate::store::disk::{FileSystem, INDEX_FACTOR, Lent, Reserve, WRITE_FILES};
use crate::store::index::location;

/// Space that writing a memtable leaves free beside what it may take itself.
const FREE_BYTES_MARGIN: u64 = 8 << 20;
/// The same where what is kept back has to do.
const FREE_BYTES_MIN: u64 = 2 << 20;
/// Space that is free before so many bytes of a memtable go into the index.
pub(crate) const fn needed_bytes(bytes: usize) -> u64 {
    FREE_BYTES_MARGIN + INDEX_FACTOR * bytes as u64
}

/// Refuses to write what takes so many bytes in memory where it might fill the disk in the midst of
/// it, and leave the index broken.
pub(crate) fn check_space(files: &dyn FileSystem, dir: &Path, bytes: usize) -> std::io::Result<()> {
    files.check_space(dir, needed_bytes(bytes), WRITE_FILES)
}

/// Most bytes in memory that go into the index at `path`, where files may become only so large
/// (RLIMIT_FSIZE): it has most of what it has in one. As of a disk, a part is kept back, for what
/// `is_needed`.
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

/// Makes sure that what takes so many bytes in memory, and so many files, can be written, by the
/// reserve where that is what it takes.
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

/// Bytes of a memtable at which a flush is due: half of what it may hold. The more of a mailbox goes
/// into the index at once, the less is written for each message.
pub(crate) fn flush_bytes(memtable_bytes_max: usize) -> usize {
    (memtable_bytes_max / 2).max(1)
}

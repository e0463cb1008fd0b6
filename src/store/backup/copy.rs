//! Copies segments and small files, and compares a copy with its segment.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use crate::store::api::{FileError, io_error};
use crate::store::directory::layout;
use crate::store::disk::FileSystem;
use crate::store::journal::{Event, Position, Scanner, Unpacker, bad_in_sealed, follows, list};

/// Copied and synced at once, so that no backlog of writes delays a running server's commits.
const PIECE_BYTES: usize = 1 << 20;

/// Copies a segment and reports progress to `each`; returns the bytes copied.
///
/// `end`: the uncompressed bytes to copy of the open segment. If it was sealed and rewritten
/// meanwhile, all of it is copied.
pub(super) fn copy(
    files: &dyn FileSystem,
    from: &Path,
    to: &Path,
    end: Option<u64>,
    each: &mut dyn FnMut(u64),
) -> Result<u64, FileError> {
    let source = File::open(from).map_err(io_error("cannot read", from))?;
    let found = source.metadata().map_err(io_error("cannot read", from))?;
    let header = *Scanner::open(files, from)?.header();
    let mut how = OpenOptions::new();
    how.write(true).create(true).truncate(true).mode(0o600);
    let target = how.open(to).map_err(io_error("cannot create", to))?;
    let (mut reader, size): (Box<dyn Read>, u64) = match end {
        Some(end) if header.rewritten_to.is_none() => {
            let bytes = source.try_clone().map(|source| Box::new(source) as _);
            let bytes = bytes.and_then(Unpacker::new);
            (Box::new(bytes.map_err(io_error("cannot read", from))?), end)
        }
        _ => (Box::new(&source), found.len()),
    };
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut left = size;
    while left > 0 {
        piece.clear();
        let wanted = left.min(PIECE_BYTES as u64);
        let read = (&mut reader).take(wanted).read_to_end(&mut piece);
        read.map_err(io_error("cannot read", from))?;
        if piece.is_empty() {
            break;
        }
        (&target)
            .write_all(&piece)
            .and_then(|()| target.sync_data())
            .map_err(io_error("cannot write", to))?;
        left -= piece.len() as u64;
        each(piece.len() as u64);
    }
    let whole = size == found.len() && left == 0;
    finish(&source, &target, &found, whole).map_err(io_error("cannot write", to))?;
    Ok(size - left)
}

/// Gives a whole copy the time of its source, by which the next backup recognises it. Drops both
/// from the page cache: the copy is read back from the disk, and the server's files stay cached.
fn finish(source: &File, target: &File, found: &Metadata, whole: bool) -> io::Result<()> {
    if whole {
        target.set_modified(found.modified()?)?;
    }
    target.sync_all()?;
    for file in [source, target] {
        if let Err(error) = fadvise(file, 0, None, Advice::DontNeed) {
            tracing::debug!(%error, "a copied file stays in memory");
        }
    }
    Ok(())
}

/// The size of a file.
pub(super) fn size_of(path: &Path) -> Result<u64, FileError> {
    let found = std::fs::metadata(path).map_err(io_error("cannot read", path))?;
    Ok(found.len())
}

/// Whether a copy is up to date: same size, time and header.
pub(super) fn is_same(files: &dyn FileSystem, from: &Path, to: &Path, end: Option<u64>) -> bool {
    let (Ok(source), Ok(copy)) = (std::fs::metadata(from), std::fs::metadata(to)) else {
        return false;
    };
    let copied_bytes = copy.len();
    let times = source.modified().ok().zip(copy.modified().ok());
    if source.len() != copied_bytes || times.is_none_or(|(source, copy)| source != copy) {
        return false;
    }
    let (Ok(source), Ok(copy)) = (Scanner::open(files, from), Scanner::open(files, to)) else {
        return false;
    };
    let sealed = source.is_compressed();
    let same = source.header() == copy.header() && sealed == copy.is_compressed();
    // The open segment counts up to `end`.
    same && (sealed || end.is_none_or(|end| end == copied_bytes))
}

/// Copies a small file, or removes the copy of one that is gone.
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

/// The end of a stopped server's journal, before a torn tail.
pub(super) fn end(files: &dyn FileSystem, journal: &Path) -> Result<Position, FileError> {
    let names = list(files, journal)?;
    let Some(name) = names.last() else {
        return Err(FileError::damaged(journal, 0, "its segments are missing"));
    };
    let path = name.path(journal);
    let mut scanner = Scanner::open(files, &path)?;
    let mut end = Position {
        segment: name.number,
        ..scanner.end()
    };
    let is_sealed = scanner.is_compressed();
    loop {
        match scanner.next() {
            Event::Frame(_, frame) | Event::Void(_, frame) => end = end.behind(&frame),
            Event::Stuck(_, Some(source)) => return Err(io_error("cannot read", &path)(source)),
            Event::Stuck(_, None) => scanner.expect(end.sequence),
            // The walk over the copy could not tell this from a torn tail.
            Event::Damage { found, .. } => {
                let what = follows(end.sequence, found);
                return Err(scanner.damaged(end.offset, what));
            }
            // A sealed segment has no torn tail.
            Event::Torn { .. } if is_sealed => {
                return Err(scanner.damaged(end.offset, bad_in_sealed(end.sequence)));
            }
            Event::Torn { .. } => return Ok(end),
            Event::End => {
                let next = scanner.header().rewritten_to;
                end.sequence = end.sequence.max(next.unwrap_or_default());
                return Ok(end);
            }
        }
    }
}

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

/// Copied at once, and made durable: no flood of writes piles up before the disk that a
/// running server's commits would have to wait behind.
const PIECE_BYTES: usize = 1 << 20;

/// Copies a segment; answers how many bytes that were. `each` is told of them on the way.
///
/// `end`: of the last segment, which may be written on, only so many uncompressed bytes count. If it
/// was rewritten meanwhile, it is sealed, and all of it is copied.
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

/// A copy of a whole file has its time, by which the next backup knows it. And what is read
/// back comes from the disk, while what the server uses keeps its place in memory.
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

/// The bytes of a file.
pub(super) fn size_of(path: &Path) -> Result<u64, FileError> {
    let found = std::fs::metadata(path).map_err(io_error("cannot read", path))?;
    Ok(found.len())
}

/// Whether a copy is what another copy would be: same size, time and header.
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
    // What is still written on is whole only up to the end that counts now.
    same && (sealed || end.is_none_or(|end| end == copied_bytes))
}

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

/// The end of the journal of a stopped server, before what a crash may have torn.
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
            // Whether what is behind it is only torn, the walk over the copy would not know.
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

//! Carries out a repair.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::plan::{Made, Plan, plan};
use super::scan::{Candidate, Loss, open, readable};
use crate::store::api::{FileError, OpenError, io_error};
use crate::store::check::Progress;
use crate::store::directory::{ASIDE, Mark, hold, layout};
use crate::store::disk::{
    FileSystem, FileWriter, OutOfSpace as _, RealFileSystem, Reserve, ReservingFileSystem, files,
};
use crate::store::index::{Manifest, Origin, manifest_file};
use crate::store::journal::{
    Event, FrameBuffer, Packer, TEMPORARY, clear, is_compressed, segments,
};

/// The most that a directory or a small file takes.
const SMALL_BYTES: u64 = 16 << 10;

/// The outcome of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The directory of the damaged files; `None` if none was touched.
    pub aside: Option<PathBuf>,
    /// The number of files in it.
    pub files: u64,
    /// What is lost.
    pub losses: Vec<Loss>,
}

/// Repairs the journal of a stopped data directory or of a backup. On a full disk it uses the
/// reserve.
///
/// # Errors
/// The directory is in use, of an unknown version, unreadable as a whole, or without room, or a file
/// operation failed; a repair that was cut short can be repeated.
pub fn repair(dir: &Path, progress: Progress<'_>) -> Result<Repaired, OpenError> {
    let mut files: Arc<dyn FileSystem> = Arc::new(RealFileSystem);
    layout::known(files.as_ref(), dir)?;
    let _held = hold::hold(dir)?;
    let reserve = Reserve::left_in(dir, files.clone());
    // Refilled at the end, as far as there is room.
    let _lent = reserve.as_ref().map(|reserve| reserve.lend(0, 0));
    if let Some(reserve) = &reserve {
        files = Arc::new(ReservingFileSystem(reserve.clone()));
    }
    let files = files.as_ref();
    let journal = dir.join(layout::JOURNAL);
    clear(files, &journal)?;
    let names = segments(files, &journal)?;
    let mut candidates = Vec::new();
    for (done, name) in (1..).zip(&names) {
        candidates.extend(Candidate::of(files, &journal, *name));
        progress(done, names.len() as u64);
    }
    if candidates.is_empty() {
        let what = "nothing of it can be read: only a backup can help";
        return Err(FileError::damaged(journal, 0, what).into());
    }
    // Only the index can tell of a lost end; a copy's index may be newer than its journal.
    let index = manifest_file::load(files, dir)?.filter(|index| index.origin != Origin::Copy);
    let plan = plan(&names, candidates, index.as_ref());
    let aside = (!plan.is_empty()).then(|| make_aside(files, dir, &plan));
    let aside = aside.transpose()?;
    // A backup no longer holds what it says.
    Mark::forget(files, dir)?;
    // From here on the index counts for nothing.
    let state = dir.join(Manifest::FILE);
    files
        .remove(&state)
        .and_then(|()| files.sync_dir(dir))
        .map_err(io_error("cannot remove", &state))?;
    if let Some(aside) = &aside {
        change_places(files, &journal, aside, &plan)?;
    }
    Ok(Repaired {
        aside,
        files: plan.aside.len() as u64,
        losses: plan.losses,
    })
}

/// Writes the new segments into the directory for what is set aside. Changes nothing else.
fn make_aside(files: &dyn FileSystem, dir: &Path, plan: &Plan) -> Result<PathBuf, OpenError> {
    let names = files.list(dir).map_err(io_error("cannot list", dir))?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix(ASIDE));
    let numbers = numbers.filter_map(|number| number.parse::<u64>().ok());
    let number = numbers.max().unwrap_or(0).saturating_add(1);
    let aside = dir.join(format!("{ASIDE}{number}"));
    let making = dir.join(format!("{ASIDE}{number}{TEMPORARY}"));
    let journal = dir.join(layout::JOURNAL);
    // Left by an interrupted repair.
    remove(&making)?;
    let made = make_all(files, &journal, &making, plan);
    let placed = made.and_then(|()| {
        let placed = files.rename(&making, &aside);
        placed
            .and_then(|()| files.sync_dir(dir))
            .map_err(io_error("cannot create", &aside))
    });
    let Err(error) = placed else {
        return Ok(aside);
    };
    remove(&making)?;
    match error {
        FileError::Io { source, .. } if source.is_out_of_space() => {
            let (bytes, files) = room(&journal, plan);
            let dir = dir.to_owned();
            Err(OpenError::NoRoom {
                dir,
                bytes,
                files,
                source,
            })
        }
        error => Err(error.into()),
    }
}

fn make_all(
    files: &dyn FileSystem,
    journal: &Path,
    to: &Path,
    plan: &Plan,
) -> Result<(), FileError> {
    files
        .create_dir(to)
        .map_err(io_error("cannot create", to))?;
    for made in &plan.made {
        let path = made.name.path(to);
        make(files, journal, to, made).map_err(io_error("cannot write", &path))?;
    }
    Ok(())
}

/// The most bytes and files that the plan takes.
fn room(journal: &Path, plan: &Plan) -> (u64, usize) {
    let bytes = |made: &Made| {
        let source = made.source.map(|source| fs::metadata(source.path(journal)));
        let bytes = source.map_or(0, |found| found.map_or(0, |found| found.len()));
        // Compressed, or as good as that.
        bytes + bytes / 64 + SMALL_BYTES
    };
    let sum: u64 = plan.made.iter().map(bytes).sum();
    (sum + 3 * SMALL_BYTES, plan.made.len() + 2)
}

/// Removes a directory that nothing relies on yet.
fn remove(making: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("cannot remove", making)(error))
        }
        _ => Ok(()),
    }
}

/// Exchanges the new segments and those that are set aside.
fn change_places(
    files: &dyn FileSystem,
    journal: &Path,
    aside: &Path,
    plan: &Plan,
) -> Result<(), FileError> {
    let made: Vec<_> = plan.made.iter().map(|made| made.name).collect();
    for name in &made {
        let (new, original) = (name.path(aside), name.path(journal));
        let placed = match plan.aside.contains(name) {
            true => exchange(files, &new, &original),
            false => files.rename(&new, &original),
        };
        placed.map_err(io_error("cannot write", &original))?;
    }
    for name in plan.aside.iter().filter(|name| !made.contains(name)) {
        let original = name.path(journal);
        let moved = files.rename(&original, &name.path(aside));
        moved.map_err(io_error("cannot set aside", &original))?;
    }
    for changed in [aside, journal] {
        let synced = files.sync_dir(changed);
        synced.map_err(io_error("cannot write in", changed))?;
    }
    Ok(())
}

/// Exchanges a new file and the one in its place.
fn exchange(files: &dyn FileSystem, new: &Path, original: &Path) -> io::Result<()> {
    match files.exchange(new, original) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => replace(files, new, original),
        exchanged => exchanged,
    }
}

/// As [`exchange`], on file systems that cannot do it atomically.
fn replace(files: &dyn FileSystem, new: &Path, original: &Path) -> io::Result<()> {
    let kept = new.with_extension("kept");
    keep(files, original, &kept)?;
    if let Some(aside) = kept.parent() {
        files.sync_dir(aside)?;
    }
    files.rename(new, original)?;
    files.rename(&kept, new)
}

/// Keeps a file under a second name: a link if it is sealed, or else a copy, since an open segment
/// with two names is refused, also by the next repair.
fn keep(files: &dyn FileSystem, from: &Path, to: &Path) -> io::Result<()> {
    if is_compressed(files, from)? && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut copy = FileWriter::new(files.create(to)?);
    io::copy(&mut files.read_on(from)?, &mut copy)?;
    copy.sync_data()
}

/// Makes a sealed segment of what can be read of its source, or an empty one.
fn make(files: &dyn FileSystem, journal: &Path, to: &Path, made: &Made) -> io::Result<()> {
    let header = made.header;
    let Some(end) = header.rewritten_to else {
        return files::replace(files, to, &made.name.file_name(), &header.encode());
    };
    let mut packer = Packer::begin(files, to, made.name)?;
    packer.write_all(&header.encode())?;
    let mut sequence = header.first_sequence;
    let source = made.source.and_then(|name| open(files, journal, name));
    if let Some((mut scanner, _)) = source {
        let mut buffer = FrameBuffer::default();
        let mut expected = scanner.expected();
        loop {
            let frame = match scanner.next() {
                Event::Frame(_, frame) if (expected..end).contains(&frame.sequence) => frame,
                Event::End => break,
                _ => continue,
            };
            expected = frame.sequence.saturating_add(1);
            buffer.clear();
            for (record, _) in readable(&frame).0 {
                buffer.push(|out| out.extend_from_slice(record));
            }
            if !buffer.is_empty() {
                packer.write_all(buffer.seal(header.generation, sequence))?;
                sequence += 1;
            }
        }
    }
    packer.finish()?.put_in_place(&made.name.path(to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::journal::{SegmentName, ZSTD_MAGIC};

    #[test]
    fn a_repair_that_ends_behind_any_file_set_aside_can_be_done_again() {
        for put in [exchange, replace] {
            let dir = tempfile::tempdir().unwrap();
            let [journal, aside] = [layout::JOURNAL, "aside"].map(|name| dir.path().join(name));
            fs::create_dir(&journal).unwrap();
            fs::create_dir(&aside).unwrap();
            let sealed = ZSTD_MAGIC.as_slice();
            for (number, bytes) in (1..).zip([sealed, b"rbxJRNL\n", b"", b"rbxJRNL\nmore"]) {
                let name = SegmentName {
                    number,
                    first_id: number,
                };
                let (new, original) = (name.path(&aside), name.path(&journal));
                fs::write(&original, bytes).unwrap();
                fs::write(&new, "new").unwrap();
                let kept = aside.join("kept");
                keep(&RealFileSystem, &original, &kept).unwrap();
                assert_eq!(fs::read(&kept).unwrap(), bytes);
                let fit = || {
                    hold::refuse_links(dir.path()).unwrap();
                    drop(hold::hold(dir.path()).unwrap());
                };
                fit();
                fs::remove_file(&kept).unwrap();
                put(&RealFileSystem, &new, &original).unwrap();
                assert_eq!(fs::read(&new).unwrap(), bytes);
                assert_eq!(fs::read(&original).unwrap(), b"new");
                fit();
            }
            assert_eq!(fs::read_dir(&aside).unwrap().count(), 4);
        }
    }
}

//! Validates the target of a backup before anything is written to it.
//!
//! It must be empty or an earlier state of the same data directory: a backup never overwrites what
//! could be somebody's only copy.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use crate::store::api::{FileError, OpenError, io_error};
use crate::store::directory::{BACKUP, Mark, hold, is_aside, layout};
use crate::store::disk::FileSystem;
use crate::store::journal::{
    Event, Position, Scanner, SegmentHeader, SegmentName, TEMPORARY, clear, segments,
};

/// Refuses an unfit place; returns the mark of the backup that is there.
pub(super) fn judge(
    files: &dyn FileSystem,
    dir: &Path,
    dest: &Path,
    names: &[SegmentName],
    end: Position,
) -> Result<Mark, BackupError> {
    if resolve(dest)?.starts_with(resolve(dir)?) {
        return Err(BackupError::Inside {
            dest: dest.to_owned(),
            dir: dir.to_owned(),
        });
    }
    let mark = match Mark::read(files, dest) {
        // The next run mends it.
        Err(FileError::Damaged(_)) => Some(Mark::default()),
        read => read?,
    };
    for entry in entries(files, dest)? {
        let known = [
            layout::VERSION,
            layout::SETTINGS,
            layout::COMPACTION_DUE,
            BACKUP,
        ];
        let known = known.contains(&entry.trim_end_matches(TEMPORARY))
            || entry == layout::JOURNAL
            || is_aside(&entry);
        // A new file system has the one, and a first run that is killed at once leaves the other.
        let nothing = entry == "lost+found" || entry == format!("{BACKUP}{TEMPORARY}");
        if !nothing && (!known || mark.is_none()) {
            return Err(BackupError::Occupied {
                dest: dest.to_owned(),
                entry,
            });
        }
    }
    let Some(mark) = mark else {
        return Ok(Mark::default());
    };
    match is_another(files, dir, dest, mark, names, end)? {
        Some(why) => Err(BackupError::Another {
            dest: dest.to_owned(),
            dir: dir.to_owned(),
            why,
        }),
        None => Ok(mark),
    }
}

/// Why the backup is not an earlier state of the data directory, if it is not.
fn is_another(
    files: &dyn FileSystem,
    dir: &Path,
    dest: &Path,
    mark: Mark,
    names: &[SegmentName],
    end: Position,
) -> Result<Option<String>, OpenError> {
    layout::check_version(files, dest)?;
    let (journal, copies) = (dir.join(layout::JOURNAL), dest.join(layout::JOURNAL));
    if !copies.exists() {
        return Ok(None);
    }
    for copy in segments(files, &copies)? {
        let number = copy.number;
        let Some(name) = names.iter().find(|name| name.number == number) else {
            let why = format!("it has a segment {number}, and the data directory has none");
            return Ok(Some(why));
        };
        let why = compare(files, *name, &name.path(&journal), &copy.path(&copies))?;
        if why.is_some() {
            return Ok(why);
        }
    }
    let reached = mark.sequence;
    let why = format!(
        "it holds everything before frame {reached}, and the data directory ends before \
         frame {}",
        end.sequence
    );
    Ok((reached > end.sequence).then_some(why))
}

/// Creates the directories, locks them, and marks the backup as incomplete.
pub(super) fn begin(
    files: &dyn FileSystem,
    dest: &Path,
    mark: Mark,
) -> Result<Vec<File>, BackupError> {
    let journal = dest.join(layout::JOURNAL);
    files
        .create_dir(dest)
        .map_err(io_error("cannot create", dest))?;
    let held = hold::hold(dest)?;
    let mark = Mark {
        complete: false,
        ..mark
    };
    mark.write(files, dest)?;
    files
        .create_dir(&journal)
        .and_then(|()| files.sync_dir(dest))
        .map_err(io_error("cannot create", &journal))?;
    clear(files, &journal)?;
    Ok(held)
}

/// Why a copy is not an earlier state of the segment `name`, if it is not. A damaged copy passes:
/// it is made again.
fn compare(
    files: &dyn FileSystem,
    name: SegmentName,
    segment: &Path,
    copy: &Path,
) -> Result<Option<String>, FileError> {
    let parted = || {
        let number = name.number;
        format!("its segment {number} is not that of the data directory")
    };
    let mut segment = Scanner::open(files, segment)?;
    let Ok(mut copy) = Scanner::open(files, copy) else {
        return Ok(None);
    };
    let (now, then) = (*segment.header(), *copy.header());
    if now.journal != then.journal {
        return Ok(Some("it is of another data directory".to_owned()));
    }
    // It may have been rewritten since.
    let same = now.generation == then.generation;
    let place = |header: SegmentHeader| (header.first_sequence, header.last_id);
    if place(now) != place(then) || !(same || now.rewritten_to.is_some()) {
        return Ok(Some(parted()));
    }
    if !same || copy.is_compressed() {
        return Ok(None);
    }
    // It was open then: the source must begin with the same frames.
    while let Event::Frame(_, then) = copy.next() {
        match segment.next() {
            Event::Frame(_, now) if now == then => {}
            // Copying it reports the error.
            Event::Stuck(_, Some(_)) => break,
            _ => return Ok(Some(parted())),
        }
    }
    Ok(None)
}

/// The names in a directory that may be missing.
pub(super) fn entries(files: &dyn FileSystem, dir: &Path) -> Result<Vec<String>, FileError> {
    match files.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(io_error("cannot list", dir)),
    }
}

/// Canonicalizes a path whose end may not exist yet.
fn resolve(path: &Path) -> Result<PathBuf, FileError> {
    let absolute = std::path::absolute(path).map_err(io_error("cannot resolve", path))?;
    let there = absolute.ancestors().find(|ancestor| ancestor.exists());
    let Some(there) = there else {
        return Ok(absolute);
    };
    let resolved = there
        .canonicalize()
        .map_err(io_error("cannot resolve", there))?;
    let rest = absolute.strip_prefix(there).unwrap_or(Path::new(""));
    Ok(resolved.join(rest))
}

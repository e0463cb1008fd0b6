//! Brings a backup up to date.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::copy;
use super::copy::{Part, copy, is_same};
use super::error::BackupError;
use super::small_files::{remove, take_along};
use super::target::BackupTarget;
use crate::model::MsgId;
use crate::store::api::{FileError, io_error};
use crate::store::check::{Next, Progress, Walk, known};
use crate::store::directory::{Mark, hold, layout};
use crate::store::disk::{FileSystem, RealFileSystem};
use crate::store::journal::{Position, SegmentName, TEMPORARY, header_of, list};

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Segments that were copied.
    pub copied: u64,
    /// Segments that were there already.
    pub kept: u64,
    /// Bytes that were copied.
    pub bytes: u64,
    /// Messages in the backup.
    pub messages: u64,
    /// The newest of them.
    pub newest: MsgId,
}

/// Brings the backup `dest` of the data directory `dir` up to date, or makes it. `end`: a
/// server runs on it, and its journal is durable up to there; without it the directory is
/// kept from others meanwhile.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(
    dir: &Path,
    end: Option<Position>,
    dest: &Path,
    progress: Progress<'_>,
) -> Result<Copied, BackupError> {
    let files = &RealFileSystem;
    known(files, dir)?;
    let _held = match end {
        Some(_) => None,
        None => Some(hold::hold(dir)?),
    };
    let journal = dir.join(layout::JOURNAL);
    let end = match end {
        Some(end) => end,
        None => copy::end(files, &journal)?,
    };
    // What was erased before that is either gone from the segments, or still to be removed.
    let due = layout::read(files, dir, layout::COMPACTION_DUE)?;
    let mut names = list(files, &journal)?;
    names.retain(|name| name.number <= end.segment);
    let target = BackupTarget::judge(files, dir, dest, &names, end)?;
    let _dest_held = target.begin(files)?;
    take_along(files, dir, dest, layout::VERSION)?;
    if let Some(due) = &due {
        layout::put(files, dest, layout::COMPACTION_DUE, due)?;
    }
    let mut run = BackupRun {
        files,
        from: &journal,
        to: dest.join(layout::JOURNAL),
        end,
        progress,
        done: 0,
        all: 0,
        copied: Copied {
            copied: 0,
            kept: 0,
            bytes: 0,
            messages: 0,
            newest: MsgId::ZERO,
        },
    };
    let walk = run.segments(&names)?;
    take_along(files, dir, dest, layout::SETTINGS)?;
    if due.is_none() {
        remove(files, dest, layout::COMPACTION_DUE)?;
    }
    Mark::complete(walk.report().end.sequence).write(files, dest)?;
    run.copied.messages = walk.report().messages;
    run.copied.newest = walk.report().newest;
    Ok(run.copied)
}

/// A backup on its way.
struct BackupRun<'a> {
    files: &'a dyn FileSystem,
    from: &'a Path,
    to: PathBuf,
    end: Position,
    progress: Progress<'a>,
    done: u64,
    all: u64,
    copied: Copied,
}

impl<'a> BackupRun<'a> {
    /// Brings all segments up to date; the walk over them that found them right.
    fn segments(&mut self, names: &[SegmentName]) -> Result<Walk<'a>, BackupError> {
        for name in names {
            let path = name.path(self.from);
            let metadata = fs::metadata(&path).map_err(io_error("cannot read", &path))?;
            self.all += metadata.len();
        }
        let mut walk = Walk::new(self.files);
        for (index, name) in names.iter().enumerate() {
            let next = match names.get(index + 1) {
                Some(next) => Next::Segment(header_of(self.files, self.from, *next)?),
                None => Next::Nothing,
            };
            walk = self.segment(walk, *name, &next)?;
        }
        if walk.report().end.sequence < self.end.sequence {
            let what = format!(
                "it ends before frame {}, but everything before frame {} was durable",
                walk.report().end.sequence,
                self.end.sequence
            );
            return Err(FileError::damaged(self.from, 0, what).into());
        }
        Ok(walk)
    }

    fn segment(
        &mut self,
        walk: Walk<'a>,
        name: SegmentName,
        next: &Next,
    ) -> Result<Walk<'a>, BackupError> {
        let (from, to) = (name.path(self.from), name.path(&self.to));
        let before = self.done;
        let size = fs::metadata(&from).map_err(io_error("cannot read", &from))?;
        let part = match next {
            Next::Nothing => Part::UpTo(self.end.offset),
            _ => Part::All,
        };
        if is_same(self.files, &from, &to, part) {
            let mut walked = walk.clone();
            walked.segment(name, &to, next);
            // A copy that has suffered is made again.
            if walked.report().damage.is_empty() {
                self.copied.kept += 1;
                self.done = before + size.len();
                (self.progress)(self.done, self.all);
                return Ok(walked);
            }
        }
        let temporary = self.to.join(format!("{}{TEMPORARY}", name.file_name()));
        let copied = self.copy_verified(walk, name, next, &temporary, part);
        if copied.is_err() {
            // The full disk gets its space back. If that fails, the next backup does it.
            let _ = fs::remove_file(&temporary);
        }
        let walk = copied?;
        self.put_in_place(name, &temporary)?;
        self.copied.copied += 1;
        self.done = before + size.len();
        (self.progress)(self.done, self.all);
        Ok(walk)
    }

    fn copy_verified(
        &mut self,
        mut walk: Walk<'a>,
        name: SegmentName,
        next: &Next,
        temporary: &Path,
        part: Part,
    ) -> Result<Walk<'a>, BackupError> {
        let from = name.path(self.from);
        let (done, all, progress) = (&mut self.done, self.all, self.progress);
        let bytes = copy(self.files, &from, temporary, part, &mut |bytes| {
            *done += bytes;
            progress((*done).min(all), all);
        })?;
        self.copied.bytes += bytes;
        walk.segment(name, temporary, next);
        match walk.report().damage.first() {
            Some(damage) => {
                let mut damage = damage.clone();
                damage.path = from;
                Err(BackupError::Damaged(damage))
            }
            None => Ok(walk),
        }
    }

    /// At any moment one file has the number, also where it had another name before.
    fn put_in_place(&self, name: SegmentName, temporary: &Path) -> Result<(), BackupError> {
        let path = name.path(&self.to);
        let rename = || -> io::Result<()> {
            let there = self.files.list(&self.to)?;
            let there = there.iter().filter_map(|entry| SegmentName::parse(entry));
            for other in there.filter(|other| other.number == name.number && *other != name) {
                self.files.rename(&other.path(&self.to), &path)?;
            }
            self.files.rename(temporary, &path)?;
            self.files.sync_dir(&self.to)
        };
        Ok(rename().map_err(io_error("cannot write", &path))?)
    }
}

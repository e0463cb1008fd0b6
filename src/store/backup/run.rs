//! Brings a backup up to date.

use std::io;
use std::path::{Path, PathBuf};

use super::copy;
use super::copy::{copy, is_same, remove, size_of, take_along};
use super::error::BackupError;
use super::target;
use crate::model::MsgId;
use crate::store::api::{Damage, FileError, OpenError, io_error};
use crate::store::check::{Next, Progress, Walk};
use crate::store::directory::{Mark, hold, layout};
use crate::store::disk::{FileSystem, RealFileSystem, Temporary};
use crate::store::journal::{Position, SegmentName, header_of, list};

/// The outcome of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Segments copied.
    pub copied: u64,
    /// Segments that were up to date.
    pub kept: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Messages in the backup.
    pub messages: u64,
    /// The newest of them.
    pub newest: MsgId,
}

/// Creates the backup `dest` of the data directory `dir`, or brings it up to date. `end`: where the
/// journal of a running server is durable up to; without it the directory is locked meanwhile.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(
    dir: &Path,
    end: Option<Position>,
    dest: &Path,
    progress: Progress<'_>,
) -> Result<Copied, BackupError> {
    run(dir, end, dest, progress).map_err(|error| match error {
        BackupError::Files(OpenError::File(FileError::Damaged(damage))) => {
            BackupError::Incomplete(damage)
        }
        error => error,
    })
}

fn run(
    dir: &Path,
    end: Option<Position>,
    dest: &Path,
    progress: Progress<'_>,
) -> Result<Copied, BackupError> {
    let files = &RealFileSystem;
    layout::known(files, dir)?;
    let _held = end.is_none().then(|| hold::hold(dir)).transpose()?;
    let journal = dir.join(layout::JOURNAL);
    let end = match end {
        Some(end) => end,
        None => copy::end(files, &journal)?,
    };
    // Read before the journal: what was erased by then is gone from it, or marked as due.
    let due = layout::read(files, dir, layout::COMPACTION_DUE)?;
    let mut names = list(files, &journal)?;
    names.retain(|name| name.number <= end.segment);
    let mark = target::judge(files, dir, dest, &names, end)?;
    let _dest_held = target::begin(files, dest, mark)?;
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
        copied: Copied::default(),
    };
    let walk = run.segments(&names)?;
    take_along(files, dir, dest, layout::SETTINGS)?;
    if due.is_none() {
        remove(files, dest, layout::COMPACTION_DUE)?;
    }
    let mark = Mark {
        complete: true,
        sequence: walk.report.end.sequence,
    };
    mark.write(files, dest)?;
    run.copied.messages = walk.report.messages;
    run.copied.newest = walk.report.newest;
    Ok(run.copied)
}

/// A backup in progress.
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
    /// Brings all segments up to date; returns the walk that verified them.
    fn segments(&mut self, names: &[SegmentName]) -> Result<Walk<'a>, BackupError> {
        for name in names {
            self.all += size_of(&name.path(self.from))?;
        }
        let mut walk = Walk::new(self.files);
        for (index, name) in names.iter().enumerate() {
            let next = match names.get(index + 1) {
                Some(next) => Next::Segment(header_of(self.files, self.from, *next)?),
                None => Next::Nothing,
            };
            walk = self.segment(walk, *name, &next)?;
        }
        if walk.report.end.sequence < self.end.sequence {
            let what = format!(
                "it ends before frame {}, but everything before frame {} was durable",
                walk.report.end.sequence, self.end.sequence
            );
            return Err(FileError::damaged(self.from, 0, what).into());
        }
        Ok(walk)
    }

    /// Brings one segment up to date; returns the walk behind it.
    fn segment(
        &mut self,
        walk: Walk<'a>,
        name: SegmentName,
        next: &Next,
    ) -> Result<Walk<'a>, BackupError> {
        let (from, to) = (name.path(self.from), name.path(&self.to));
        let done = self.done + size_of(&from)?;
        let end = matches!(next, Next::Nothing).then_some(self.end.offset);
        let kept = is_same(self.files, &from, &to, end).then(|| {
            let mut walked = walk.clone();
            walked.segment(name, &to, next);
            walked
        });
        // A damaged copy is made again.
        let walk = match kept.filter(|walked| walked.report.damage.is_empty()) {
            Some(walked) => {
                self.copied.kept += 1;
                walked
            }
            None => self.copy_verified(walk, name, next, end)?,
        };
        self.done = done;
        (self.progress)(self.done, self.all);
        Ok(walk)
    }

    fn copy_verified(
        &mut self,
        mut walk: Walk<'a>,
        name: SegmentName,
        next: &Next,
        end: Option<u64>,
    ) -> Result<Walk<'a>, BackupError> {
        let from = name.path(self.from);
        let temporary = Temporary::new(self.files, name.temporary(&self.to));
        let (done, all, progress) = (&mut self.done, self.all, self.progress);
        let bytes = copy(self.files, &from, &temporary.path, end, &mut |bytes| {
            *done += bytes;
            progress((*done).min(all), all);
        })?;
        self.copied.bytes += bytes;
        walk.segment(name, &temporary.path, next);
        if let Some(damage) = walk.report.damage.first().cloned() {
            let path = from;
            return Err(BackupError::Incomplete(Damage { path, ..damage }));
        }
        let path = name.path(&self.to);
        self.put_in_place(name, temporary)
            .map_err(io_error("cannot write", &path))?;
        self.copied.copied += 1;
        Ok(walk)
    }

    /// Keeps one file with the number at any moment, also if its name changes.
    fn put_in_place(&self, name: SegmentName, temporary: Temporary<'_>) -> io::Result<()> {
        let path = name.path(&self.to);
        let there = self.files.list(&self.to)?;
        let there = there.iter().filter_map(|entry| SegmentName::parse(entry));
        for other in there.filter(|other| other.number == name.number && *other != name) {
            self.files.rename(&other.path(&self.to), &path)?;
        }
        temporary.put_in_place(&path)
    }
}

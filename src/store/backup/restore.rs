//! Restores a backup, or a plain copy of a data directory, into a data directory.
//!
//! Invariants: nothing that exists is overwritten; while a restore runs, and after it was
//! interrupted, the presence of `journal.restoring` marks the directory as incomplete, and no
//! server serves it.

use std::fs;
use std::path::Path;

use super::copy::{copy, size_of, take_along};
use super::error::BackupError;
use super::target::entries;
use crate::model::MsgId;
use crate::store::api::{FileError, OpenError, io_error};
use crate::store::check::{CheckReport, Note, Progress, judge};
use crate::store::directory::{Hold, hold, layout};
use crate::store::disk::{FileSystem, RealFileSystem};
use crate::store::journal::{Scanner, segments};

/// The outcome of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Segments copied.
    pub segments: u64,
    /// Messages in them.
    pub messages: u64,
    /// The newest of them.
    pub newest: MsgId,
    /// Whether a settings file that differs from the backup's was kept.
    pub kept_settings: bool,
    /// Notes about the backup.
    pub notes: Vec<Note>,
}

/// Verifies the backup `src` and copies it into the new data directory `dir`, which may hold
/// settings.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(src: &Path, dir: &Path, progress: Progress<'_>) -> Result<Restored, BackupError> {
    let files = &RealFileSystem;
    match layout::known(files, src) {
        Err(OpenError::Missing(src)) => return Err(BackupError::NoBackup(src)),
        known => known?,
    }
    let _src_held = hold::hold(src)?;
    layout::refuse_other(dir)?;
    check_empty(files, dir)?;
    let bytes = |done: u64, all: u64| progress(done, 2 * all);
    let report = judge(files, src, None, &bytes, &|| false)?;
    if let Some(first) = report.damage.first() {
        return Err(BackupError::Damaged {
            places: report.damage.len() as u64 + report.more_damage,
            first: first.clone(),
        });
    }

    let restoring = dir.join(layout::RESTORING);
    files
        .create_dir(dir)
        .map_err(io_error("cannot create", dir))?;
    let held = Hold::take(dir).map_err(io_error("cannot lock", dir))?;
    let _held = held.ok_or_else(|| OpenError::InUse(dir.to_owned()))?;
    if restoring.exists() {
        // Unused copies of an interrupted restore.
        fs::remove_dir_all(&restoring).map_err(io_error("cannot remove", &restoring))?;
    }
    files
        .create_dir(&restoring)
        .and_then(|()| files.sync_dir(dir))
        .map_err(io_error("cannot create", &restoring))?;
    copy_journal(files, src, &restoring, &report, progress)?;
    for name in [layout::VERSION, layout::COMPACTION_DUE] {
        take_along(files, src, dir, name)?;
    }
    let settings = layout::read(files, dir, layout::SETTINGS)?;
    let of_backup = layout::read(files, src, layout::SETTINGS)?;
    let kept_settings = settings.is_some() && of_backup.is_some() && settings != of_backup;
    if settings.is_none() {
        take_along(files, src, dir, layout::SETTINGS)?;
    }
    // This makes it a data directory.
    let journal = dir.join(layout::JOURNAL);
    files
        .rename(&restoring, &journal)
        .and_then(|()| files.sync_dir(dir))
        .map_err(io_error("cannot write", &journal))?;
    Ok(Restored {
        segments: report.segments,
        messages: report.messages,
        newest: report.newest,
        kept_settings,
        notes: report.notes,
    })
}

/// Refuses a place that holds more than settings, or than the leftovers of an interrupted restore.
fn check_empty(files: &dyn FileSystem, dir: &Path) -> Result<(), BackupError> {
    let found = entries(files, dir)?;
    if found.iter().any(|entry| entry == layout::LOCK) {
        hold::hold(dir)?;
    }
    let again = found.iter().any(|entry| entry == layout::RESTORING);
    let ours = [
        layout::RESTORING,
        layout::LOCK,
        layout::VERSION,
        layout::SETTINGS,
        layout::COMPACTION_DUE,
    ];
    let fine = |entry: &str| {
        let name = entry.strip_suffix(".new").unwrap_or(entry);
        ["lost+found", layout::SETTINGS].contains(&entry) || (again && ours.contains(&name))
    };
    match found.into_iter().find(|entry| !fine(entry)) {
        Some(entry) => Err(BackupError::NotEmpty {
            dir: dir.to_owned(),
            entry,
        }),
        None => Ok(()),
    }
}

fn copy_journal(
    files: &dyn FileSystem,
    src: &Path,
    to: &Path,
    report: &CheckReport,
    progress: Progress<'_>,
) -> Result<(), FileError> {
    let from = src.join(layout::JOURNAL);
    let names = segments(files, &from)?;
    let mut all = 0;
    for name in &names {
        all += size_of(&name.path(&from))?;
    }
    let mut done = all;
    for name in &names {
        let (from, to) = (name.path(&from), name.path(to));
        let open =
            name.number == report.end.segment && !Scanner::open(files, &from)?.is_compressed();
        // Without a torn tail.
        let end = open.then_some(report.end.offset);
        copy(files, &from, &to, end, &mut |bytes| {
            done += bytes;
            progress(done.min(2 * all), 2 * all);
        })?;
    }
    files.sync_dir(to).map_err(io_error("cannot write in", to))
}

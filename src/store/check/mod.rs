//! Reads a whole data directory, or a backup, and says what is wrong with it.
//!
//! Invariants: all damage is named, not only the first; nothing of the journal is written;
//! memory for one segment at most, and only where it is damaged.

mod condition;
pub(super) mod segment;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use walk::{Next, Walk};

use super::api::OpenError;
use super::backup::Mark;
use super::files::{FileSystem, RealFileSystem};
use super::journal::{SegmentName, SegmentStream};
use super::layout::{self, io_error};
use crate::model::MsgId;

/// How far a journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEnd {
    /// The segment that is written on.
    pub segment: u64,
    /// Its bytes up to here.
    pub offset: u64,
    /// The sequence of the frame that comes next.
    pub sequence: u64,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {offset}: {what}", path.display())]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes; of a compressed segment, in its uncompressed ones.
    pub offset: u64,
    /// What was found.
    pub what: String,
}

/// In what condition the index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexCondition {
    /// Not looked at: a server is using it.
    InUse,
    /// There is none: it is made at the next start.
    Absent,
    /// It is right.
    Fit,
    /// It is made anew at the next start, for this reason.
    Unfit(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Segments that were read.
    pub segments: u64,
    /// Their frames.
    pub frames: u64,
    /// Messages in them.
    pub messages: u64,
    /// The highest id in them.
    pub newest: MsgId,
    /// Behind the last right frame.
    pub end: JournalEnd,
    /// Bytes behind it that a crash left: nobody was told of them, and the next start cuts
    /// them off.
    pub torn_bytes: u64,
    /// Of a backup: its last run was interrupted, and it holds less than it might.
    pub incomplete: bool,
    /// All that is wrong with the journal.
    pub damage: Vec<Damage>,
    /// What is wrong beyond that, and not in the list.
    pub more_damage: u64,
    /// The index.
    pub index: IndexCondition,
}

/// Tells how far a long work is, in bytes: what is done, and what there is in all.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// Reads every frame and record of a data directory or a backup. `end`: a server runs on it,
/// and its journal is durable up to there; without it, the directory is kept from others
/// meanwhile, and its index is looked at, too.
///
/// # Errors
/// It is in use, of a newer version, no data directory, or cannot be read. Damage is none.
pub fn check(
    dir: &Path,
    end: Option<JournalEnd>,
    cache_bytes: u64,
    progress: Progress<'_>,
) -> Result<CheckReport, OpenError> {
    let files = RealFileSystem;
    known(&files, dir)?;
    let held = match end {
        Some(_) => None,
        None => Some(layout::hold(dir)?),
    };
    let mut report = check_journal(&files, dir, end, progress)?;
    if let Some(mark) = Mark::read(&files, dir)? {
        report.incomplete = !mark.complete;
        if mark.sequence > report.end.sequence && report.damage.is_empty() {
            let what = format!(
                "it ends before frame {}, but the backup held everything before frame {}",
                report.end.sequence, mark.sequence
            );
            report.damage.push(Damage {
                path: dir.join(layout::JOURNAL),
                offset: 0,
                what,
            });
        }
    }
    if held.is_some() {
        condition::check_index(&files, dir, cache_bytes, &mut report)?;
    }
    Ok(report)
}

/// Refuses what is no data directory of a known version.
pub(super) fn known(files: &dyn FileSystem, dir: &Path) -> Result<(), OpenError> {
    if dir.join(layout::RESTORING).exists() {
        return Err(OpenError::HalfRestored(dir.to_owned()));
    }
    match layout::check_version(files, dir)? {
        true => Ok(()),
        false => Err(OpenError::Missing(dir.to_owned())),
    }
}

/// Reads the journal only.
pub(super) fn check_journal(
    files: &dyn FileSystem,
    dir: &Path,
    end: Option<JournalEnd>,
    progress: Progress<'_>,
) -> Result<CheckReport, OpenError> {
    let journal = dir.join(layout::JOURNAL);
    let mut names = segments(files, &journal)?;
    if let Some(end) = end {
        // Those behind it were begun since.
        names.retain(|name| name.number <= end.segment);
    }
    let sizes = sizes(&journal, &names)?;
    let all: u64 = sizes.iter().sum();
    let mut walk = Walk::new(files);
    walk.journal = mark(files, &journal, &names);
    if names.is_empty() {
        walk.damage(&journal, 0, "its segments are missing".to_owned());
    }
    let mut done = 0;
    for (index, name) in names.iter().enumerate() {
        let next = match names.get(index + 1) {
            None => Next::Nothing(end.map(|end| end.sequence)),
            Some(next) => Next::of(files, &journal, *next),
        };
        walk.segment(*name, &name.path(&journal), &next);
        done += sizes.get(index).copied().unwrap_or_default();
        progress(done, all);
    }
    let report = walk.finish();
    Ok(report)
}

/// All files with the name of a segment, in order.
pub(super) fn segments(
    files: &dyn FileSystem,
    journal: &Path,
) -> Result<Vec<SegmentName>, OpenError> {
    let names = files.list(journal);
    let names = names.map_err(io_error("cannot list", journal))?;
    let mut segments: Vec<_> = names.iter().filter_map(|n| SegmentName::parse(n)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The mark of the journal that most segments are of.
fn mark(files: &dyn FileSystem, journal: &Path, names: &[SegmentName]) -> Option<u32> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for name in names {
        if let Ok(stream) = SegmentStream::open(files, &name.path(journal)) {
            *counts.entry(stream.header().journal).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(journal, _)| journal)
}

fn sizes(journal: &Path, names: &[SegmentName]) -> Result<Vec<u64>, OpenError> {
    let size = |name: &SegmentName| {
        let path = name.path(journal);
        let metadata = std::fs::metadata(&path);
        Ok(metadata.map_err(io_error("cannot read", &path))?.len())
    };
    names.iter().map(size).collect()
}

impl Next {
    /// What is known of the next segment.
    fn of(files: &dyn FileSystem, journal: &Path, name: SegmentName) -> Self {
        match SegmentStream::open(files, &name.path(journal)) {
            Ok(stream) if stream.header().number == name.number => Self::Segment(*stream.header()),
            _ => Self::Unknown,
        }
    }
}

//! Reads a whole data directory, or a backup, and says what is wrong with it.
//!
//! Invariants: all damage is named, not only the first; nothing of the journal is written;
//! memory for one segment at most, and only where it is damaged.

mod condition;
mod note;
pub(super) mod segment;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use note::Note;
pub(super) use walk::{Next, Walk};

use super::api::OpenError;
use super::backup::Mark;
use super::files::{FileSystem, RealFileSystem};
use super::hold;
use super::index::Scratches;
use super::indexing::{self, Loaded, Origin};
use super::journal::{MARK_BYTES, SegmentName, SegmentStream};
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
    /// Not looked at, as there was no place for a copy of it, for this reason.
    Unseen(String),
    /// There is none: it is made at the next start.
    Absent,
    /// It came with a copy, and is not looked at: it is made anew at the next start.
    Copied,
    /// It is right.
    Fit,
    /// It is made anew at the next start, for this reason.
    Unfit(String),
    /// The same, where nothing tells whether it came with a copy: it may then be as it was copied.
    PerhapsCopied(String),
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
    /// Bytes behind it that a crash left.
    pub torn_bytes: u64,
    /// Whether the newest segment is one that nobody writes on any more.
    pub sealed: bool,
    /// What there is to know beside the damage.
    pub notes: Vec<Note>,
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
/// meanwhile, and its index is looked at, too, in a copy among `scratches`.
///
/// # Errors
/// It is in use, of a newer version, no data directory, or cannot be read. Damage is none.
pub fn check(
    dir: &Path,
    end: Option<JournalEnd>,
    cache_bytes: u64,
    scratches: &Scratches,
    progress: Progress<'_>,
) -> Result<CheckReport, OpenError> {
    let files = RealFileSystem;
    known(&files, dir)?;
    // States of a backup may share what nobody writes any more.
    if Mark::read(&files, dir)?.is_none() {
        hold::refuse_linked_segment(dir)?;
    }
    let held = match end {
        Some(_) => None,
        None => Some(hold::hold(dir)?),
    };
    let mut report = judge(&files, dir, end, progress, &|| false)?;
    if held.is_some() {
        condition::check_index(&files, dir, cache_bytes, scratches, &mut report)?;
    }
    Ok(report)
}

/// Reads the journal, and holds against it what else says how far it should reach. By what comes
/// of it `check` calls a directory whole, `restore` takes it, and a start makes its index of it:
/// so the three agree. `end` as for [`check`]; `stop` is asked at every segment.
///
/// # Errors
/// It cannot be read, or was stopped.
pub(super) fn judge(
    files: &dyn FileSystem,
    dir: &Path,
    end: Option<JournalEnd>,
    progress: Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<CheckReport, OpenError> {
    let mut report = check_journal(files, dir, end, progress, stop)?;
    if !layout::check_version(files, dir)? {
        report.notes.push(Note::NoVersion);
    }
    // What a running server writes on may have been sealed since.
    let sealed = report.sealed && end.is_none();
    match end_note(files, dir, report.end.sequence, sealed) {
        Ok(note) => report.notes.extend(note),
        Err(OpenError::Damaged { path, offset, what }) => {
            if report.damage.is_empty() {
                report.damage.push(Damage { path, offset, what });
            }
        }
        Err(error) => return Err(error),
    }
    let torn_bytes = report.torn_bytes;
    match indexing::load(files, dir)? {
        Some(found) if end.is_none() && report.damage.is_empty() && is_ahead(&report, &found) => {
            judge_ahead(&mut report, &found, dir);
        }
        _ if torn_bytes > 0 => report.notes.push(Note::Torn(torn_bytes)),
        _ => {}
    }
    Ok(report)
}

/// Whether an index has more than the journal beside which it stands.
fn is_ahead(report: &CheckReport, found: &Loaded) -> bool {
    let (end, index) = (report.end, found.state.position);
    // A frame without records says nothing but that it was the last one.
    let is_marked = index.segment == end.segment
        && index.sequence == end.sequence.saturating_add(1)
        && index.offset == end.offset.saturating_add(MARK_BYTES);
    !is_marked && (index.sequence > end.sequence || index.segment > end.segment)
}

/// Of the original that is damage: somebody was told of what is not there. A copy may have its
/// journal from before, and what may be one is not blamed.
fn judge_ahead(report: &mut CheckReport, found: &Loaded, dir: &Path) {
    let (end, index) = (report.end, found.state.position);
    let note = match found.origin {
        Origin::Original => {
            let what = format!(
                "the journal ends in segment {} before frame {}, but the index is in segment {} and \
                 has everything before frame {}: the newest messages are missing from the journal",
                end.segment, end.sequence, index.segment, index.sequence
            );
            let path = dir.join(layout::JOURNAL);
            return report.damage.push(Damage {
                path,
                offset: 0,
                what,
            });
        }
        // What is said of that says this, too.
        _ if report.sealed => return,
        Origin::Unknown => Note::IndexAhead {
            ends: end.sequence,
            indexed: index.sequence,
        },
        Origin::Copy if index.segment > end.segment || report.torn_bytes > 0 => Note::BreaksOff {
            segment: end.segment,
            ends: end.sequence,
            index_segment: index.segment,
            indexed: index.sequence,
        },
        Origin::Copy => Note::IndexCopiedLater,
    };
    report.notes.push(note);
}

/// What there is to know of the end of a journal that reaches up to the frame `reached`.
///
/// # Errors
/// It is a backup that held more, or one that does not say what it held: that is damage.
pub(super) fn end_note(
    files: &dyn FileSystem,
    dir: &Path,
    reached: u64,
    sealed: bool,
) -> Result<Option<Note>, OpenError> {
    let journal = dir.join(layout::JOURNAL);
    match Mark::read(files, dir)? {
        Some(mark) if mark.sequence > reached => Err(OpenError::Damaged {
            path: journal,
            offset: 0,
            what: format!(
                "it ends before frame {reached}, but the backup held everything before frame {}",
                mark.sequence
            ),
        }),
        Some(mark) if !mark.complete => Ok(Some(Note::Interrupted)),
        None if sealed => {
            let newest = segments(files, &journal)?.pop();
            Ok(newest.map(|newest| Note::Sealed(newest.path(&journal))))
        }
        // A backup knows that it has everything.
        _ => Ok(None),
    }
}

/// Refuses what is no data directory of a known version.
pub(super) fn known(files: &dyn FileSystem, dir: &Path) -> Result<(), OpenError> {
    layout::refuse_other(dir)?;
    if dir.join(layout::RESTORING).exists() {
        return Err(OpenError::HalfRestored(dir.to_owned()));
    }
    let journal = dir.join(layout::JOURNAL);
    // Without the version its segments say what it is.
    let is_one = layout::check_version(files, dir)?
        || (journal.is_dir() && !segments(files, &journal)?.is_empty());
    is_one
        .then_some(())
        .ok_or_else(|| OpenError::Missing(dir.to_owned()))
}

/// Reads the journal only.
pub(super) fn check_journal(
    files: &dyn FileSystem,
    dir: &Path,
    end: Option<JournalEnd>,
    progress: Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<CheckReport, OpenError> {
    let journal = dir.join(layout::JOURNAL);
    let mut names = segments(files, &journal)?;
    if let Some(end) = end {
        // Those behind it were begun since.
        names.retain(|name| name.number <= end.segment);
    }
    let sizes = sizes(&journal, &names);
    let all: u64 = sizes.iter().sum();
    let mut walk = Walk::new(files);
    walk.journal = mark(files, &journal, &names);
    if names.is_empty() {
        walk.damage(&journal, 0, "its segments are missing".to_owned());
    }
    let mut done = 0;
    for (index, name) in names.iter().enumerate() {
        if stop() {
            return Err(OpenError::Stopped);
        }
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

/// Only for telling how far the work is.
fn sizes(journal: &Path, names: &[SegmentName]) -> Vec<u64> {
    let size = |name: &SegmentName| {
        let metadata = std::fs::metadata(name.path(journal));
        metadata.map_or(0, |metadata| metadata.len())
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

//! Judges the journal of a directory, also against what else records how far it should reach: the
//! manifest of the index, and `BACKUP`.

use std::path::Path;

use super::journal::check_journal;
use super::note::Note;
use super::report::{CheckReport, Progress};
use crate::store::api::{Damage, FileError, OpenError};
use crate::store::directory::{Mark, layout};
use crate::store::disk::FileSystem;
use crate::store::index::{Loaded, Origin, manifest_file};
use crate::store::journal::{MARK_BYTES, Position, segments};

/// Reads the journal and compares its end with what else says how far it should reach. `check`,
/// `restore` and a start that rebuilds the index all rely on this, so they agree. `end` as for
/// [`check`](super::check()); `stop` is asked at every segment.
///
/// # Errors
/// It cannot be read, or was stopped.
pub(crate) fn judge(
    files: &dyn FileSystem,
    dir: &Path,
    end: Option<Position>,
    progress: Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<CheckReport, OpenError> {
    let mut report = check_journal(files, dir, end, progress, stop)?;
    if !layout::check_version(files, dir)? {
        report.notes.push(Note::NoVersion);
    }
    // A running server may have sealed its open segment since.
    let sealed = report.sealed && end.is_none();
    match end_note(files, dir, report.end.sequence, sealed) {
        Ok(note) => report.notes.extend(note),
        Err(FileError::Damaged(damage)) => {
            if report.damage.is_empty() {
                report.damage.push(damage);
            }
        }
        Err(error) => return Err(error.into()),
    }
    let torn_bytes = report.torn_bytes;
    match manifest_file::load(files, dir)? {
        Some(found) if end.is_none() && report.damage.is_empty() && is_ahead(&report, &found) => {
            judge_ahead(&mut report, &found, dir);
        }
        _ if torn_bytes > 0 => report.notes.push(Note::Torn(torn_bytes)),
        _ => {}
    }
    Ok(report)
}

/// Whether the index is ahead of the journal.
fn is_ahead(report: &CheckReport, found: &Loaded) -> bool {
    let (end, index) = (report.end, found.state.position);
    // A missing mark loses nothing.
    let is_marked = index.segment == end.segment
        && index.sequence == end.sequence.saturating_add(1)
        && index.offset == end.offset.saturating_add(MARK_BYTES);
    !is_marked && (index.sequence > end.sequence || index.segment > end.segment)
}

/// Damage in an original: something acknowledged is missing. The journal of a copy may be older
/// than its index.
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
        // `Note::Sealed` covers it.
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

/// Judges the end of a journal that reaches up to the frame `reached`.
///
/// # Errors
/// A backup that held more, or whose mark is damaged.
pub(crate) fn end_note(
    files: &dyn FileSystem,
    dir: &Path,
    reached: u64,
    sealed: bool,
) -> Result<Option<Note>, FileError> {
    let journal = dir.join(layout::JOURNAL);
    match Mark::read(files, dir)? {
        Some(mark) if mark.sequence > reached => {
            let what = format!(
                "it ends before frame {reached}, but the backup held everything before frame {}",
                mark.sequence
            );
            Err(FileError::damaged(journal, 0, what))
        }
        Some(mark) if !mark.complete => Ok(Some(Note::Interrupted)),
        None if sealed => {
            let newest = segments(files, &journal)?.pop();
            Ok(newest.map(|newest| Note::Sealed(newest.path(&journal))))
        }
        // A backup knows that it has everything.
        _ => Ok(None),
    }
}

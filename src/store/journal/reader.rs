//! Replays the journal: lists the segments, and reads every frame from a position on.
//!
//! Tells three things apart: a torn tail (a bad frame at the end of the last segment with no valid
//! frame behind it: the write that a crash interrupted), void leftovers of a failed write (declared
//! by the header of the next segment), and damage: any other invalid frame, an error with file and
//! offset.

use std::path::Path;

use super::frame::Frame;
use super::position::Position;
use super::scanner::{Event, Scanner, bad_in_sealed, follows};
use super::segment::{HEADER_BYTES, SegmentHeader, SegmentName, TEMPORARY};
use crate::store::api::{FileError, io_error};
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::disk::FileSystem;

/// How a replay ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All frames were read.
    Reached(End),
    /// The position to begin at is not in this journal: it was kept beside another journal, or
    /// beside a newer copy of this one.
    Astray,
}

/// The end of the journal.
#[derive(Debug)]
pub(crate) struct End {
    /// Behind the last right frame.
    pub(crate) position: Position,
    /// Whether the last segment's last frame is a mark; true if it has none.
    pub(crate) is_marked: bool,
    /// The last segment and its generation, unless it is sealed.
    pub(crate) open: Option<(SegmentName, u64)>,
    /// The highest id that a segment's header knows of.
    pub(crate) last_id: u64,
    /// Bytes of a torn tail.
    pub(crate) torn_bytes: u64,
}

/// Removes the temporary files of interrupted work. Only before any work begins.
pub(crate) fn clear(files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
    let names = files.list(dir).map_err(io_error("cannot list", dir))?;
    let is_ours = |name: &&String| {
        let whole = name.strip_suffix(TEMPORARY);
        whole.is_some_and(|whole| SegmentName::parse(whole).is_some())
    };
    for name in names.iter().filter(is_ours) {
        let path = dir.join(name);
        files
            .remove(&path)
            .map_err(io_error("cannot remove", &path))?;
    }
    Ok(())
}

/// All files named like a segment, in order.
pub(crate) fn segments(files: &dyn FileSystem, dir: &Path) -> Result<Vec<SegmentName>, FileError> {
    let names = files.list(dir).map_err(io_error("cannot list", dir))?;
    let mut segments: Vec<_> = names.iter().filter_map(|n| SegmentName::parse(n)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The segments in order, refusing a gap in their numbers.
pub(crate) fn list(files: &dyn FileSystem, dir: &Path) -> Result<Vec<SegmentName>, FileError> {
    let segments = segments(files, dir)?;
    for (expected, segment) in (1..).zip(&segments) {
        if segment.number != expected {
            let what = if segment.number < expected {
                format!("there are two segments with the number {}", segment.number)
            } else {
                format!("the segment with the number {expected} is missing")
            };
            return Err(FileError::damaged(segment.path(dir), 0, what));
        }
    }
    Ok(segments)
}

/// Checks the headers of all segments against their names and each other; returns the journal's
/// mark, if it has a segment.
pub(crate) fn check_headers(
    files: &dyn FileSystem,
    dir: &Path,
    segments: &[SegmentName],
) -> Result<Option<u32>, FileError> {
    let mut before = SegmentHeader::default();
    let mut journal = None;
    for name in segments {
        let scanner = open_segment(files, dir, *name)?;
        let header = *scanner.header();
        if header.journal != *journal.get_or_insert(header.journal) {
            let what = "it is a segment of another journal".to_owned();
            return Err(scanner.damaged(56, what));
        }
        if header.first_sequence < before.first_sequence || header.last_id < before.last_id {
            let what = "its header says that it is older than the segment before it".to_owned();
            return Err(scanner.damaged(32, what));
        }
        before = header;
    }
    Ok(journal)
}

/// Visits the records of each frame from `from` on, and below the sequence `until`, with the
/// position behind the frame.
pub(crate) fn replay<E: From<FileError>>(
    files: &dyn FileSystem,
    dir: &Path,
    segments: &[SegmentName],
    from: Position,
    until: Option<u64>,
    visit: &mut dyn FnMut(Vec<Record>, Position) -> Result<(), E>,
) -> Result<Outcome, E> {
    let mut end = End::at(from);
    let first = segments.partition_point(|segment| segment.number < from.segment);
    if first == segments.len() {
        return Ok(match segments.is_empty() && from == Position::START {
            true => Outcome::Reached(end),
            false => Outcome::Astray,
        });
    }
    let open = |index: usize| {
        let name = segments.get(index);
        name.map(|name| open_segment(files, dir, *name)).transpose()
    };
    let mut opened = open(first)?;
    for (index, name) in segments.iter().enumerate().skip(first) {
        let Some(scanner) = opened else { break };
        opened = open(index + 1)?;
        let mut scanner = scanner.before(opened.as_ref().map(|next| *next.header()));
        let header = *scanner.header();
        end.is_marked = true;
        if index == first {
            if !end.skip_to(from, &mut scanner)? {
                return Ok(Outcome::Astray);
            }
        } else if header.first_sequence != end.position.sequence {
            let what = format!(
                "it begins with frame {}, but frame {} comes next",
                header.first_sequence, end.position.sequence
            );
            return Err(scanner.damaged(32, what).into());
        } else {
            end.position.offset = HEADER_BYTES as u64;
        }
        end.position.segment = name.number;
        end.last_id = end.last_id.max(header.last_id);
        end.torn_bytes = end.read(&mut scanner, until, visit)?;
        if until.is_some_and(|until| end.position.sequence >= until) {
            return Ok(Outcome::Reached(end));
        }
        let writable = opened.is_none() && !scanner.is_compressed();
        end.open = writable.then_some((*name, header.generation));
    }
    Ok(Outcome::Reached(end))
}

impl End {
    /// A journal that ends at `position` and has no segment to write on.
    pub(crate) fn at(position: Position) -> Self {
        Self {
            position,
            is_marked: true,
            open: None,
            last_id: 0,
            torn_bytes: 0,
        }
    }

    /// Advances to a position between two frames; `false` if there is none such.
    fn skip_to(
        &mut self,
        position: Position,
        scanner: &mut Scanner<'_>,
    ) -> Result<bool, FileError> {
        let header = *scanner.header();
        let mut at = scanner.end();
        while at.offset < position.offset {
            match scanner.next() {
                Event::Frame(_, frame) | Event::Void(_, frame) if frame.sequence == at.sequence => {
                    at = at.behind(&frame);
                    self.is_marked = frame.is_mark();
                }
                Event::Stuck(_, Some(error)) => return Err(scanner.unreadable(at.offset, error)),
                Event::Stuck(_, None) => {
                    torn_or_damaged(scanner, at)?;
                    return Ok(false);
                }
                _ => return Ok(false),
            }
        }
        if at.offset != position.offset {
            return Ok(false);
        }
        match header.rewritten_to {
            // Its frames are not those that the position was taken from.
            Some(next) if at.sequence != header.first_sequence => match scanner.next() {
                Event::End => Ok(position.sequence == next),
                Event::Stuck(_, Some(error)) => Err(scanner.unreadable(at.offset, error)),
                _ => Ok(false),
            },
            _ => Ok(position.sequence == at.sequence),
        }
    }

    /// Visits the frames of a segment; returns the bytes of a torn tail.
    fn read<E: From<FileError>>(
        &mut self,
        scanner: &mut Scanner<'_>,
        until: Option<u64>,
        visit: &mut dyn FnMut(Vec<Record>, Position) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (rewritten_to, next) = (scanner.header().rewritten_to, scanner.following());
        loop {
            // At most one leftover of a failed write, whole or not, follows the last frame that
            // counts.
            let at = self.position;
            let is_past = next.is_some_and(|next| at.sequence >= next.first_sequence);
            let is_over = match is_past {
                true => rewritten_to.is_some(),
                false => until.is_some_and(|until| at.sequence >= until),
            };
            if is_over {
                return Ok(0);
            }
            match scanner.next() {
                Event::Frame(_, frame) if frame.sequence == at.sequence => {
                    self.is_marked = frame.is_mark();
                    self.position = at.behind(&frame);
                    let records = decode(&frame);
                    let records = records.and_then(|records| check_ids(records, next.as_ref()));
                    let records = records.map_err(|what| scanner.damaged(at.offset, what))?;
                    visit(records, self.position)?;
                }
                Event::Void(_, frame) if frame.sequence == at.sequence => {}
                Event::Frame(place, frame) | Event::Void(place, frame) => {
                    let what = match is_past {
                        true => format!("frame {} is there twice", frame.sequence),
                        false => format!("frame {} instead of {}", frame.sequence, at.sequence),
                    };
                    return Err(scanner.damaged(place.offset, what).into());
                }
                Event::Stuck(place, Some(error)) => {
                    return Err(scanner.unreadable(place.offset, error).into());
                }
                _ if is_past => return Ok(0),
                Event::End if rewritten_to.is_some_and(|next| next >= at.sequence) => {
                    self.position.sequence = rewritten_to.unwrap_or_default();
                    return Ok(0);
                }
                Event::End if next.is_none() => return Ok(0),
                _ => return Ok(torn_or_damaged(scanner, at)?),
            }
        }
    }
}

/// Judges what is no valid frame: the bytes of a torn tail, or damage.
fn torn_or_damaged(scanner: &mut Scanner<'_>, at: Position) -> Result<u64, FileError> {
    let sequence = at.sequence;
    let what = if scanner.following().is_some() {
        format!("frame {sequence} is bad or missing, and later ones exist")
    } else if scanner.is_compressed() {
        bad_in_sealed(sequence)
    } else {
        match scanner.next() {
            Event::Stuck(_, Some(error)) => return Err(scanner.unreadable(at.offset, error)),
            Event::Damage { found, .. } => follows(sequence, found),
            Event::Torn { bytes, .. } => return Ok(bytes),
            _ => return Ok(0),
        }
    };
    Err(scanner.damaged(at.offset, what))
}

/// Decodes the records of a frame.
pub(super) fn decode(frame: &Frame<'_>) -> Result<Vec<Record>, String> {
    let records = frame
        .records()
        .ok_or("the lengths of its records do not fit together")?;
    let decoded: Result<_, _> = records.into_iter().map(record::decode).collect();
    decoded.map_err(|error| error.to_string())
}

/// Refuses ids above the next segment's `last_id`.
fn check_ids(records: Vec<Record>, next: Option<&SegmentHeader>) -> Result<Vec<Record>, String> {
    let limit = next.map_or(u64::MAX, |next| next.last_id);
    let ids = records.iter().filter_map(|record| match record {
        Record::Send { messages, .. } => messages.last().map(|message| message.id.0),
        _ => None,
    });
    match ids.max().filter(|id| *id > limit) {
        Some(id) => Err(format!(
            "the id {id} is above {limit}, the last one before the next segment"
        )),
        None => Ok(records),
    }
}

fn open_segment<'a>(
    files: &'a dyn FileSystem,
    dir: &Path,
    name: SegmentName,
) -> Result<Scanner<'a>, FileError> {
    let scanner = Scanner::open(files, &name.path(dir))?;
    let number = scanner.header().number;
    if number != name.number {
        let what = format!("its header has the number {number}");
        return Err(scanner.damaged(16, what));
    }
    Ok(scanner)
}

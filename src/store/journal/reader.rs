//! Reads the journal back: which segments there are, and every frame from a place on.
//!
//! Tells three things apart: a torn tail (a bad frame at the end of the last segment
//! with nothing right behind it: the write that a crash interrupted), void leftovers
//! (of a failed write, declared so by the next segment's header), and damage (all else
//! that is not a right frame: an error that names file and offset).

use std::path::Path;

use super::super::api::OpenError;
use super::super::files::FileSystem;
use super::super::record::{self, Record};
use super::Position;
use super::frame::{Frame, find_valid};
use super::segment::{HEADER_BYTES, SegmentBytes, SegmentHeader, SegmentName, TEMPORARY, load};

/// How a replay ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All frames were read.
    Reached(End),
    /// The place to begin at is not one of this journal, or beyond its end: what was kept
    /// beside the journal is another's or newer (a copy made file by file), and is not to
    /// be used.
    Astray,
}

/// The end of the journal.
#[derive(Debug)]
pub(crate) struct End {
    /// Behind the last right frame.
    pub(crate) position: Position,
    /// The last segment and its generation, if it can be written on.
    pub(crate) open: Option<(SegmentName, u64)>,
    /// The highest id that a segment's header knows of.
    pub(crate) last_id: u64,
    /// Bytes of a torn tail.
    pub(crate) torn_bytes: u64,
}

/// Removes the temporary files of an interrupted work. Only before any work begins.
pub(crate) fn clear(files: &dyn FileSystem, dir: &Path) -> Result<(), OpenError> {
    let names = files.list(dir).map_err(|e| io("cannot list", dir, e))?;
    for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
        let path = dir.join(name);
        files
            .remove(&path)
            .map_err(|e| io("cannot remove", &path, e))?;
    }
    Ok(())
}

/// The segments, by number.
pub(crate) fn list(files: &dyn FileSystem, dir: &Path) -> Result<Vec<SegmentName>, OpenError> {
    let names = files.list(dir).map_err(|e| io("cannot list", dir, e))?;
    let mut segments: Vec<_> = names.iter().filter_map(|n| SegmentName::parse(n)).collect();
    segments.sort_unstable();
    for (expected, segment) in (1..).zip(&segments) {
        if segment.number != expected {
            let what = if segment.number < expected {
                format!("there are two segments with the number {}", segment.number)
            } else {
                format!("the segment with the number {expected} is missing")
            };
            return Err(damaged(&segment.path(dir), 0, what));
        }
    }
    Ok(segments)
}

/// Hands over the records of each frame, with the place behind it, from `from` on and,
/// where given, only those with a sequence below `until`.
pub(crate) fn replay<E: From<OpenError>>(
    files: &dyn FileSystem,
    dir: &Path,
    segments: &[SegmentName],
    from: Position,
    until: Option<u64>,
    visit: &mut dyn FnMut(Vec<Record>, Position) -> Result<(), E>,
) -> Result<Outcome, E> {
    let mut end = End {
        position: from,
        open: None,
        last_id: 0,
        torn_bytes: 0,
    };
    let first = segments.partition_point(|segment| segment.number < from.segment);
    let Some(name) = segments.get(first) else {
        let fresh = segments.is_empty() && from == Position::START;
        return Ok(if fresh {
            Outcome::Reached(end)
        } else {
            Outcome::Astray
        });
    };
    let mut loaded = Some((*name, open_segment(files, dir, *name)?));
    let mut index = first;
    while let Some((name, (header, segment))) = loaded {
        index += 1;
        loaded = match segments.get(index) {
            Some(next) => Some((*next, open_segment(files, dir, *next)?)),
            None => None,
        };
        let begin = if index == first + 1 {
            if !is_between_frames(&segment.bytes, &header, from) {
                return Ok(Outcome::Astray);
            }
            from.offset
        } else {
            HEADER_BYTES as u64
        };
        if index != first + 1 && header.first_sequence != end.position.sequence {
            let what = format!(
                "it begins with frame {}, but frame {} comes next",
                header.first_sequence, end.position.sequence
            );
            return Err(damaged(&name.path(dir), 32, what).into());
        }
        end.position.segment = name.number;
        end.position.offset = begin;
        end.last_id = end.last_id.max(header.last_id);
        let scan = Scan {
            path: &name.path(dir),
            header,
            segment: &segment,
            next_sequence: loaded.as_ref().map(|(_, (next, _))| next.first_sequence),
            until,
        };
        end.torn_bytes = scan.run(&mut end.position, visit)?;
        if until.is_some_and(|until| end.position.sequence >= until) {
            return Ok(Outcome::Reached(end));
        }
        let writable = loaded.is_none() && !segment.compressed;
        end.open = writable.then_some((name, header.generation));
    }
    Ok(Outcome::Reached(end))
}

/// Whether a frame of the segment ends at this place, or its header.
fn is_between_frames(bytes: &[u8], header: &SegmentHeader, place: Position) -> bool {
    let mut at = HEADER_BYTES as u64;
    let mut next = header.first_sequence;
    while at < place.offset {
        let rest = bytes.get(at as usize..).unwrap_or_default();
        match Frame::measure(rest, header.generation) {
            Some((sequence, length)) if sequence == next => at += length as u64,
            _ => return false,
        }
        next += 1;
    }
    at == place.offset && at <= bytes.len() as u64 && next == place.sequence
}

/// One segment on its way through the reader.
struct Scan<'a> {
    path: &'a Path,
    header: SegmentHeader,
    segment: &'a SegmentBytes,
    /// The sequence that the next segment begins with, if there is one.
    next_sequence: Option<u64>,
    until: Option<u64>,
}

impl Scan<'_> {
    /// Visits its frames and moves `at` behind them; answers the bytes of a torn tail.
    fn run<E: From<OpenError>>(
        &self,
        at: &mut Position,
        visit: &mut dyn FnMut(Vec<Record>, Position) -> Result<(), E>,
    ) -> Result<u64, E> {
        let bytes = &self.segment.bytes;
        loop {
            let stop = self.next_sequence.into_iter().chain(self.until).min();
            if stop.is_some_and(|stop| at.sequence >= stop) {
                return Ok(0);
            }
            let offset = at.offset as usize;
            if offset == bytes.len() && self.next_sequence.is_none() {
                return Ok(0);
            }
            let Some(frame) = Frame::parse(&bytes[offset..], self.header.generation) else {
                return Ok(self.torn_or_damaged(*at)?);
            };
            if frame.sequence != at.sequence {
                let what = format!("frame {} instead of {}", frame.sequence, at.sequence);
                return Err(damaged(self.path, at.offset, what).into());
            }
            let records = decode(&frame).map_err(|what| damaged(self.path, at.offset, what))?;
            at.offset += frame.bytes.len() as u64;
            at.sequence += 1;
            visit(records, *at)?;
        }
    }

    fn torn_or_damaged(&self, at: Position) -> Result<u64, OpenError> {
        let bytes = &self.segment.bytes;
        let offset = at.offset as usize;
        let what = if self.next_sequence.is_some() {
            format!(
                "frame {} is bad or missing, and later ones exist",
                at.sequence
            )
        } else if self.segment.compressed {
            format!("frame {} of a compressed segment is bad", at.sequence)
        } else if let Some(found) =
            find_valid(bytes, offset + 1, self.header.generation, at.sequence)
        {
            format!(
                "frame {} is bad, and a good one follows at byte {found}",
                at.sequence
            )
        } else {
            return Ok((bytes.len() - offset) as u64);
        };
        Err(damaged(self.path, at.offset, what))
    }
}

fn decode(frame: &Frame<'_>) -> Result<Vec<Record>, String> {
    let records = frame
        .records()
        .ok_or("the lengths of its records do not fit together")?;
    let decoded: Result<_, _> = records.into_iter().map(record::decode).collect();
    decoded.map_err(|error| error.to_string())
}

fn open_segment(
    files: &dyn FileSystem,
    dir: &Path,
    name: SegmentName,
) -> Result<(SegmentHeader, SegmentBytes), OpenError> {
    let path = name.path(dir);
    let segment = load(files, &path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => damaged(&path, 0, error.to_string()),
        _ => io("cannot read", &path, error),
    })?;
    let header = SegmentHeader::decode(&segment.bytes).map_err(|what| damaged(&path, 0, what))?;
    if header.number != name.number {
        let what = format!("its header has the number {}", header.number);
        return Err(damaged(&path, 16, what));
    }
    Ok((header, segment))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn damaged(path: &Path, offset: u64, what: String) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        offset,
        what,
    }
}

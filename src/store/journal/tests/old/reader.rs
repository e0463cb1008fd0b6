//! Replays the journal: lists the segments, and reads every frame from a position on.
//!
//! Tells three things apart: a torn tail (a bad frame at the end of the last segment with no valid
//! frame behind it: the write that a crash interrupted), void leftovers of a failed write (declared
//! by the header of the next segment), and damage: any other invalid frame, an error with file and
//! offset.

use std::path::Path;

use super::stream::{SegmentStream, Step, unreadable};
use crate::store::api::OpenError;
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::disk::FileSystem;
use crate::store::journal::frame::Frame;
use crate::store::journal::position::Position;
use crate::store::journal::segment::{HEADER_BYTES, SegmentHeader, SegmentName};

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
    /// Whether the last segment's last frame, if it has one, is a mark.
    pub(crate) is_marked: bool,
    /// The last segment and its generation, if it can be written on.
    pub(crate) open: Option<(SegmentName, u64)>,
    /// The highest id that a segment's header knows of.
    pub(crate) last_id: u64,
    /// Bytes of a torn tail.
    pub(crate) torn_bytes: u64,
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
        is_marked: true,
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
    let mut opened = Some((*name, open_segment(files, dir, *name)?));
    let mut index = first;
    while let Some((name, stream)) = opened {
        index += 1;
        opened = match segments.get(index) {
            Some(next) => Some((*next, open_segment(files, dir, *next)?)),
            None => None,
        };
        let header = *stream.header();
        let path = name.path(dir);
        let compressed = stream.is_compressed();
        let mut scan = SegmentReplay {
            path: &path,
            stream,
            next: opened.as_ref().map(|(_, next)| *next.header()),
            until,
            is_marked: true,
        };
        if index == first + 1 {
            if !scan.skip_to(from)? {
                return Ok(Outcome::Astray);
            }
        } else if header.first_sequence != end.position.sequence {
            let what = format!(
                "it begins with frame {}, but frame {} comes next",
                header.first_sequence, end.position.sequence
            );
            return Err(damaged(&path, 32, what).into());
        } else {
            end.position.offset = HEADER_BYTES as u64;
        }
        end.position.segment = name.number;
        end.last_id = end.last_id.max(header.last_id);
        end.torn_bytes = scan.run(&mut end.position, visit)?;
        end.is_marked = scan.is_marked;
        if until.is_some_and(|until| end.position.sequence >= until) {
            return Ok(Outcome::Reached(end));
        }
        let writable = opened.is_none() && !compressed;
        end.open = writable.then_some((name, header.generation));
    }
    Ok(Outcome::Reached(end))
}

/// One segment on its way through the reader.
struct SegmentReplay<'a> {
    path: &'a Path,
    stream: SegmentStream,
    /// The header of the next segment, if there is one.
    next: Option<SegmentHeader>,
    until: Option<u64>,
    is_marked: bool,
}

impl SegmentReplay<'_> {
    /// Goes to a place between two frames; `false` where it is none.
    fn skip_to(&mut self, position: Position) -> Result<bool, OpenError> {
        let mut sequence = self.stream.header().first_sequence;
        while self.stream.offset() < position.offset {
            let offset = self.stream.offset();
            match self.stream.next() {
                Ok(Step::Frame(frame)) if frame.sequence == sequence => {
                    sequence += 1;
                    self.is_marked = frame.is_mark();
                }
                Ok(Step::Frame(_) | Step::End) => return Ok(false),
                Ok(Step::Bad) => {
                    self.torn_or_damaged(sequence, offset)?;
                    return Ok(false);
                }
                Err(error) => return Err(unreadable(self.path, offset, error)),
            }
        }
        let header = *self.stream.header();
        if self.stream.offset() != position.offset {
            return Ok(false);
        }
        match header.rewritten_to {
            // Its frames are not those that the place was noted among.
            Some(_) if sequence == header.first_sequence => Ok(position.sequence == sequence),
            Some(next) => {
                let read = self.stream.next();
                let read = read.map_err(|e| unreadable(self.path, position.offset, e))?;
                Ok(read == Step::End && position.sequence == next)
            }
            None => Ok(position.sequence == sequence),
        }
    }

    /// Visits its frames and moves `at` behind them; answers the bytes of a torn tail.
    fn run<E: From<OpenError>>(
        &mut self,
        at: &mut Position,
        visit: &mut dyn FnMut(Vec<Record>, Position) -> Result<(), E>,
    ) -> Result<u64, E> {
        loop {
            if self
                .next
                .is_some_and(|next| at.sequence >= next.first_sequence)
            {
                self.check_leftovers(*at)?;
                return Ok(0);
            }
            if self.until.is_some_and(|until| at.sequence >= until) {
                return Ok(0);
            }
            let step = self.stream.next();
            match step.map_err(|error| unreadable(self.path, at.offset, error))? {
                Step::Frame(frame) if frame.sequence == at.sequence => {
                    let records = decode(&frame);
                    let records = records.map_err(|what| damaged(self.path, at.offset, what))?;
                    if let Some(next) = self.next
                        && let Some(id) = last_id(&records).filter(|id| *id > next.last_id)
                    {
                        let limit = next.last_id;
                        let what = format!(
                            "the id {id} is above {limit}, the last one before the next segment"
                        );
                        return Err(damaged(self.path, at.offset, what).into());
                    }
                    self.is_marked = frame.is_mark();
                    at.offset += frame.bytes.len() as u64;
                    at.sequence += 1;
                    visit(records, *at)?;
                }
                Step::Frame(frame) => {
                    let what = format!("frame {} instead of {}", frame.sequence, at.sequence);
                    return Err(damaged(self.path, at.offset, what).into());
                }
                Step::End => match self.stream.header().rewritten_to {
                    Some(next) if next >= at.sequence => {
                        at.sequence = next;
                        return Ok(0);
                    }
                    _ if self.next.is_none() => return Ok(0),
                    _ => return Ok(self.torn_or_damaged(at.sequence, at.offset)?),
                },
                Step::Bad => return Ok(self.torn_or_damaged(at.sequence, at.offset)?),
            }
        }
    }

    /// Behind the last frame that counts there may be one that a failed write left, whole or
    /// not, and nothing else.
    fn check_leftovers(&mut self, at: Position) -> Result<(), OpenError> {
        if self.stream.header().rewritten_to.is_some() {
            return Ok(());
        }
        loop {
            let offset = self.stream.offset();
            let step = self.stream.next();
            match step.map_err(|error| unreadable(self.path, offset, error))? {
                Step::Frame(frame) if frame.sequence == at.sequence => {}
                Step::Frame(frame) => {
                    let what = format!("frame {} is there twice", frame.sequence);
                    return Err(damaged(self.path, offset, what));
                }
                Step::End | Step::Bad => return Ok(()),
            }
        }
    }

    fn torn_or_damaged(&mut self, sequence: u64, offset: u64) -> Result<u64, OpenError> {
        let what = if self.next.is_some() {
            format!("frame {sequence} is bad or missing, and later ones exist")
        } else if self.stream.is_compressed() {
            format!("frame {sequence} of a compressed segment is bad")
        } else {
            let resumed = self.stream.resume(sequence);
            match resumed.map_err(|error| unreadable(self.path, offset, error))? {
                Ok(found) => {
                    format!("frame {sequence} is bad, and a good one follows at byte {found}")
                }
                Err(torn_bytes) => return Ok(torn_bytes),
            }
        };
        Err(damaged(self.path, offset, what))
    }
}

/// The records of a right frame, or why they are not.
pub(super) fn decode(frame: &Frame<'_>) -> Result<Vec<Record>, String> {
    let records = frame
        .records()
        .ok_or("the lengths of its records do not fit together")?;
    let decoded: Result<_, _> = records.into_iter().map(record::decode).collect();
    decoded.map_err(|error| error.to_string())
}

/// The highest id that a frame gave out.
fn last_id(records: &[Record]) -> Option<u64> {
    let ids = records.iter().filter_map(|record| match record {
        Record::Send { messages, .. } => messages.last().map(|message| message.id.0),
        _ => None,
    });
    ids.max()
}

fn open_segment(
    files: &dyn FileSystem,
    dir: &Path,
    name: SegmentName,
) -> Result<SegmentStream, OpenError> {
    let path = name.path(dir);
    let stream = SegmentStream::open(files, &path)?;
    let number = stream.header().number;
    if number != name.number {
        let what = format!("its header has the number {number}");
        return Err(damaged(&path, 16, what));
    }
    Ok(stream)
}

fn damaged(path: &Path, offset: u64, what: String) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        offset,
        what,
    }
}

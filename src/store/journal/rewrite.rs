//! Rewrites a sealed segment without what is gone, in place and compressed.
//!
//! The new one keeps the name, first sequence and last id of the old one and has a new generation;
//! its frames are numbered from the first sequence, and its header names the sequence that follows.
//! It is read back before it replaces the old one: until then nothing has changed.

use std::io;
use std::io::Write as _;
use std::path::Path;

use super::frame::FrameBuffer;
use super::pack::Packer;
use super::position::Position;
use super::reader::{Outcome, decode, replay};
use super::scanner::{Event, Scanner, header_of};
use super::segment::{SegmentHeader, SegmentName};
use crate::store::api::FileError;
use crate::store::data::{Record, record};
use crate::store::disk::FileSystem;

/// A frame ends at the first end of an old frame behind this size.
const FRAME_BYTES_MIN: usize = 64 << 10;

/// Decides which records stay.
pub(crate) trait RecordFilter {
    type Error: From<FileError> + From<io::Error>;

    /// Called after each piece of work; may pause or stop it.
    fn step(&mut self) -> Result<(), Self::Error>;

    /// Whether part of the record is gone, so that its segment has to be rewritten.
    fn is_stale(&mut self, record: &Record) -> Result<bool, Self::Error>;

    /// Appends what is left of the record.
    fn sift(&mut self, record: Record, left: &mut Vec<Record>) -> Result<(), Self::Error>;
}

/// A sealed segment and its successor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) name: SegmentName,
    pub(crate) next: SegmentName,
}

impl Sealed {
    /// The headers of both.
    fn headers(
        &self,
        files: &dyn FileSystem,
        dir: &Path,
    ) -> Result<(SegmentHeader, SegmentHeader), FileError> {
        let of = |name| header_of(files, dir, name);
        Ok((of(self.name)?, of(self.next)?))
    }

    /// Visits the records of each frame.
    fn read<E: From<FileError>>(
        &self,
        files: &dyn FileSystem,
        dir: &Path,
        visit: &mut dyn FnMut(Vec<Record>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (header, next) = self.headers(files, dir)?;
        let from = Position {
            segment: self.name.number,
            sequence: header.first_sequence,
            ..Position::START
        };
        let segments = [self.name, self.next];
        let until = Some(next.first_sequence);
        let outcome = replay(files, dir, &segments, from, until, &mut |records, _| {
            visit(records)
        })?;
        match outcome {
            Outcome::Reached(_) => Ok(()),
            Outcome::Astray => {
                let what = "it does not begin where its header says";
                Err(FileError::damaged(self.name.path(dir), 0, what).into())
            }
        }
    }

    /// Reads all of the segment, until `stop`, asked at every frame, says so.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(crate) fn verify(
        &self,
        files: &dyn FileSystem,
        dir: &Path,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), FileError> {
        let read = self.read(files, dir, &mut |_| match stop() {
            true => Err(Ended::Early),
            false => Ok(()),
        });
        match read {
            Err(Ended::Failed(error)) => Err(error),
            Err(Ended::Early) | Ok(()) => Ok(()),
        }
    }

    /// Whether the filter finds a stale record.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn is_stale<S: RecordFilter>(
        &self,
        files: &dyn FileSystem,
        dir: &Path,
        filter: &mut S,
    ) -> Result<bool, S::Error> {
        let read = self.read(files, dir, &mut |records| {
            for record in &records {
                filter.step().map_err(Ended::Failed)?;
                if filter.is_stale(record).map_err(Ended::Failed)? {
                    return Err(Ended::Early);
                }
            }
            Ok(())
        });
        match read {
            Ok(()) => Ok(false),
            Err(Ended::Early) => Ok(true),
            Err(Ended::Failed(error)) => Err(error),
        }
    }

    /// Replaces the segment by what the filter keeps.
    ///
    /// # Errors
    /// The segment is unchanged.
    pub(crate) fn rewrite<S: RecordFilter>(
        &self,
        files: &dyn FileSystem,
        dir: &Path,
        filter: &mut S,
    ) -> Result<(), S::Error> {
        let (old, next) = self.headers(files, dir)?;
        let header = SegmentHeader {
            generation: SegmentHeader::random_generation(),
            rewritten_to: Some(next.first_sequence),
            ..old
        };
        let mut packer = Packer::begin(files, dir, self.name)?;
        packer.write_all(&header.encode())?;
        let mut frame = FrameBuffer::default();
        frame.clear();
        let mut sequence = header.first_sequence;
        let mut written = 0_u64;
        let mut left = Vec::new();
        self.read(files, dir, &mut |records| {
            for record in records {
                filter.step()?;
                filter.sift(record, &mut left)?;
            }
            for record in left.drain(..) {
                frame.push(|out| record::encode(&record, out));
                written += 1;
            }
            // Only here, so that there are never more frames than before.
            if frame.len() >= FRAME_BYTES_MIN {
                packer.write_all(frame.seal(header.generation, sequence))?;
                sequence += 1;
                frame.clear();
            }
            Ok::<_, S::Error>(())
        })?;
        if !frame.is_empty() {
            packer.write_all(frame.seal(header.generation, sequence))?;
        }
        let packed = packer.finish()?;
        let read = count_records(files, &packed.path, &header, filter)?;
        if read != written {
            let what = format!("a segment made anew holds {read} records instead of {written}");
            return Err(io::Error::other(what).into());
        }
        Ok(packed.put_in_place(&self.name.path(dir))?)
    }
}

/// Why a segment was not read to its end.
enum Ended<E> {
    /// No more of it was wanted.
    Early,
    Failed(E),
}

impl<E: From<FileError>> From<FileError> for Ended<E> {
    fn from(error: FileError) -> Self {
        Self::Failed(error.into())
    }
}

/// How many records a segment holds, all of which decode.
fn count_records<S: RecordFilter>(
    files: &dyn FileSystem,
    path: &Path,
    header: &SegmentHeader,
    filter: &mut S,
) -> Result<u64, S::Error> {
    let mut scanner = Scanner::open(files, path)?;
    if scanner.header() != header {
        let what = "its header reads differently".to_owned();
        return Err(scanner.damaged(0, what).into());
    }
    let mut count = 0;
    loop {
        let at = scanner.end();
        match scanner.next() {
            Event::Frame(_, frame) if frame.sequence == at.sequence => {
                let records = decode(&frame).map_err(|what| scanner.damaged(at.offset, what))?;
                count += records.len() as u64;
                filter.step()?;
            }
            Event::End => return Ok(count),
            Event::Stuck(_, Some(error)) => {
                return Err(scanner.unreadable(at.offset, error).into());
            }
            _ => {
                let what = "a frame reads differently".to_owned();
                return Err(scanner.damaged(at.offset, what).into());
            }
        }
    }
}

//! Scans one segment: which of its frames count, and what else stands in it.
//!
//! Everything that reads frames does it here, and decides by itself what an event means: replay
//! stops at damage, check names it and goes on, repair keeps the frames that count.
//!
//! Valid frames are streamed, one in memory at a time. After the first invalid bytes, the rest of
//! the segment (some 32 MiB) is read into memory, as far as it can be, and searched for valid
//! frames.

use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::frame;
use super::frame::{FRAME_BYTES_MAX, Frame, find_valid};
use super::pack::Unpacker;
use super::position::Position;
use super::salvage::{SEGMENT_BYTES_MAX, plain};
use super::segment::{HEADER_BYTES, SegmentHeader, SegmentName};
use crate::store::api::{FileError, io_error};
use crate::store::disk::FileSystem;

/// Read at once, at least.
const PIECE_BYTES: usize = 64 << 10;

/// What comes next in a segment, at a position that names the sequence expected there.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A valid frame. One with a lower sequence than expected does not count.
    Frame(Position, Frame<'a>),
    /// A valid frame that the next segment's header declares void: the leftover of a failed write.
    Void(Position, Frame<'a>),
    /// Streaming ends here: at an error, or at something that is no valid frame. Later events come
    /// from a search of the rest.
    Stuck(Position, Option<io::Error>),
    /// No valid frame up to the one at byte `found`.
    Damage {
        at: Position,
        found: u64,
    },
    /// No valid frame in the remaining `bytes`. `cut_short`: the file goes on, but cannot be read
    /// further.
    Torn {
        at: Position,
        bytes: u64,
        cut_short: bool,
    },
    End,
}

/// A segment that is being read.
pub(crate) struct Scanner<'a> {
    files: &'a dyn FileSystem,
    path: PathBuf,
    source: Unpacker,
    header: SegmentHeader,
    order: Order,
    stage: Stage,
    /// What was read. `start` is the first byte that was not consumed.
    buffer: Vec<u8>,
    start: usize,
    /// Where in the (uncompressed) segment `start` is.
    offset: u64,
    /// Whether `buffer` reaches to the segment's end, while searching.
    is_whole: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    Streaming,
    /// At something that is no valid frame.
    Stuck,
    /// At an error.
    Failed,
    Searching,
}

/// The order of a segment's frames.
struct Order {
    next: Option<SegmentHeader>,
    /// Behind the last frame that counts.
    end: Position,
    /// The sequence that comes next; void frames have one, too.
    expected: u64,
}

impl Order {
    fn judge<'f>(&mut self, at: Position, frame: Frame<'f>) -> Event<'f> {
        let behind = at.behind(&frame);
        let highest = frame.sequence.max(self.expected);
        let is_void = self.next.is_some_and(|next| highest >= next.first_sequence);
        if frame.sequence >= self.expected {
            self.expected = behind.sequence;
            if !is_void {
                self.end = behind;
            }
        }
        match is_void {
            true => Event::Void(at, frame),
            false => Event::Frame(at, frame),
        }
    }
}

impl<'a> Scanner<'a> {
    /// Opens a segment and reads its header.
    ///
    /// # Errors
    /// It cannot be read, or its header or its compression is damaged.
    pub(crate) fn open(files: &'a dyn FileSystem, path: &Path) -> Result<Self, FileError> {
        let open = || {
            let mut scanner = Self::new(files, path, Unpacker::new(files.read_on(path)?)?);
            scanner.fill(HEADER_BYTES)?;
            let header = SegmentHeader::decode(&scanner.buffer).map_err(io::Error::other)?;
            (scanner.start, scanner.offset) = (HEADER_BYTES, HEADER_BYTES as u64);
            Ok(scanner.with(header))
        };
        open().map_err(|error| unreadable(path, 0, error))
    }

    /// Opens a segment whose header is lost, if it has a valid frame.
    pub(crate) fn headless(
        files: &'a dyn FileSystem,
        path: &Path,
        name: SegmentName,
    ) -> Option<Self> {
        let plain = plain(files, path);
        let header = plain.infer(name.number, name.first_id.saturating_sub(1))?;
        let source = Unpacker::new(Box::new(io::empty())).ok()?;
        let mut scanner = Self::new(files, path, source).with(header);
        scanner.stage = Stage::Searching;
        (scanner.buffer, scanner.is_whole) = (plain.bytes, plain.whole);
        Some(scanner)
    }

    fn new(files: &'a dyn FileSystem, path: &Path, source: Unpacker) -> Self {
        Self {
            files,
            path: path.to_owned(),
            source,
            header: SegmentHeader::default(),
            order: Order {
                next: None,
                end: Position::START,
                expected: 0,
            },
            stage: Stage::Streaming,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            is_whole: true,
        }
    }

    fn with(mut self, header: SegmentHeader) -> Self {
        self.header = header;
        self.order.end.segment = header.number;
        self.order.end.sequence = header.first_sequence;
        self.order.expected = header.first_sequence;
        self
    }

    /// Sets the header of the next segment, which voids what follows.
    pub(crate) fn before(mut self, next: Option<SegmentHeader>) -> Self {
        self.order.next = next;
        self
    }

    /// The header of the next segment.
    pub(crate) fn following(&self) -> Option<SegmentHeader> {
        self.order.next
    }

    /// An error: damage at `offset`.
    pub(crate) fn damaged(&self, offset: u64, what: String) -> FileError {
        FileError::damaged(&self.path, offset, what)
    }

    /// An error: reading failed at `offset`.
    pub(crate) fn unreadable(&self, offset: u64, error: io::Error) -> FileError {
        unreadable(&self.path, offset, error)
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Only a sealed segment is compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        self.source.is_compressed()
    }

    /// Whether zeros follow the last part, once all of it was streamed.
    pub(crate) fn is_padded(&self) -> bool {
        matches!(self.stage, Stage::Streaming) && self.source.padding_bytes() > 0
    }

    /// Behind the last frame that counts, so far.
    pub(crate) fn end(&self) -> Position {
        self.order.end
    }

    /// Expects this sequence next, whatever came before.
    pub(crate) fn expect(&mut self, sequence: u64) {
        self.order.expected = sequence;
    }

    pub(crate) fn expected(&self) -> u64 {
        self.order.expected
    }

    pub(crate) fn next(&mut self) -> Event<'_> {
        match self.stage {
            Stage::Streaming => return self.stream(),
            Stage::Stuck => {
                if let Err(error) = self.fill(SEGMENT_BYTES_MAX) {
                    self.stage = Stage::Failed;
                    return Event::Stuck(self.here(), Some(error));
                }
            }
            Stage::Failed => {
                let plain = plain(self.files, &self.path);
                self.start = plain.bytes.len().min(self.offset as usize);
                (self.buffer, self.is_whole) = (plain.bytes, plain.whole);
            }
            Stage::Searching => {}
        }
        self.stage = Stage::Searching;
        self.search()
    }

    fn stream(&mut self) -> Event<'_> {
        let at = self.here();
        let error = match self.fill_frame() {
            Ok(0) if self.unread().is_empty() => return Event::End,
            Ok(length) => {
                let bytes = &self.buffer[self.start..self.start + length];
                if let Some(frame) = Frame::parse(bytes, self.header.generation) {
                    self.start += length;
                    self.offset += length as u64;
                    return self.order.judge(at, frame);
                }
                None
            }
            Err(error) => Some(error),
        };
        self.stage = match error {
            Some(_) => Stage::Failed,
            None => Stage::Stuck,
        };
        Event::Stuck(at, error)
    }

    fn search(&mut self) -> Event<'_> {
        let at = self.here();
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        let count = bytes.len();
        match find_valid(bytes, self.header.generation, at.sequence) {
            Some((0, frame)) => {
                self.start += frame.bytes.len();
                self.offset += frame.bytes.len() as u64;
                self.order.judge(at, frame)
            }
            Some((ahead, _)) => {
                self.start += ahead;
                self.offset += ahead as u64;
                let found = self.offset;
                Event::Damage { at, found }
            }
            None if count == 0 && self.is_whole => Event::End,
            None => {
                self.start += count;
                self.offset += count as u64;
                let cut_short = !std::mem::replace(&mut self.is_whole, true);
                Event::Torn {
                    at,
                    bytes: count as u64,
                    cut_short,
                }
            }
        }
    }

    fn here(&self) -> Position {
        Position {
            segment: self.header.number,
            offset: self.offset,
            sequence: self.order.expected,
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Reads what may be a frame; returns its length, or 0.
    fn fill_frame(&mut self) -> io::Result<usize> {
        self.fill(frame::HEADER_BYTES)?;
        match Frame::measure(self.unread(), self.header.generation) {
            Some((_, length)) if self.fill(length)? => Ok(length),
            _ => Ok(0),
        }
    }

    /// Reads until `count` bytes are unread; `false` if the segment ends before.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        if self.unread().len() < count {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while self.unread().len() < count {
            let wanted = (count - self.unread().len()).clamp(PIECE_BYTES, FRAME_BYTES_MAX);
            let mut piece = (&mut self.source).take(wanted as u64);
            if piece.read_to_end(&mut self.buffer)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The header of a segment.
///
/// # Errors
/// As [`Scanner::open`].
pub(crate) fn header_of(
    files: &dyn FileSystem,
    dir: &Path,
    name: SegmentName,
) -> Result<SegmentHeader, FileError> {
    Ok(*Scanner::open(files, &name.path(dir))?.header())
}

/// In words: the frame `sequence` is not where it should be, but a later one is at `found`.
pub(crate) fn follows(sequence: u64, found: u64) -> String {
    format!("frame {sequence} is bad, and a good one follows at byte {found}")
}

/// In words: the frame `sequence` is bad, where no frame can be torn.
pub(crate) fn bad_in_sealed(sequence: u64) -> String {
    format!("frame {sequence} of a compressed segment is bad")
}

/// The error of a failed read: an I/O error if the system reports one, or else damage.
fn unreadable(path: &Path, offset: u64, source: io::Error) -> FileError {
    // Our own errors about damage have no errno.
    if source.raw_os_error().is_some() || source.kind() == io::ErrorKind::NotFound {
        return io_error("cannot read", path)(source);
    }
    FileError::damaged(path, offset, source.to_string())
}

#[cfg(test)]
mod tests;

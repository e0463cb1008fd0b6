//! Reads one segment frame by frame, compressed or not, in memory for one frame.
//!
//! Reports valid and invalid frames and finds the next valid one; judging them is up to the caller.

use std::io;
use std::io::Read;
use std::path::Path;

use crate::store::api::OpenError;
use crate::store::disk::FileSystem;
use crate::store::journal::frame;
use crate::store::journal::frame::Frame;
use crate::store::journal::pack::Unpacker;
use crate::store::journal::segment::{HEADER_BYTES, SegmentHeader, ZSTD_MAGIC};

/// Read at once, at least.
const PIECE_BYTES: usize = 64 << 10;
/// No frame is longer: a batch has at most a MiB of content, or one message alone, and some
/// thousand cursors.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Searched behind a bad frame: more than a segment has.
const SEARCH_BYTES_MAX: usize = 256 << 20;

/// A segment that is being read.
pub(crate) struct SegmentStream {
    source: Source,
    header: SegmentHeader,
    /// What was read; from `start` on it has not been left behind.
    buffer: Vec<u8>,
    start: usize,
    /// Where in the (uncompressed) segment `start` is.
    offset: u64,
    /// The length of the frame at `start`, if it was handed out.
    handed: usize,
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A right frame.
    Frame(Frame<'a>),
    /// Nothing.
    End,
    /// Something that is no right frame, or not all of one.
    Bad,
}

impl SegmentStream {
    /// Opens a segment and reads its header.
    ///
    /// # Errors
    /// It cannot be read, or its header or its compression is damaged.
    pub(crate) fn open(files: &dyn FileSystem, path: &Path) -> Result<Self, OpenError> {
        Self::try_open(files, path).map_err(|error| unreadable(path, 0, error))
    }

    fn try_open(files: &dyn FileSystem, path: &Path) -> io::Result<Self> {
        let mut stream = Self {
            source: uncompressed(files, path)?,
            header: SegmentHeader::default(),
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            handed: 0,
        };
        stream.fill(HEADER_BYTES)?;
        stream.header = SegmentHeader::decode(&stream.buffer).map_err(io::Error::other)?;
        stream.start = HEADER_BYTES;
        stream.offset = HEADER_BYTES as u64;
        Ok(stream)
    }

    /// Its header.
    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Whether it is compressed, and with that sealed for good.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.source, Source::Packed(_))
    }

    /// How many zeros stand behind it that do not count, once all of it was read.
    pub(crate) fn padding_bytes(&self) -> u64 {
        match &self.source {
            Source::Packed(unpacker) => unpacker.padding_bytes(),
            Source::Plain(_) => 0,
        }
    }

    /// Bytes from the (uncompressed) beginning to behind the last frame that was handed out.
    pub(crate) fn offset(&self) -> u64 {
        self.offset + self.handed as u64
    }

    /// What comes next. Behind something bad nothing does, but for [`Self::resume`].
    ///
    /// # Errors
    /// The file cannot be read, or does not decompress: see [`unreadable`].
    pub(crate) fn next(&mut self) -> io::Result<Step<'_>> {
        self.leave(self.handed);
        self.fill(frame::HEADER_BYTES)?;
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(Step::End);
        }
        let measured = Frame::measure(rest, self.header.generation);
        let length = measured.map_or(0, |(_, length)| length);
        if length == 0 || length > FRAME_BYTES_MAX || !self.fill(length)? {
            return Ok(Step::Bad);
        }
        self.handed = length;
        let bytes = &self.buffer[self.start..self.start + length];
        Ok(match Frame::parse(bytes, self.header.generation) {
            Some(frame) => Step::Frame(frame),
            None => Step::Bad,
        })
    }

    /// Behind something bad: goes to the next right frame that has at least this sequence,
    /// and answers where it is; `None` where there is none, and how much was looked through.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) fn resume(&mut self, sequence_min: u64) -> io::Result<Result<u64, u64>> {
        self.handed = 0;
        self.fill(SEARCH_BYTES_MAX)?;
        let rest = self.rest();
        let found = find_valid(rest, 1, self.header.generation, sequence_min);
        let Some(ahead) = found else {
            return Ok(Err(rest.len() as u64));
        };
        self.leave(ahead);
        Ok(Ok(self.offset))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn leave(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
        self.handed = 0;
    }

    /// Reads until so many bytes are there; `false` where the segment ends before.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        if self.rest().len() < count {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while self.rest().len() < count {
            let wanted = (count - self.rest().len()).clamp(PIECE_BYTES, FRAME_BYTES_MAX);
            let mut piece = (&mut self.source).take(wanted as u64);
            if piece.read_to_end(&mut self.buffer)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The uncompressed bytes of a segment in either form.
pub(crate) enum Source {
    /// It is not compressed.
    Plain(Box<dyn Read + Send>),
    /// It is.
    Packed(Box<Unpacker>),
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(bytes),
            Self::Packed(unpacker) => unpacker.read(bytes),
        }
    }
}

/// Opens a segment in either form.
pub(crate) fn uncompressed(files: &dyn FileSystem, path: &Path) -> io::Result<Source> {
    let mut file = files.read_on(path)?;
    let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
    (&mut file)
        .take(ZSTD_MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    let compressed = magic == ZSTD_MAGIC;
    let file = Box::new(io::Cursor::new(magic).chain(file));
    Ok(match compressed {
        true => Source::Packed(Box::new(Unpacker::new(file)?)),
        false => Source::Plain(file),
    })
}

/// Why a segment was not read: the disk's reason, or damage where the disk has none.
pub(crate) fn unreadable(path: &Path, offset: u64, error: io::Error) -> OpenError {
    let path = path.to_owned();
    // Those of damage have no number of the system's.
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::NotFound {
        return OpenError::Io {
            action: "cannot read",
            path,
            source: error,
        };
    }
    OpenError::Damaged {
        path,
        offset,
        what: error.to_string(),
    }
}

pub(super) fn find_valid(
    bytes: &[u8],
    from: usize,
    generation: u64,
    sequence_min: u64,
) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == b'r') {
        at += found;
        let frame = Frame::parse(&bytes[at..], generation);
        if frame.is_some_and(|frame| frame.sequence >= sequence_min) {
            return Some(at);
        }
        at += 1;
    }
    None
}

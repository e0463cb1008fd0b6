//! Reads one segment frame by frame, compressed or not, in memory for one frame.
//!
//! Reports valid and invalid frames and finds the next valid one; judging them is up to the caller.

use std::io;
use std::io::Read;
use std::path::Path;

use super::frame;
use super::frame::Frame;
use super::pack::Unpacker;
use super::segment::{HEADER_BYTES, SegmentHeader, ZSTD_MAGIC};
use crate::store::api::OpenError;
use crate::store::disk::FileSystem;

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
        let found = frame::find_valid(rest, 1, self.header.generation, sequence_min);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::frame::FrameBuffer;
    use super::super::segment::SegmentName;
    use super::*;
    use crate::store::disk::RealFileSystem;
    use std::io::Write as _;

    fn header() -> SegmentHeader {
        SegmentHeader {
            number: 1,
            generation: 7,
            first_sequence: 5,
            last_id: 0,
            rewritten_to: None,
            journal: 9,
        }
    }

    /// A segment of frames with one record each, of these lengths.
    fn segment(lengths: &[usize]) -> Vec<u8> {
        let mut bytes = header().encode().to_vec();
        let mut frame = FrameBuffer::default();
        for (sequence, length) in (5..).zip(lengths) {
            frame.clear();
            frame.push(|out| out.resize(out.len() + length, b'r'));
            bytes.extend_from_slice(frame.seal(7, sequence));
        }
        bytes
    }

    fn sequences(stream: &mut SegmentStream) -> Vec<u64> {
        let mut sequences = Vec::new();
        while let Step::Frame(frame) = stream.next().unwrap() {
            sequences.push(frame.sequence);
        }
        sequences
    }

    #[test]
    fn frames_of_any_length_are_read_compressed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let plain = segment(&[1, 200_000, 0, PIECE_BYTES, 3_000_000]);
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(&plain).unwrap();
        for (bytes, compressed) in [(plain.clone(), false), (encoder.finish().unwrap(), true)] {
            std::fs::write(&path, &bytes).unwrap();
            let mut stream = SegmentStream::open(&RealFileSystem, &path).unwrap();
            assert_eq!(*stream.header(), header());
            assert_eq!(stream.is_compressed(), compressed);
            assert_eq!(sequences(&mut stream), [5, 6, 7, 8, 9]);
            assert_eq!(stream.offset(), plain.len() as u64);
            assert_eq!(stream.next().unwrap(), Step::End);
        }
    }

    #[test]
    fn behind_something_bad_it_goes_on_with_the_next_right_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let mut bytes = segment(&[10, 10, 10]);
        let length = (bytes.len() - HEADER_BYTES) / 3;
        bytes[HEADER_BYTES + length + 40] ^= 1;
        bytes.extend_from_slice(b"rbF1 rubbish");
        std::fs::write(&path, &bytes).unwrap();
        let mut stream = SegmentStream::open(&RealFileSystem, &path).unwrap();
        assert_eq!(sequences(&mut stream), [5]);
        let found = (HEADER_BYTES + 2 * length) as u64;
        assert_eq!(stream.resume(6).unwrap(), Ok(found));
        assert_eq!(sequences(&mut stream), [7]);
        assert_eq!(stream.resume(8).unwrap(), Err(12));
    }

    #[test]
    fn damage_and_the_disks_own_errors_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let name = SegmentName {
            number: 1,
            first_id: 1,
        };
        let path = name.path(dir.path());
        let open = || SegmentStream::open(&RealFileSystem, &path);
        assert!(matches!(open().err().unwrap(), OpenError::Io { .. }));
        let whole = zstd::stream::encode_all(segment(&[100_000]).as_slice(), 1).unwrap();
        for bytes in [b"".as_slice(), b"rbx", &whole[..20]] {
            std::fs::write(&path, bytes).unwrap();
            let damaged = open().and_then(|mut stream| {
                let step = stream.next().map(|step| step == Step::Bad);
                assert!(!step.map_err(|e| unreadable(&path, 9, e))?);
                Ok(())
            });
            assert!(matches!(damaged, Err(OpenError::Damaged { .. })));
        }
    }
}

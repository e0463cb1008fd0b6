//! Reads one segment to its end, damaged or not.
//!
//! Valid frames are streamed. From the first invalid byte on, the rest is read into memory as far
//! as possible (a segment is some 32 MiB) and searched for valid frames.

use std::io;
use std::io::Read;
use std::path::Path;

use super::stream::{SegmentStream, Step, find_valid};
use crate::store::disk::FileSystem;
use crate::store::journal::pack::PART_BYTES;
use crate::store::journal::{Frame, HEADER_BYTES, SegmentHeader, ZSTD_MAGIC};

/// What a decoder is asked for at once: it loses what it made before an error.
const PIECE_BYTES: usize = 4096;
/// More than any segment has.
const SEGMENT_BYTES_MAX: u64 = 512 << 20;

/// A part of a segment; offsets count from its uncompressed beginning.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// A right frame, and where it begins.
    Frame(u64, Frame<'a>),
    /// Bytes that are no right frame.
    Bad(Bad<'a>),
}

/// Bytes that are no right frame.
#[derive(Debug)]
pub(crate) struct Bad<'a> {
    /// Where they begin, and how many there are.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// What was found there.
    pub(crate) why: &'a str,
    /// Whether they are the last that can be had of a file that does not end there.
    pub(crate) cut_short: bool,
}

/// Hands over the pieces of a segment, in order, until `visit` wants no more; answers how many
/// zeros stand behind a compressed one, which are no damage.
pub(crate) fn read(
    files: &dyn FileSystem,
    path: &Path,
    mut stream: SegmentStream,
    visit: &mut dyn FnMut(Piece<'_>) -> bool,
) -> u64 {
    let header = *stream.header();
    let mut sequence = header.first_sequence;
    let (bad_from, why) = loop {
        let offset = stream.offset();
        match stream.next() {
            Ok(Step::Frame(frame)) => {
                sequence = sequence.max(frame.sequence.saturating_add(1));
                if !visit(Piece::Frame(offset, frame)) {
                    return 0;
                }
            }
            Ok(Step::End) => return stream.padding_bytes(),
            Ok(Step::Bad) => break (offset, "no right frame is here".to_owned()),
            Err(error) => break (offset, error.to_string()),
        }
    };
    drop(stream);
    let plain = plain(files, path);
    let rest = plain.bytes.get(bad_from as usize..).unwrap_or_default();
    search(rest, plain.whole, bad_from, &header, sequence, &why, visit);
    0
}

/// As [`read`], of a segment whose header is lost: its frames say what it was.
pub(crate) fn read_headless(
    plain: &Plain,
    header: &SegmentHeader,
    visit: &mut dyn FnMut(Piece<'_>) -> bool,
) {
    let why = "the segment's header is bad";
    search(&plain.bytes, plain.whole, 0, header, 0, why, visit);
}

/// `whole` says that the bytes are all there are; else they end in damage.
fn search(
    bytes: &[u8],
    whole: bool,
    offset: u64,
    header: &SegmentHeader,
    sequence_min: u64,
    why: &str,
    visit: &mut dyn FnMut(Piece<'_>) -> bool,
) {
    let mut at = 0;
    let mut sequence = sequence_min;
    loop {
        let found = find_valid(bytes, at, header.generation, sequence);
        let to = found.unwrap_or(bytes.len());
        let ends_badly = found.is_none() && !(whole && at == to);
        if to > at || ends_badly {
            let bad = Bad {
                offset: offset + at as u64,
                bytes: (to - at) as u64,
                why,
                cut_short: found.is_none() && !whole,
            };
            if !visit(Piece::Bad(bad)) {
                return;
            }
        }
        let Some(found) = found else { return };
        at = found;
        while let Some(frame) = Frame::parse(&bytes[at..], header.generation) {
            if frame.sequence < sequence {
                break;
            }
            let length = frame.bytes.len();
            sequence = frame.sequence.saturating_add(1);
            if !visit(Piece::Frame(offset + at as u64, frame)) {
                return;
            }
            at += length;
        }
    }
}

/// The uncompressed bytes of a segment, as far as they can be had.
pub(crate) struct Plain {
    bytes: Vec<u8>,
    /// Whether that is all, to its end.
    whole: bool,
}

impl Plain {
    /// The header, or what it was, by the first right frame. `last_id` is what the file's
    /// name says.
    pub(crate) fn infer(&self, number: u64, last_id: u64) -> Option<SegmentHeader> {
        if let Ok(header) = SegmentHeader::decode(&self.bytes) {
            return Some(header);
        }
        const MAGIC: &[u8] = b"rbF1";
        let starts = (0..self.bytes.len()).filter(|at| self.bytes[*at..].starts_with(MAGIC));
        starts.into_iter().find_map(|at| {
            let generation = self.bytes.get(at + 4..at + 12)?.try_into().ok()?;
            let generation = u64::from_le_bytes(generation);
            let frame = Frame::parse(&self.bytes[at..], generation)?;
            Some(SegmentHeader {
                number,
                generation,
                first_sequence: frame.sequence,
                last_id,
                rewritten_to: None,
                journal: 0,
            })
        })
    }
}

/// Reads what can be read of a segment.
pub(crate) fn plain(files: &dyn FileSystem, path: &Path) -> Plain {
    let mut bytes = Vec::new();
    let read = files.read_on(path).and_then(|file| {
        let mut file = file.take(SEGMENT_BYTES_MAX);
        file.read_to_end(&mut bytes)
    });
    let whole = read.is_ok();
    let found = Plain { bytes, whole };
    // Compressed or not, its first bytes may be what is damaged.
    if !found.bytes.starts_with(&ZSTD_MAGIC) && found.infer(0, 0).is_some() {
        return found;
    }
    let mut plain = Plain {
        bytes: Vec::new(),
        whole,
    };
    let mut rest = found.bytes.as_slice();
    // Zeros at the end are padding.
    while rest.iter().any(|byte| *byte != 0) && plain.bytes.len() < SEGMENT_BYTES_MAX as usize {
        let length = plain.unpack(rest);
        rest = rest.get(length..).unwrap_or_default();
    }
    plain.whole &= whole;
    plain
}

impl Plain {
    /// Takes the compressed part that `rest` begins with, as far as it can be had; answers where
    /// the next one begins.
    fn unpack(&mut self, rest: &[u8]) -> usize {
        let begin = self.bytes.len();
        self.whole = decode(rest, PIECE_BYTES, 0, &mut self.bytes).is_ok();
        let length = zstd::zstd_safe::find_frame_compressed_size(rest);
        if let (true, Ok(length)) = (self.whole, length) {
            return length;
        }
        // Again, and from there byte by byte: a frame may end right before the error.
        let known = self.bytes.len() - begin;
        if let Err(error) = decode(rest, 1, known, &mut self.bytes) {
            tracing::debug!(%error, "a segment is readable only in part");
        }
        // What is missing is made up, so that what follows is found where it was.
        if let Ok(Some(bytes)) = zstd::zstd_safe::get_frame_content_size(rest)
            && bytes <= PART_BYTES as u64
        {
            let end = self.bytes.len().max(begin + bytes as usize);
            self.bytes.resize(end, 0);
        }
        let magics = rest.windows(ZSTD_MAGIC.len()).skip(1);
        let next = magics.enumerate().find(|(_, bytes)| *bytes == ZSTD_MAGIC);
        next.map_or(rest.len(), |(at, _)| at + 1)
    }
}

/// Appends what is behind the first `skip` bytes of the part that `compressed` begins with,
/// `piece_bytes` at a time.
fn decode(
    compressed: &[u8],
    piece_bytes: usize,
    skip: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    let part = zstd::stream::Decoder::with_buffer(compressed)?.single_frame();
    let mut source = part.take(SEGMENT_BYTES_MAX);
    let mut piece = vec![0; PIECE_BYTES];
    let mut skipped = 0;
    while skipped < skip {
        let wanted = (skip - skipped).min(piece.len());
        let count = source.read(&mut piece[..wanted])?;
        if count == 0 {
            return Ok(());
        }
        skipped += count;
    }
    loop {
        let count = source.read(&mut piece[..piece_bytes])?;
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// Where the first frame of a segment begins.
pub(crate) const FIRST_FRAME: u64 = HEADER_BYTES as u64;

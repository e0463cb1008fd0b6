//! Recovers what is readable of a damaged segment file.
//!
//! The valid parts of a compressed segment keep their offsets. A lost header is inferred from the
//! frames.

use std::io;
use std::io::Read;
use std::path::Path;

use super::frame::{Frame, MAGIC};
use super::pack::PART_BYTES;
use super::segment::{SegmentHeader, ZSTD_MAGIC};
use crate::store::disk::FileSystem;

/// Decoded at once: on an error the decoder loses the whole piece.
const PIECE_BYTES: usize = 4096;
/// More than any segment has.
pub(super) const SEGMENT_BYTES_MAX: usize = 512 << 20;

/// The uncompressed bytes of a segment, as far as they are readable.
pub(super) struct Plain {
    pub(super) bytes: Vec<u8>,
    /// Whether they reach to its end.
    pub(super) whole: bool,
}

impl Plain {
    /// The header, or one inferred from the first valid frame and from `last_id`, as the file's
    /// name has it.
    pub(super) fn infer(&self, number: u64, last_id: u64) -> Option<SegmentHeader> {
        if let Ok(header) = SegmentHeader::decode(&self.bytes) {
            return Some(header);
        }
        let starts = (0..self.bytes.len()).filter(|at| self.bytes[*at..].starts_with(&MAGIC));
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
pub(super) fn plain(files: &dyn FileSystem, path: &Path) -> Plain {
    let mut bytes = Vec::new();
    let read = files.read_on(path).and_then(|file| {
        let mut file = file.take(SEGMENT_BYTES_MAX as u64);
        file.read_to_end(&mut bytes)
    });
    let whole = read.is_ok();
    let found = Plain { bytes, whole };
    // The damage may be in the very bytes that tell a compressed segment.
    if !found.bytes.starts_with(&ZSTD_MAGIC) && found.infer(0, 0).is_some() {
        return found;
    }
    let mut plain = Plain {
        bytes: Vec::new(),
        whole,
    };
    let mut rest = found.bytes.as_slice();
    // Zeros at the end are padding.
    while rest.iter().any(|byte| *byte != 0) && plain.bytes.len() < SEGMENT_BYTES_MAX {
        let length = plain.unpack(rest);
        rest = rest.get(length..).unwrap_or_default();
    }
    plain.whole &= whole;
    plain
}

impl Plain {
    /// Decodes the compressed part at the beginning of `rest` as far as possible; returns where the
    /// next part begins.
    fn unpack(&mut self, rest: &[u8]) -> usize {
        let begin = self.bytes.len();
        self.whole = decode(rest, PIECE_BYTES, &mut self.bytes).is_ok();
        let length = zstd::zstd_safe::find_frame_compressed_size(rest);
        if let (true, Ok(length)) = (self.whole, length) {
            return length;
        }
        // Again, byte by byte: a frame may end right before the error.
        self.bytes.truncate(begin);
        if let Err(error) = decode(rest, 1, &mut self.bytes) {
            tracing::debug!(%error, "a segment is readable only in part");
        }
        // Zeros stand in for what is missing, so that later frames keep their offsets.
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

/// Appends the first part of `compressed` to `bytes`, `piece_bytes` at a time.
fn decode(compressed: &[u8], piece_bytes: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let part = zstd::stream::Decoder::with_buffer(compressed)?.single_frame();
    let mut source = part.take(SEGMENT_BYTES_MAX as u64);
    let mut piece = vec![0; piece_bytes];
    loop {
        let count = source.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

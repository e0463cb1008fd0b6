//! Segments: files of frames; their names, headers, and compressed form.
//!
//! A segment is created whole (temporary file, sync, rename), so its header is never torn. A
//! compressed segment keeps its name and is recognised by its first bytes; it decompresses to
//! exactly the original bytes and never changes after that.

use std::hash::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"rbxJRNL\n";
const FORMAT: u32 = 1;
/// What a compressed segment, and each of its parts, begins with.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// In a header's flags: see [`SegmentHeader::rewritten_to`].
const REWRITTEN: u32 = 1;
/// What a temporary file's name ends with.
pub(crate) const TEMPORARY: &str = ".new";

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// Counted from 1, without gaps.
    pub(crate) number: u64,
    /// No message in it has a lower id. For people; recovery reads the header.
    pub(crate) first_id: u64,
}

impl SegmentName {
    /// Reads a file's name; `None` where it is not a segment's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (number, first_id) = name.strip_suffix(".log")?.split_once('-')?;
        let parsed = Self {
            number: number.parse().ok()?,
            first_id: first_id.parse().ok()?,
        };
        (parsed.file_name() == name).then_some(parsed)
    }

    /// The file's name.
    pub(crate) fn file_name(self) -> String {
        format!("{:08}-{}.log", self.number, self.first_id)
    }

    /// The file's path.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.file_name())
    }

    /// The file's path until it is whole.
    pub(crate) fn temporary(self, dir: &Path) -> PathBuf {
        dir.join(format!("{}{TEMPORARY}", self.file_name()))
    }
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// As in the name.
    pub(crate) number: u64,
    /// Random; in every frame of the segment.
    pub(crate) generation: u64,
    /// The sequence of its first frame: frames of the segment before it with this
    /// sequence or a higher one are the leftovers of a failed write, and void.
    pub(crate) first_sequence: u64,
    /// The last id issued before it was made.
    pub(crate) last_id: u64,
    /// Set in a rewritten segment: its frames count from `first_sequence` without gaps, and this
    /// sequence follows the last of them.
    pub(crate) rewritten_to: Option<u64>,
    /// Random, and the same in all segments of a journal: tells those of another.
    pub(crate) journal: u32,
}

impl SegmentHeader {
    /// An unguessable generation.
    pub(crate) fn random_generation() -> u64 {
        RandomState::new().build_hasher().finish()
    }

    /// The mark of a new journal.
    pub(crate) fn random_journal() -> u32 {
        (Self::random_generation() as u32).max(1)
    }

    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let flags = self.rewritten_to.map_or(0, |_| REWRITTEN);
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.generation.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.last_id.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.rewritten_to.unwrap_or_default().to_le_bytes());
        bytes[56..60].copy_from_slice(&self.journal.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header, or says in words what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err("the segment's header is cut short".to_owned());
        };
        let number_at = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        if bytes[..8] != MAGIC {
            return Err("this is not a journal segment".to_owned());
        }
        if bytes[60..] != crc32c::crc32c(&bytes[..60]).to_le_bytes() {
            return Err("the segment's header has a wrong checksum".to_owned());
        }
        let flags = number_at(8) >> 32;
        if bytes[8..12] != FORMAT.to_le_bytes() || flags & !u64::from(REWRITTEN) != 0 {
            return Err("the segment has a format that this relaybox does not know".to_owned());
        }
        let rewritten = flags & u64::from(REWRITTEN) != 0;
        Ok(Self {
            rewritten_to: rewritten.then(|| number_at(48)),
            journal: (number_at(52) >> 32) as u32,
            number: number_at(16),
            generation: number_at(24),
            first_sequence: number_at(32),
            last_id: number_at(40),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn golden_header() {
        let header = SegmentHeader {
            number: 42,
            generation: 7,
            first_sequence: 900,
            last_id: 1_764_000_000_000_000,
            rewritten_to: None,
            journal: 0x0102_0304,
        };
        let mut golden = [0; HEADER_BYTES];
        golden[..8].copy_from_slice(b"rbxJRNL\n");
        golden[8] = 1;
        golden[16] = 42;
        golden[24] = 7;
        golden[32..34].copy_from_slice(&900_u16.to_le_bytes());
        golden[40..48].copy_from_slice(&1_764_000_000_000_000_u64.to_le_bytes());
        golden[56..60].copy_from_slice(&[4, 3, 2, 1]);
        let crc = crc32c::crc32c(&golden[..60]);
        golden[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(header.encode(), golden);
        assert_eq!(SegmentHeader::decode(&golden), Ok(header));
        for at in 0..HEADER_BYTES {
            let mut bad = golden;
            bad[at] ^= 1;
            assert!(SegmentHeader::decode(&bad).is_err(), "byte {at}");
        }
        assert!(SegmentHeader::decode(&golden[..63]).is_err());
        let rewritten = SegmentHeader {
            rewritten_to: Some(950),
            ..header
        };
        golden[12] = 1;
        golden[48..50].copy_from_slice(&950_u16.to_le_bytes());
        let crc = crc32c::crc32c(&golden[..60]);
        golden[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(rewritten.encode(), golden);
        assert_eq!(SegmentHeader::decode(&golden), Ok(rewritten));
    }

    #[test]
    fn names_round_trip_and_others_are_not_segments() {
        let name = SegmentName {
            number: 42,
            first_id: 1_764,
        };
        assert_eq!(name.file_name(), "00000042-1764.log");
        assert_eq!(SegmentName::parse("00000042-1764.log"), Some(name));
        for other in ["00000042-1764.log.new", "42-1764.log", "x", ".gitignore"] {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }
}

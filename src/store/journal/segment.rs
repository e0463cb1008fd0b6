//! The segment: a file of frames, its name, its header, and its compressed form.
//!
//! A segment comes into being whole (temporary file, sync, rename), so its header is
//! never torn. Compressed, it keeps its name and is known by its first bytes; its
//! uncompressed bytes are exactly those it had. Never changed after that.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::super::files::{FileSystem, JournalFile};

/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"rbxJRNL\n";
const FORMAT: u32 = 1;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Fast enough to keep up with the committer on part of a core.
const ZSTD_LEVEL: i32 = 1;
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
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl SegmentHeader {
    /// A generation that nobody can guess and no other segment has.
    pub(crate) fn random_generation() -> u64 {
        RandomState::new().build_hasher().finish()
    }

    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.generation.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.last_id.to_le_bytes());
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
        if bytes[8..12] != FORMAT.to_le_bytes() {
            return Err("the segment has a format that this relaybox does not know".to_owned());
        }
        Ok(Self {
            number: number_at(16),
            generation: number_at(24),
            first_sequence: number_at(32),
            last_id: number_at(40),
        })
    }
}

/// A segment read into memory.
#[derive(Debug)]
pub(crate) struct SegmentBytes {
    /// Its uncompressed bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether it was compressed, and with that sealed for good.
    pub(crate) compressed: bool,
}

/// Reads a whole segment. A file that is not there is an error; a compressed one that
/// does not decompress is `InvalidData`.
pub(crate) fn load(files: &dyn FileSystem, path: &Path) -> io::Result<SegmentBytes> {
    let bytes = files.read(path)?.ok_or(io::ErrorKind::NotFound)?;
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Ok(SegmentBytes {
            bytes,
            compressed: false,
        });
    }
    let bytes = zstd::stream::decode_all(bytes.as_slice())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(SegmentBytes {
        bytes,
        compressed: true,
    })
}

/// Whether a segment is compressed already.
pub(crate) fn is_compressed(file: &dyn JournalFile) -> io::Result<bool> {
    let mut magic = [0; 4];
    Ok(file.read_start(&mut magic)? == 4 && magic == ZSTD_MAGIC)
}

/// Puts the compressed form in the place of a sealed segment. At any moment the name
/// leads to a whole file, compressed or not.
pub(crate) fn compress(files: &dyn FileSystem, dir: &Path, name: SegmentName) -> io::Result<()> {
    let path = name.path(dir);
    let plain = load(files, &path)?;
    if plain.compressed {
        return Ok(());
    }
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    io::Write::write_all(&mut encoder, &plain.bytes)?;
    let packed = encoder.finish()?;
    // The journal is the truth: it is not replaced by anything that was not read back.
    let mut same = zstd::stream::Decoder::new(packed.as_slice())?;
    if !reads_as(&mut same, &plain.bytes)? {
        return Err(io::Error::other("the compressed segment reads differently"));
    }
    super::super::files::replace(files, dir, &name.file_name(), &packed)
}

fn reads_as(reader: &mut dyn io::Read, mut expected: &[u8]) -> io::Result<bool> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut piece)?;
        if count == 0 {
            return Ok(expected.is_empty());
        }
        match expected.strip_prefix(&piece[..count]) {
            Some(rest) => expected = rest,
            None => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::files::RealFileSystem;
    use super::*;

    #[test]
    fn golden_header() {
        let header = SegmentHeader {
            number: 42,
            generation: 7,
            first_sequence: 900,
            last_id: 1_764_000_000_000_000,
        };
        let mut golden = [0; HEADER_BYTES];
        golden[..8].copy_from_slice(b"rbxJRNL\n");
        golden[8] = 1;
        golden[16] = 42;
        golden[24] = 7;
        golden[32..34].copy_from_slice(&900_u16.to_le_bytes());
        golden[40..48].copy_from_slice(&1_764_000_000_000_000_u64.to_le_bytes());
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

    #[test]
    fn a_compressed_segment_has_the_same_name_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let name = SegmentName {
            number: 1,
            first_id: 1,
        };
        let bytes = b"header and frames ".repeat(10_000);
        std::fs::write(name.path(dir.path()), &bytes).unwrap();
        compress(&RealFileSystem, dir.path(), name).unwrap();
        let size = std::fs::metadata(name.path(dir.path())).unwrap().len();
        assert!(size < bytes.len() as u64 / 10);
        let loaded = load(&RealFileSystem, &name.path(dir.path())).unwrap();
        assert!(loaded.compressed);
        assert_eq!(loaded.bytes, bytes);
        let file = RealFileSystem.open(&name.path(dir.path())).unwrap();
        assert!(is_compressed(file.as_ref()).unwrap());
    }
}

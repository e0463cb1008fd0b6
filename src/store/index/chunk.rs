//! The chunk: what belongs together in a mailbox (messages, or the ids of senders'
//! messages) as one value of the index.
//!
//! Little endian: version (1), codec (1), count of messages (2), position of the first one
//! in its sequence, counted from 0 without gaps (8), last id (8), bytes of the table (2),
//! bytes of the payload before compression (4), CRC32C of all before it and of all behind
//! it (4); then table and payload. The table is never compressed: it is looked at most.
//! What stays as it is stands in the [blob file](super::blob) with its table and payload; behind
//! the head are then where (8), how many bytes (4) and their CRC32C (4).

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::error::IndexError;
use super::packing::{Packing, RAW, compress, decompress};
use super::{fixed, varint};

const VERSION: u8 = 3;
/// The head without its checksum.
const HEAD_BYTES: usize = 26;
const IN_BLOB: u8 = 0x80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    codec: u8,
    pub(super) count: u64,
    pub(super) position: u64,
    pub(super) last_id: u64,
    table_bytes: usize,
    pub(super) raw_bytes: usize,
}

impl Head {
    /// Does not look behind the head.
    pub(super) fn decode(mut value: &[u8]) -> Result<Self, IndexError> {
        type Fields = (u8, u8, u16, u64, u64, u16, u32, u32);
        let fields: Option<Fields> = fixed::take(&mut value);
        let (version, codec, count, position, last_id, table_bytes, raw_bytes, _checksum) =
            fields.ok_or("a chunk is cut short")?;
        if version != VERSION {
            return Err(format!("a chunk has version {version}").into());
        }
        Ok(Self {
            codec,
            count: count.into(),
            position,
            last_id,
            table_bytes: table_bytes.into(),
            raw_bytes: raw_bytes as usize,
        })
    }

    /// Bytes of table and payload, before compression.
    pub(super) fn bytes(&self) -> u64 {
        (self.table_bytes + self.raw_bytes) as u64
    }

    /// The position behind the last message.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(self.count)
    }
}

/// The parts of a chunk.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) count: usize,
    pub(super) position: u64,
    pub(super) last_id: u64,
    pub(super) table: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// Appends to the blob file and returns the offset.
pub(super) type Append<'a> = dyn FnMut(&[u8]) -> io::Result<u64> + 'a;

/// Encodes a chunk. With `blob`, table and payload go there.
pub(super) fn pack(
    contents: &Contents,
    packing: Packing,
    blob: Option<&mut Append<'_>>,
) -> io::Result<Vec<u8>> {
    let compressed = compress(&contents.payload, packing);
    let (mut codec, payload) = match &compressed {
        Some((codec, compressed)) => (*codec, compressed.as_slice()),
        None => (RAW, contents.payload.as_slice()),
    };
    let mut rest = [contents.table.as_slice(), payload].concat();
    if let Some(append) = blob {
        codec |= IN_BLOB;
        let at = append(&rest)?;
        rest = fixed::encode((at, rest.len() as u32, crc32c::crc32c(&rest)));
    }
    let lengths = (contents.table.len() as u16, contents.payload.len() as u32);
    let Contents {
        position, last_id, ..
    } = *contents;
    let head = (VERSION, codec, contents.count as u16, position, last_id);
    let head = fixed::encode((head, lengths));
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), &rest);
    Ok([&head, crc.to_le_bytes().as_slice(), &rest].concat())
}

/// A chunk whose value passed its checksum.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) head: Head,
    rest: &'a [u8],
}

/// The place of a table and payload in the blob file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    pub(super) at: u64,
    pub(super) length: usize,
    crc: u32,
}

impl Reference {
    pub(super) fn end(&self) -> u64 {
        self.at.saturating_add(self.length as u64)
    }
}

impl<'a> Chunk<'a> {
    /// Verifies the checksum of the value; what is in the blob file has its own.
    pub(super) fn check(value: &'a [u8]) -> Result<Self, IndexError> {
        let head = Head::decode(value)?;
        let (bytes, rest) = value.split_at(HEAD_BYTES);
        let (crc, rest) = rest.split_first_chunk().ok_or("a chunk is cut short")?;
        if crc32c::crc32c_append(crc32c::crc32c(bytes), rest).to_le_bytes() != *crc {
            return Err("a chunk has a wrong checksum".into());
        }
        Ok(Self { head, rest })
    }

    /// `None` if the rest is in the value.
    pub(super) fn reference(&self) -> Result<Option<Reference>, IndexError> {
        if self.head.codec & IN_BLOB == 0 {
            return Ok(None);
        }
        let parts: Option<(u64, u32, u32)> = fixed::decode(self.rest);
        let (at, length, crc) = parts.ok_or("a reference has a wrong length")?;
        let length = length as usize;
        Ok(Some(Reference { at, length, crc }))
    }

    /// Completes the chunk. `blob` reads a part of the blob file.
    pub(super) fn open(
        self,
        blob: impl FnOnce(&Reference) -> Result<Vec<u8>, IndexError>,
    ) -> Result<Opened<'a>, IndexError> {
        let rest = match self.reference()? {
            None => Cow::Borrowed(self.rest),
            Some(reference) => {
                let rest = blob(&reference)?;
                if crc32c::crc32c(&rest) != reference.crc {
                    return Err("a chunk in the heap has a wrong checksum".into());
                }
                rest.into()
            }
        };
        if rest.len() < self.head.table_bytes {
            return Err("the table of a chunk is cut short".into());
        }
        let head = self.head;
        Ok(Opened { head, rest })
    }
}

/// A chunk whose checksums are all verified. Its payload may still be compressed.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    pub(super) head: Head,
    /// Table and payload.
    rest: Cow<'a, [u8]>,
}

impl<'a> Opened<'a> {
    /// Restores a chunk from the result of [`Opened::unpack`].
    pub(super) fn unpacked(head: Head, rest: &'a [u8]) -> Result<Self, IndexError> {
        if rest.len() != head.table_bytes + head.raw_bytes {
            return Err("an unpacked chunk is another one's".into());
        }
        let head = Head { codec: RAW, ..head };
        let rest = rest.into();
        Ok(Self { head, rest })
    }

    /// Table and decompressed payload.
    pub(super) fn unpack(&self) -> Result<Arc<[u8]>, IndexError> {
        Ok([self.table(), &self.payload()?].concat().into())
    }

    pub(super) fn table(&self) -> &[u8] {
        &self.rest[..self.head.table_bytes]
    }

    /// The decompressed payload.
    pub(super) fn payload(&self) -> Result<Cow<'_, [u8]>, IndexError> {
        let payload = &self.rest[self.head.table_bytes..];
        decompress(self.head.codec & !IN_BLOB, payload, self.head.raw_bytes)
    }
}

/// Decodes the ids of a chunk and compares them with its head.
#[derive(Debug, Default)]
pub(super) struct IdCheck {
    count: u64,
    last: u64,
}

impl IdCheck {
    /// Takes one difference from the front of `bytes` (the first one is to 0) and returns the id.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<u64, IndexError> {
        let difference = varint::take(bytes).filter(|difference| *difference > 0);
        let id = difference.and_then(|difference| self.last.checked_add(difference));
        self.last = id.ok_or("the ids of a chunk do not rise")?;
        self.count += 1;
        Ok(self.last)
    }

    /// Call this behind the last id.
    pub(super) fn end(&self, head: &Head) -> Result<(), IndexError> {
        if self.count != head.count || self.last != head.last_id {
            return Err("a chunk holds other messages than its head says".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::packing::LZ4;
    use super::super::packing::ZSTD;
    use super::*;

    fn contents() -> Contents {
        Contents {
            count: 2,
            position: 258,
            last_id: 300,
            table: vec![3, 0xa9, 2],
            payload: b"abc".to_vec(),
        }
    }

    const REST: [u8; 6] = [3, 0xa9, 2, b'a', b'b', b'c'];

    fn no_blob(_: &Reference) -> Result<Vec<u8>, IndexError> {
        Err("none".into())
    }

    fn golden(codec: u8, rest: &[u8]) -> Vec<u8> {
        let mut golden = vec![
            3, codec, 2, 0, 2, 1, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0, 3, 0, 3, 0, 0, 0,
        ];
        let crc = crc32c::crc32c_append(crc32c::crc32c(&golden), rest);
        golden.extend_from_slice(&crc.to_le_bytes());
        golden.extend_from_slice(rest);
        golden
    }

    #[test]
    fn golden_chunk() {
        let golden = golden(0, &REST);
        for packing in [Packing::None, Packing::Fast, Packing::Small] {
            assert_eq!(pack(&contents(), packing, None).unwrap(), golden);
        }
        assert!(Head::decode(&golden[..HEAD_BYTES + 3]).is_err());
        let chunk = Chunk::check(&golden).unwrap();
        assert_eq!(chunk.reference().unwrap(), None);
        let opened = chunk.open(no_blob).unwrap();
        let head = opened.head;
        assert_eq!((head.position, head.end(), head.last_id), (258, 260, 300));
        assert_eq!(opened.table(), [3, 0xa9, 2]);
        assert_eq!(*opened.payload().unwrap(), *b"abc");
        for at in 0..golden.len() {
            let mut bad = golden.clone();
            bad[at] ^= 1;
            assert!(Chunk::check(&bad).is_err(), "byte {at}");
            assert!(Chunk::check(&golden[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn golden_chunk_in_the_heap() {
        let mut blob = Vec::new();
        let mut append = |bytes: &[u8]| {
            blob = bytes.to_vec();
            Ok(770)
        };
        let value = pack(&contents(), Packing::Small, Some(&mut append)).unwrap();
        assert_eq!(blob, REST);
        let crc = crc32c::crc32c(&REST).to_le_bytes();
        let reference = [&[2, 3, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0], crc.as_slice()].concat();
        assert_eq!(value, golden(0x80, &reference));
        let open = |bytes: &[u8]| {
            Chunk::check(&value).unwrap().open(|reference| {
                assert_eq!((reference.at, reference.length), (770, 6));
                Ok(bytes.to_vec())
            })
        };
        assert_eq!(*open(&blob).unwrap().payload().unwrap(), *b"abc");
        let opened = open(&blob).unwrap();
        let unpacked = opened.unpack().unwrap();
        let unpacked = Opened::unpacked(opened.head, &unpacked).unwrap();
        assert_eq!(unpacked.table(), opened.table());
        assert_eq!(*unpacked.payload().unwrap(), *b"abc");
        assert!(open(b"\x03\xa9\x02abd").is_err());
        assert!(open(b"").is_err());
    }

    #[test]
    fn what_can_be_is_compressed() {
        let payload = b"again and again ".repeat(100);
        for (packing, codec) in [(Packing::Fast, LZ4), (Packing::Small, ZSTD)] {
            let contents = Contents {
                payload: payload.clone(),
                ..Contents::default()
            };
            let value = pack(&contents, packing, None).unwrap();
            assert_eq!(value[1], codec);
            assert!(value.len() < 100);
            let opened = Chunk::check(&value).unwrap().open(no_blob).unwrap();
            let unpacked = opened.unpack().unwrap();
            let unpacked = Opened::unpacked(opened.head, &unpacked).unwrap();
            assert_eq!(unpacked.table(), opened.table());
            assert_eq!(*unpacked.payload().unwrap(), payload);
            for wrong_codec in [RAW, LZ4, ZSTD, 7] {
                let mut opened = Chunk::check(&value).unwrap().open(no_blob).unwrap();
                opened.head.codec = wrong_codec;
                let is_right = opened.payload().is_ok_and(|read| *read == payload);
                assert_eq!(is_right, wrong_codec == codec);
            }
        }
    }
}

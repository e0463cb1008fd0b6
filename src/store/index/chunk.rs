//! The chunk: what belongs together in a mailbox (messages, or the ids of senders'
//! messages) as one value of the index.
//!
//! Little endian: version (1), codec (1), count of messages (2), position of the first one
//! in its sequence, counted from 0 without gaps (8), last id (8), bytes of the table (2),
//! bytes of the payload before compression (4), CRC32C of all before it, of the table and
//! of the payload (4), table, payload. The table is not compressed: what is looked at most.
//! A payload that is too long for one value is in the tree of parts; in its place are
//! the number of its bytes (4) and their CRC32C (4).

use std::cell::RefCell;

use super::varint;

/// Most bytes of table and payload in one value. sled splits its pages at 16 items, whatever
/// their size, and keeps pages above 128 KiB in files of their own that it does not sync.
pub(super) const VALUE_BYTES_MAX: usize = 7 << 10;

const VERSION: u8 = 2;
const HEAD_BYTES: usize = 30;
/// A payload shorter than this is not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 64;
const ZSTD_LEVEL: i32 = 1;

const RAW: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;
const IN_PARTS: u8 = 0x80;

/// What every chunk begins with.
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
    /// Reads it; the rest of the chunk is not looked at.
    pub(super) fn decode(value: &[u8]) -> Result<Self, String> {
        let head = value
            .first_chunk::<HEAD_BYTES>()
            .ok_or("a chunk is cut short")?;
        if head[0] != VERSION {
            return Err(format!("a chunk has version {}", head[0]));
        }
        let mut position = [0; 8];
        position.copy_from_slice(&head[4..12]);
        let mut last_id = [0; 8];
        last_id.copy_from_slice(&head[12..20]);
        let mut raw_bytes = [0; 4];
        raw_bytes.copy_from_slice(&head[22..26]);
        Ok(Self {
            codec: head[1],
            count: u64::from(u16::from_le_bytes([head[2], head[3]])),
            position: u64::from_le_bytes(position),
            last_id: u64::from_le_bytes(last_id),
            table_bytes: usize::from(u16::from_le_bytes([head[20], head[21]])),
            raw_bytes: u32::from_le_bytes(raw_bytes) as usize,
        })
    }

    /// The position behind its last message.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(self.count)
    }

    /// Whether its payload is in the tree of parts.
    pub(super) fn in_parts(&self) -> bool {
        self.codec & IN_PARTS != 0
    }
}

/// What a chunk is made of.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    pub(super) count: usize,
    pub(super) position: u64,
    pub(super) last_id: u64,
    pub(super) table: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// What is soon written again.
    Fast,
    /// What stays.
    Small,
}

/// A chunk ready to be stored.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) value: Vec<u8>,
    /// The payload that goes into the tree of parts, in pieces; mostly empty.
    pub(super) in_parts: Vec<u8>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

fn compress(payload: &[u8], packing: Packing) -> Option<(u8, Vec<u8>)> {
    if payload.len() < COMPRESSED_BYTES_MIN {
        return None;
    }
    let (codec, compressed) = match packing {
        Packing::Fast => (LZ4, lz4_flex::block::compress(payload)),
        Packing::Small => (ZSTD, zstd_compress(payload)?),
    };
    (compressed.len() < payload.len()).then_some((codec, compressed))
}

/// `None` where the library has no memory for it; the payload is then stored as it is.
fn zstd_compress(payload: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        if compressor.is_none() {
            *compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        compressor.as_mut()?.compress(payload).ok()
    })
}

fn zstd_decompress(payload: &[u8], raw_bytes: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(payload, raw_bytes)
    })
}

/// Makes a chunk.
pub(super) fn pack(contents: &Contents<'_>, packing: Packing) -> Packed {
    let compressed = compress(contents.payload, packing);
    let (mut codec, payload) = match &compressed {
        Some((codec, compressed)) => (*codec, compressed.as_slice()),
        None => (RAW, contents.payload),
    };
    let reference;
    let mut in_parts = Vec::new();
    let inline = if contents.table.len() + payload.len() > VALUE_BYTES_MAX {
        codec |= IN_PARTS;
        let length = (payload.len() as u32).to_le_bytes();
        reference = [length, crc32c::crc32c(payload).to_le_bytes()].concat();
        in_parts.extend_from_slice(payload);
        reference.as_slice()
    } else {
        payload
    };
    let mut value = Vec::with_capacity(HEAD_BYTES + contents.table.len() + inline.len());
    value.extend_from_slice(&[VERSION, codec]);
    value.extend_from_slice(&(contents.count as u16).to_le_bytes());
    value.extend_from_slice(&contents.position.to_le_bytes());
    value.extend_from_slice(&contents.last_id.to_le_bytes());
    value.extend_from_slice(&(contents.table.len() as u16).to_le_bytes());
    value.extend_from_slice(&(contents.payload.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&value), contents.table);
    let crc = crc32c::crc32c_append(crc, inline);
    value.extend_from_slice(&crc.to_le_bytes());
    value.extend_from_slice(contents.table);
    value.extend_from_slice(inline);
    Packed { value, in_parts }
}

/// A chunk that was checked; its payload is still compressed.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    pub(super) head: Head,
    pub(super) table: &'a [u8],
    inline: &'a [u8],
}

/// Checks a chunk, but for what is in parts.
pub(super) fn check(value: &[u8]) -> Result<Checked<'_>, String> {
    let head = Head::decode(value)?;
    let (bytes, rest) = value.split_at(HEAD_BYTES);
    let (bytes, crc) = bytes.split_at(HEAD_BYTES - 4);
    if crc32c::crc32c_append(crc32c::crc32c(bytes), rest).to_le_bytes() != crc {
        return Err("a chunk has a wrong checksum".to_owned());
    }
    let split = rest.split_at_checked(head.table_bytes);
    let (table, inline) = split.ok_or("the table of a chunk is cut short")?;
    Ok(Checked {
        head,
        table,
        inline,
    })
}

impl Checked<'_> {
    /// Its payload; `parts` fetches so many bytes of the parts.
    pub(super) fn payload(
        &self,
        parts: impl FnOnce(usize) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, String> {
        let head = &self.head;
        let fetched;
        let payload = if head.in_parts() {
            let (length, crc) = self
                .inline
                .split_first_chunk::<4>()
                .ok_or("a reference is short")?;
            fetched = parts(u32::from_le_bytes(*length) as usize)?;
            if crc32c::crc32c(&fetched).to_le_bytes() != *crc {
                return Err("the parts of a chunk have a wrong checksum".to_owned());
            }
            fetched.as_slice()
        } else {
            self.inline
        };
        let raw = match head.codec & !IN_PARTS {
            RAW => payload.to_vec(),
            LZ4 => lz4_flex::block::decompress(payload, head.raw_bytes)
                .map_err(|error| format!("a chunk does not decompress: {error}"))?,
            ZSTD => zstd_decompress(payload, head.raw_bytes)
                .map_err(|error| format!("a chunk does not decompress: {error}"))?,
            codec => return Err(format!("a chunk has codec {codec}")),
        };
        if raw.len() != head.raw_bytes {
            return Err("a chunk has a wrong length".to_owned());
        }
        Ok(raw)
    }
}

/// Holds the ids of a chunk one by one against its head.
#[derive(Debug, Default)]
pub(super) struct IdCheck {
    count: u64,
    last: u64,
}

impl IdCheck {
    /// Takes the difference to the id before (of the first one, to 0) from the front of
    /// `bytes`, and answers the id.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<u64, String> {
        let difference = varint::take(bytes).filter(|difference| *difference > 0);
        let id = difference.and_then(|difference| self.last.checked_add(difference));
        self.last = id.ok_or("the ids of a chunk do not rise")?;
        self.count += 1;
        Ok(self.last)
    }

    /// Behind the last one.
    pub(super) fn end(&self, head: &Head) -> Result<(), String> {
        if self.count != head.count || self.last != head.last_id {
            return Err("a chunk holds other messages than its head says".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn no_parts(_: usize) -> Result<Vec<u8>, String> {
        Err("none".to_owned())
    }

    #[test]
    fn golden_chunk() {
        let contents = Contents {
            count: 2,
            position: 258,
            last_id: 300,
            table: &[3, 0xa9, 2],
            payload: b"abc",
        };
        for packing in [Packing::Fast, Packing::Small] {
            let packed = pack(&contents, packing);
            let mut golden = vec![
                2, 0, 2, 0, 2, 1, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0, 3, 0, 3, 0, 0, 0,
            ];
            let rest = [3, 0xa9, 2, b'a', b'b', b'c'];
            let crc = crc32c::crc32c_append(crc32c::crc32c(&golden), &rest);
            golden.extend_from_slice(&crc.to_le_bytes());
            golden.extend_from_slice(&rest);
            assert_eq!(packed.value, golden);
            assert!(packed.in_parts.is_empty());
            let checked = check(&golden).unwrap();
            let head = checked.head;
            assert_eq!((head.position, head.end(), head.last_id), (258, 260, 300));
            assert_eq!(checked.table, [3, 0xa9, 2]);
            assert_eq!(checked.payload(no_parts).unwrap(), b"abc");
            for at in 0..golden.len() {
                let mut bad = golden.clone();
                bad[at] ^= 1;
                assert!(check(&bad).is_err(), "byte {at}");
                assert!(check(&golden[..at]).is_err(), "cut at {at}");
            }
        }
    }

    #[test]
    fn what_can_be_is_compressed() {
        let payload = b"again and again ".repeat(100);
        for (packing, codec) in [(Packing::Fast, LZ4), (Packing::Small, ZSTD)] {
            let contents = Contents {
                payload: &payload,
                ..Contents::default()
            };
            let value = pack(&contents, packing).value;
            assert_eq!(value[1], codec);
            assert!(value.len() < 100);
            assert_eq!(check(&value).unwrap().payload(no_parts).unwrap(), payload);
            for wrong_codec in [RAW, LZ4, ZSTD, 7] {
                let mut checked = check(&value).unwrap();
                checked.head.codec = wrong_codec;
                assert_eq!(checked.payload(no_parts).is_ok(), wrong_codec == codec);
            }
        }
    }

    #[test]
    fn a_long_payload_goes_in_parts() {
        let payload: Vec<u8> = (0..40_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let contents = Contents {
            payload: &payload,
            ..Contents::default()
        };
        let packed = pack(&contents, Packing::Fast);
        assert!(packed.value.len() < 64 && packed.in_parts.len() > VALUE_BYTES_MAX);
        let checked = check(&packed.value).unwrap();
        let parts = |bytes| Ok(packed.in_parts[..bytes].to_vec());
        assert_eq!(checked.payload(parts).unwrap(), payload);
        let wrong = |bytes| Ok(vec![0; bytes]);
        assert!(checked.payload(wrong).is_err());
    }
}

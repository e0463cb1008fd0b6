//! The chunk: consecutive messages of one mailbox (or the ids of one sender's messages
//! in it) as one value of the index.
//!
//! Little endian: version (1), codec (1), count (2), position of its first message in
//! the mailbox, counted from 0 without gaps (8), its last id (8), bytes of the payload
//! before compression (4), CRC32C of all before it and of the payload (4), payload.
//! A payload that is too long for one value is in the tree of parts; in its place are
//! the number of its bytes (4) and their CRC32C (4).

use bincode::config::{Configuration, standard};
use bincode::{BorrowDecode, Encode};

use crate::model::{Mailbox, Message, MessageType, MsgId, Resource, UserId, UserName};

/// Most messages in a chunk.
pub(super) const MESSAGES_MAX: usize = 16;
/// Most bytes of messages in a chunk before compression, unless one alone is longer.
pub(super) const RAW_BYTES_MAX: usize = 5 << 10;
/// Most ids in a sender's chunk.
pub(super) const IDS_MAX: usize = 128;
/// Most bytes of a payload in one value. sled splits its pages at 16 items, whatever
/// their size, and keeps pages above 128 KiB in files of their own that it does not sync.
pub(super) const PAYLOAD_BYTES_MAX: usize = 6 << 10;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 28;
const CODING: Configuration = standard();

const RAW: u8 = 0;
const LZ4: u8 = 1;
const IN_PARTS: u8 = 0x80;

/// What every chunk begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    codec: u8,
    pub(super) count: u64,
    pub(super) position: u64,
    pub(super) last_id: u64,
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
        raw_bytes.copy_from_slice(&head[20..24]);
        Ok(Self {
            codec: head[1],
            count: u64::from(u16::from_le_bytes([head[2], head[3]])),
            position: u64::from_le_bytes(position),
            last_id: u64::from_le_bytes(last_id),
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

/// A chunk ready to be stored.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) value: Vec<u8>,
    /// The payload that goes into the tree of parts, in pieces; mostly empty.
    pub(super) in_parts: Vec<u8>,
}

/// Makes a chunk of a payload.
pub(super) fn pack(count: usize, position: u64, last_id: u64, raw: &[u8]) -> Packed {
    let compressed = lz4_flex::block::compress(raw);
    let (mut codec, payload) = if compressed.len() < raw.len() {
        (LZ4, compressed.as_slice())
    } else {
        (RAW, raw)
    };
    let reference;
    let mut in_parts = Vec::new();
    let inline = if payload.len() > PAYLOAD_BYTES_MAX {
        codec |= IN_PARTS;
        let length = (payload.len() as u32).to_le_bytes();
        reference = [length, crc32c::crc32c(payload).to_le_bytes()].concat();
        in_parts.extend_from_slice(payload);
        reference.as_slice()
    } else {
        payload
    };
    let mut value = Vec::with_capacity(HEAD_BYTES + inline.len());
    value.extend_from_slice(&[VERSION, codec]);
    value.extend_from_slice(&(count as u16).to_le_bytes());
    value.extend_from_slice(&position.to_le_bytes());
    value.extend_from_slice(&last_id.to_le_bytes());
    value.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&value), inline);
    value.extend_from_slice(&crc.to_le_bytes());
    value.extend_from_slice(inline);
    Packed { value, in_parts }
}

/// Checks a chunk and answers its payload; `parts` fetches so many bytes of the parts.
pub(super) fn unpack(
    value: &[u8],
    parts: impl FnOnce(usize) -> Result<Vec<u8>, String>,
) -> Result<(Head, Vec<u8>), String> {
    let head = Head::decode(value)?;
    let inline = &value[HEAD_BYTES..];
    let crc = crc32c::crc32c_append(crc32c::crc32c(&value[..HEAD_BYTES - 4]), inline);
    if crc.to_le_bytes() != value[HEAD_BYTES - 4..HEAD_BYTES] {
        return Err("a chunk has a wrong checksum".to_owned());
    }
    let fetched;
    let payload = if head.in_parts() {
        let (length, crc) = inline
            .split_first_chunk::<4>()
            .ok_or("a reference is short")?;
        fetched = parts(u32::from_le_bytes(*length) as usize)?;
        if crc32c::crc32c(&fetched).to_le_bytes() != *crc {
            return Err("the parts of a chunk have a wrong checksum".to_owned());
        }
        fetched.as_slice()
    } else {
        inline
    };
    let raw = match head.codec & !IN_PARTS {
        RAW => payload.to_vec(),
        LZ4 => lz4_flex::block::decompress(payload, head.raw_bytes)
            .map_err(|error| format!("a chunk does not decompress: {error}"))?,
        codec => return Err(format!("a chunk has codec {codec}")),
    };
    if raw.len() != head.raw_bytes {
        return Err("a chunk has a wrong length".to_owned());
    }
    Ok((head, raw))
}

#[derive(Encode, BorrowDecode)]
struct StoredMessage<'a> {
    id: u64,
    from_id: &'a str,
    from_name: &'a str,
    from_resource: &'a str,
    to_resource: Option<&'a str>,
    kind: u32,
    recipient_offline: bool,
    content: &'a str,
}

/// Appends a message to a payload.
pub(super) fn encode_message(message: &Message, raw: &mut Vec<u8>) {
    let stored = StoredMessage {
        id: message.id.0,
        from_id: message.from_id.as_str(),
        from_name: message.from_name.as_str(),
        from_resource: message.from_resource.as_str(),
        to_resource: message.to_resource.as_ref().map(Resource::as_str),
        kind: message.kind.0,
        recipient_offline: message.recipient_offline,
        content: &message.content,
    };
    bincode::encode_into_std_write(stored, raw, CODING)
        .expect("a vector takes all bytes and the types have no failing encoder");
}

/// Reads a payload of messages.
pub(super) fn decode_messages(
    mailbox: &Mailbox,
    head: &Head,
    raw: &[u8],
) -> Result<Vec<Message>, String> {
    let mut messages = Vec::with_capacity(head.count as usize);
    let name = |error| format!("a stored name {error}");
    each(raw, |stored| {
        messages.push(Message {
            id: MsgId(stored.id),
            mailbox: mailbox.clone(),
            to_resource: stored
                .to_resource
                .map(Resource::parse)
                .transpose()
                .map_err(name)?,
            from_id: UserId::parse(stored.from_id).map_err(name)?,
            from_name: UserName::parse(stored.from_name).map_err(name)?,
            from_resource: Resource::parse(stored.from_resource).map_err(name)?,
            kind: MessageType(stored.kind),
            content: stored.content.into(),
            recipient_offline: stored.recipient_offline,
        });
        Ok(())
    })?;
    check_ids(head, messages.iter().map(|message| message.id.0))?;
    Ok(messages)
}

/// Reads only the ids of a payload of messages.
pub(super) fn decode_message_ids(head: &Head, raw: &[u8]) -> Result<Vec<u64>, String> {
    let mut ids = Vec::with_capacity(head.count as usize);
    each(raw, |stored| {
        ids.push(stored.id);
        Ok(())
    })?;
    check_ids(head, ids.iter().copied())?;
    Ok(ids)
}

fn each(
    mut rest: &[u8],
    mut visit: impl FnMut(StoredMessage<'_>) -> Result<(), String>,
) -> Result<(), String> {
    while !rest.is_empty() {
        let (stored, used) = bincode::borrow_decode_from_slice(rest, CODING)
            .map_err(|error| format!("a stored message does not decode: {error}"))?;
        visit(stored)?;
        rest = &rest[used..];
    }
    Ok(())
}

fn check_ids(head: &Head, ids: impl Iterator<Item = u64>) -> Result<(), String> {
    let mut count = 0;
    let mut last = 0;
    for id in ids {
        if id <= last {
            return Err("the ids of a chunk do not rise".to_owned());
        }
        last = id;
        count += 1;
    }
    if count != head.count || last != head.last_id {
        return Err("a chunk holds other messages than its head says".to_owned());
    }
    Ok(())
}

/// Makes a payload of ids: the differences, the first one's to 0, seven bits a byte.
pub(super) fn encode_ids(ids: &[u64]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(ids.len() * 4);
    let mut last = 0;
    for id in ids {
        let mut difference = id - last;
        while difference >= 0x80 {
            raw.push(difference as u8 | 0x80);
            difference >>= 7;
        }
        raw.push(difference as u8);
        last = *id;
    }
    raw
}

/// Reads a payload of ids.
pub(super) fn decode_ids(head: &Head, raw: &[u8]) -> Result<Vec<u64>, String> {
    let mut ids = Vec::with_capacity(head.count as usize);
    let mut last: u64 = 0;
    let mut difference: u64 = 0;
    let mut shift = 0;
    for byte in raw {
        if shift > 56 {
            return Err("a stored id is too long".to_owned());
        }
        difference |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            last = last
                .checked_add(difference)
                .ok_or("a stored id is too large")?;
            ids.push(last);
            (difference, shift) = (0, 0);
        }
    }
    check_ids(head, ids.iter().copied())?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn no_parts(_: usize) -> Result<Vec<u8>, String> {
        Err("none".to_owned())
    }

    #[test]
    fn golden_chunk_of_ids() {
        let raw = encode_ids(&[3, 300]);
        assert_eq!(raw, [3, 0xa9, 2]);
        let packed = pack(2, 258, 300, &raw);
        let mut golden = vec![
            1, 0, 2, 0, 2, 1, 0, 0, 0, 0, 0, 0, 44, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0,
        ];
        let crc = crc32c::crc32c_append(crc32c::crc32c(&golden), &raw);
        golden.extend_from_slice(&crc.to_le_bytes());
        golden.extend_from_slice(&raw);
        assert_eq!(packed.value, golden);
        assert!(packed.in_parts.is_empty());
        let (head, raw) = unpack(&golden, no_parts).unwrap();
        assert_eq!((head.position, head.end(), head.last_id), (258, 260, 300));
        assert_eq!(decode_ids(&head, &raw).unwrap(), [3, 300]);
        for at in 0..golden.len() {
            let mut bad = golden.clone();
            bad[at] ^= 1;
            assert!(unpack(&bad, no_parts).is_err(), "byte {at}");
            assert!(unpack(&golden[..at], no_parts).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn golden_payload_of_a_message() {
        let mailbox = Mailbox {
            domain: crate::model::Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        };
        let message = Message {
            id: MsgId(258),
            mailbox: mailbox.clone(),
            to_resource: Some(Resource::parse("p").unwrap()),
            from_id: UserId::parse("a").unwrap(),
            from_name: UserName::parse("A").unwrap(),
            from_resource: Resource::parse("web").unwrap(),
            kind: MessageType(10),
            content: "{}".into(),
            recipient_offline: true,
        };
        let mut raw = Vec::new();
        encode_message(&message, &mut raw);
        assert_eq!(raw, b"\xfb\x02\x01\x01a\x01A\x03web\x01\x01p\x0a\x01\x02{}");
        let packed = pack(1, 0, 258, &raw);
        let (head, raw) = unpack(&packed.value, no_parts).unwrap();
        assert_eq!(decode_messages(&mailbox, &head, &raw).unwrap(), [message]);
        assert_eq!(decode_message_ids(&head, &raw).unwrap(), [258]);
    }

    #[test]
    fn a_long_payload_goes_in_parts() {
        let raw: Vec<u8> = (0..40_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let packed = pack(1, 0, 1, &raw);
        assert!(packed.value.len() < 64 && packed.in_parts.len() > PAYLOAD_BYTES_MAX);
        let parts = |bytes| Ok(packed.in_parts[..bytes].to_vec());
        assert_eq!(unpack(&packed.value, parts).unwrap().1, raw);
        let wrong = |bytes| Ok(vec![0; bytes]);
        assert!(unpack(&packed.value, wrong).is_err());
    }
}

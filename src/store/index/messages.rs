//! A chunk of messages: consecutive ones of a mailbox.
//!
//! The table has for each message: the difference of its id to the one before (of the first
//! one, to 0); twice the bytes of its body without the sender, plus 1 if the recipient was
//! offline; the sender's id with its length in a byte before it. The payload is the rest
//! of the bodies (see [`crate::store::body`]), one after the other.

use super::super::body;
use super::chunk::{Contents, Head, IdCheck, Opened};
use super::packing::Packing;
use super::varint;
use crate::model::{Mailbox, Message};

/// Most messages in a chunk.
pub(super) const MESSAGES_MAX: usize = 24;
/// Most bytes of a chunk before compression, unless one message alone is longer.
const BYTES_MAX: usize = 6 << 10;
/// A chunk with so many messages or bytes goes into the heap and stays as it is, and the
/// next one is begun with the next checkpoint.
const MESSAGES_ENOUGH: u64 = 8;
const BYTES_ENOUGH: usize = 3 << 10;

/// Whether a chunk with so many messages and bytes of payload stays as it is.
pub(super) fn stays(count: u64, raw_bytes: usize) -> bool {
    count >= MESSAGES_ENOUGH || raw_bytes >= BYTES_ENOUGH
}

/// A chunk that is being filled.
#[derive(Debug, Default)]
pub(super) struct OpenChunk {
    pub(super) position: u64,
    pub(super) first_id: u64,
    last_id: u64,
    count: usize,
    table: Vec<u8>,
    payload: Vec<u8>,
    /// How many of its messages the tree has already.
    written: usize,
}

impl OpenChunk {
    /// Begins an empty one; its buffers are used again.
    pub(super) fn begin(&mut self, position: u64) {
        self.position = position;
        (self.first_id, self.last_id, self.count, self.written) = (0, 0, 0, 0);
        self.table.clear();
        self.payload.clear();
    }

    /// Goes on behind the last chunk of a mailbox.
    pub(super) fn go_on(&mut self, head: &Head) {
        self.begin(head.end());
    }

    /// Takes up the last chunk of a mailbox again.
    pub(super) fn take_up(&mut self, opened: &Opened<'_>, first_id: u64) -> Result<(), String> {
        let head = &opened.head;
        self.begin(head.position);
        self.first_id = first_id;
        self.last_id = head.last_id;
        self.count = head.count as usize;
        self.written = self.count;
        self.table.extend_from_slice(opened.table());
        self.payload.extend_from_slice(&opened.payload()?);
        Ok(())
    }

    /// Whether it has room for a message with this body.
    pub(super) fn has_room(&self, body: &[u8]) -> bool {
        self.has_room_for_bytes(body.len())
    }

    /// Whether it has room for a message of another chunk.
    pub(super) fn has_room_for(&self, row: &Row<'_>) -> bool {
        self.has_room_for_bytes(row.sender.len() + row.bytes)
    }

    fn has_room_for_bytes(&self, body_bytes: usize) -> bool {
        let bytes = self.table.len() + self.payload.len() + body_bytes;
        self.count == 0 || (self.count < MESSAGES_MAX && bytes <= BYTES_MAX)
    }

    /// Adds a message with a higher id.
    pub(super) fn push(&mut self, id: u64, offline: bool, body: &[u8]) {
        let (sender, rest) = body::split(body).unwrap_or((&[0], body));
        self.push_parts(id, offline, sender, rest);
    }

    /// Adds a message of another chunk, with a higher id.
    pub(super) fn push_row(&mut self, row: &Row<'_>, payload: &[u8]) -> Result<(), String> {
        self.push_parts(row.id, row.offline, row.sender, row.rest(payload)?);
        Ok(())
    }

    /// `sender` has its length in a byte before it.
    fn push_parts(&mut self, id: u64, offline: bool, sender: &[u8], rest: &[u8]) {
        varint::push(id - self.last_id, &mut self.table);
        let length = (rest.len() as u64) << 1 | u64::from(offline);
        varint::push(length, &mut self.table);
        self.table.extend_from_slice(sender);
        self.payload.extend_from_slice(rest);
        if self.count == 0 {
            self.first_id = id;
        }
        self.last_id = id;
        self.count += 1;
    }

    /// Whether there is something new in it.
    pub(super) fn is_new(&self) -> bool {
        self.count > self.written
    }

    /// Whether it stays as it is, and its packing.
    pub(super) fn stays(&self) -> (bool, Packing) {
        let stays = stays(self.count as u64, self.payload.len());
        let packing = if stays { Packing::Small } else { Packing::Fast };
        (stays, packing)
    }

    /// What it is made of.
    pub(super) fn contents(&self) -> Contents<'_> {
        Contents {
            count: self.count,
            position: self.position,
            last_id: self.last_id,
            table: &self.table,
            payload: &self.payload,
        }
    }

    /// Begins the next one behind it.
    pub(super) fn next(&mut self) {
        self.begin(self.position + self.count as u64);
    }
}

/// A message's line in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) id: u64,
    /// With its length in a byte before it.
    sender: &'a [u8],
    offline: bool,
    /// Where the rest of its body is in the payload.
    start: usize,
    bytes: usize,
}

impl<'a> Row<'a> {
    /// Who sent it.
    pub(super) fn sender(&self) -> &'a [u8] {
        self.sender.get(1..).unwrap_or_default()
    }

    /// The message itself.
    pub(super) fn message(&self, mailbox: &Mailbox, payload: &[u8]) -> Result<Message, String> {
        let rest = self.rest(payload)?;
        body::decode(self.sender(), rest, self.id, mailbox, self.offline)
    }

    /// Its body without the sender.
    fn rest<'p>(&self, payload: &'p [u8]) -> Result<&'p [u8], String> {
        let rest = payload.get(self.start..self.start + self.bytes);
        Ok(rest.ok_or("a message is cut short")?)
    }
}

/// The lines of a chunk's table; all of it is checked.
pub(super) fn rows<'a>(opened: &'a Opened<'_>) -> Result<Vec<Row<'a>>, String> {
    let mut rows = Vec::with_capacity(opened.head.count as usize);
    each(opened, |row| rows.push(row))?;
    Ok(rows)
}

/// Visits the lines of a chunk's table. Only at its end it is known that all is right.
pub(super) fn each<'a>(
    opened: &'a Opened<'_>,
    mut visit: impl FnMut(Row<'a>),
) -> Result<(), String> {
    let mut table = opened.table();
    let mut ids = IdCheck::default();
    let mut start: usize = 0;
    while !table.is_empty() {
        let id = ids.take(&mut table)?;
        let length = varint::take(&mut table).and_then(|length| {
            let bytes = usize::try_from(length >> 1).ok()?;
            Some((bytes, length & 1 == 1))
        });
        let (bytes, offline) = length.ok_or("the table of a chunk is cut short")?;
        let (sender, rest) = body::split(table).ok_or("the table of a chunk is cut short")?;
        table = rest;
        visit(Row {
            id,
            sender,
            offline,
            start,
            bytes,
        });
        let end = start.checked_add(bytes);
        start = end.ok_or("a message is too long")?;
    }
    if start != opened.head.raw_bytes {
        return Err("the messages of a chunk do not fill it".to_owned());
    }
    ids.end(&opened.head)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chunk::{Chunk, pack};
    use super::*;
    use crate::model::{Domain, UserId};

    const BODY: &[u8] = b"\x01a\x01A\x03web\x00\x0a\x02{}";

    fn packed(contents: &Contents<'_>) -> Vec<u8> {
        pack(contents, Packing::Fast, None).unwrap()
    }

    fn opened(value: &[u8]) -> Opened<'_> {
        let chunk = Chunk::check(value).unwrap();
        chunk.open(|_| Err("none".to_owned())).unwrap()
    }

    #[test]
    fn golden_messages() {
        let mut chunk = OpenChunk::default();
        chunk.begin(5);
        chunk.push(258, true, BODY);
        chunk.push(259, false, BODY);
        assert_eq!(chunk.table, b"\x82\x02\x17\x01a\x01\x16\x01a");
        assert_eq!(chunk.payload, [&BODY[2..], &BODY[2..]].concat());
        let value = packed(&chunk.contents());
        let opened = opened(&value);
        assert_eq!((opened.head.position, opened.head.count), (5, 2));
        let mailbox = Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        };
        let payload = opened.payload().unwrap();
        let rows = rows(&opened).unwrap();
        assert_eq!(rows.len(), 2);
        for (row, (id, offline)) in rows.iter().zip([(258, true), (259, false)]) {
            assert_eq!((row.id, row.sender()), (id, &b"a"[..]));
            let message = row.message(&mailbox, &payload).unwrap();
            let expected = body::decode(b"a", &BODY[2..], id, &mailbox, offline);
            assert_eq!(message, expected.unwrap());
        }
        let mut again = OpenChunk::default();
        again.take_up(&opened, 258).unwrap();
        assert!(chunk.is_new() && !again.is_new());
        chunk.push(300, false, BODY);
        again.push(300, false, BODY);
        assert!(again.is_new());
        assert_eq!(packed(&again.contents()), packed(&chunk.contents()));
        again.go_on(&opened.head);
        assert_eq!((again.position, again.is_new()), (7, false));
    }

    #[test]
    fn a_chunk_with_enough_in_it_stays() {
        let long = [b"\x01a", vec![b'x'; BYTES_ENOUGH].as_slice()].concat();
        for (body, count, stays) in [(BODY, 7, false), (BODY, 8, true), (&long, 1, true)] {
            let mut chunk = OpenChunk::default();
            for id in 1..=count {
                chunk.push(id, false, body);
            }
            assert_eq!(chunk.stays().0, stays);
        }
    }

    #[test]
    fn tables_that_are_not_right_are_refused() {
        let right = b"\x01\x04\x01a".as_slice();
        for (count, last_id, table, raw_bytes) in [
            (1, 1, right, 2),
            (1, 1, right, 1),
            (2, 1, right, 2),
            (1, 2, right, 2),
            (2, 1, b"\x01\x04\x01a\x00\x00\x01a", 2),
            (1, 1, b"\x01\x04\x02a", 2),
            (1, 1, b"\x01", 0),
            (0, 0, b"", 1),
        ] {
            let value = packed(&Contents {
                count,
                position: 0,
                last_id,
                table,
                payload: &vec![0; raw_bytes],
            });
            let is_right = (count, last_id, table, raw_bytes) == (1, 1, right, 2);
            assert_eq!(rows(&opened(&value)).is_ok(), is_right);
        }
    }
}

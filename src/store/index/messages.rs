//! A chunk of messages: consecutive ones of a mailbox.
//!
//! The table has for each message: the difference of its id to the one before (of the first
//! one, to 0); four times the bytes that it has in the payload, plus 2 if it shares its body with
//! others, plus 1 if the recipient was offline; the sender's id with its length in a byte before
//! it. The payload has the rest of each body (see [`crate::store::data::body`]), one after the other; of
//! one that is shared, how far the id is from the first that shares it: see [`super::contents`].

use super::chunk::{Contents, IdCheck, Opened};
use super::error::IndexError;
use super::packing::Packing;
use super::varint;
use crate::model::{Mailbox, Message};
use crate::store::data::body;

/// Most messages in a chunk.
pub(super) const MESSAGES_MAX: usize = 24;
/// Most bytes of a chunk before compression, unless one message alone is longer.
const BYTES_MAX: usize = 6 << 10;
/// A chunk of this size goes into the blob file and is final: the next flush begins a new one.
const MESSAGES_ENOUGH: u64 = 8;
const BYTES_ENOUGH: usize = 3 << 10;

/// Whether a chunk of this size is final.
pub(super) fn stays(count: u64, raw_bytes: usize) -> bool {
    count >= MESSAGES_ENOUGH || raw_bytes >= BYTES_ENOUGH
}

/// A chunk being filled.
#[derive(Debug, Default)]
pub(super) struct OpenChunk {
    pub(super) contents: Contents,
    pub(super) first_id: u64,
    /// Messages that are in the tree already.
    written: usize,
}

impl OpenChunk {
    /// Empties the chunk and keeps its buffers.
    pub(super) fn begin(&mut self, position: u64) {
        let contents = &mut self.contents;
        (contents.position, contents.count, contents.last_id) = (position, 0, 0);
        (self.first_id, self.written) = (0, 0);
        contents.table.clear();
        contents.payload.clear();
    }

    /// Continues the last chunk of a mailbox.
    pub(super) fn take_up(&mut self, opened: &Opened<'_>, first_id: u64) -> Result<(), IndexError> {
        let head = &opened.head;
        self.begin(head.position);
        self.first_id = first_id;
        self.written = head.count as usize;
        self.contents.last_id = head.last_id;
        self.contents.count = self.written;
        self.contents.table.extend_from_slice(opened.table());
        self.contents.payload.extend_from_slice(&opened.payload()?);
        Ok(())
    }

    pub(super) fn has_room(&self, body_bytes: usize) -> bool {
        let Contents {
            count,
            table,
            payload,
            ..
        } = &self.contents;
        let bytes = table.len() + payload.len() + body_bytes;
        *count == 0 || (*count < MESSAGES_MAX && bytes <= BYTES_MAX)
    }

    /// The id is above those before.
    pub(super) fn push(&mut self, id: u64, offline: bool, body: Body<'_>) {
        let contents = &mut self.contents;
        varint::push(id - contents.last_id, &mut contents.table);
        let start = contents.payload.len();
        match body.rest {
            Rest::Here(rest) => contents.payload.extend_from_slice(rest),
            Rest::SharedFrom(first) => varint::push(id - first, &mut contents.payload),
        }
        let bytes = (contents.payload.len() - start) as u64;
        let is_shared = matches!(body.rest, Rest::SharedFrom(_));
        let length = bytes << 2 | u64::from(is_shared) << 1 | u64::from(offline);
        varint::push(length, &mut contents.table);
        contents.table.extend_from_slice(body.sender);
        if contents.count == 0 {
            self.first_id = id;
        }
        contents.last_id = id;
        contents.count += 1;
    }

    pub(super) fn is_new(&self) -> bool {
        self.contents.count > self.written
    }

    /// Whether the chunk is final, and its packing.
    pub(super) fn stays(&self) -> (bool, Packing) {
        let stays = stays(self.contents.count as u64, self.contents.payload.len());
        let packing = if stays { Packing::Small } else { Packing::Fast };
        (stays, packing)
    }

    pub(super) fn next(&mut self) {
        self.begin(self.contents.position + self.contents.count as u64);
    }
}

/// A message's body: the sender, and the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    /// With its length in a byte before it.
    sender: &'a [u8],
    pub(super) rest: Rest<'a>,
}

/// A body without the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest<'a> {
    Here(&'a [u8]),
    /// In the contents, under this first id.
    SharedFrom(u64),
}

impl<'a> Body<'a> {
    /// Splits a body as the memtables hold it. `shared_from`: its first id in the contents.
    pub(super) fn new(body: &'a [u8], shared_from: Option<u64>) -> Self {
        let (sender, rest) = body::split(body).unwrap_or((&[0], body));
        let rest = shared_from.map_or(Rest::Here(rest), Rest::SharedFrom);
        Self { sender, rest }
    }

    /// Approximate size in a chunk.
    pub(super) fn bytes(&self) -> usize {
        self.sender.len()
            + match self.rest {
                Rest::Here(rest) => rest.len(),
                Rest::SharedFrom(_) => 1,
            }
    }
}

/// A message's row in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) id: u64,
    pub(super) offline: bool,
    /// With its length in a byte before it.
    sender: &'a [u8],
    is_shared: bool,
    /// Offset in the payload of the rest of its body, or of the reference to it.
    start: usize,
    bytes: usize,
}

impl<'a> Row<'a> {
    pub(super) fn sender(&self) -> &'a [u8] {
        self.sender.get(1..).unwrap_or_default()
    }

    /// Decodes the message from the rest of its body.
    pub(super) fn message(&self, mailbox: &Mailbox, rest: &[u8]) -> Result<Message, IndexError> {
        let message = body::decode(self.sender(), rest, self.id, mailbox, self.offline)?;
        Ok(message)
    }

    pub(super) fn body<'p>(&self, payload: &'p [u8]) -> Result<Body<'p>, IndexError>
    where
        'a: 'p,
    {
        let bytes = payload.get(self.start..self.start + self.bytes);
        let mut bytes = bytes.ok_or("a message is cut short")?;
        let rest = match self.is_shared {
            false => Rest::Here(bytes),
            true => {
                let distance = varint::take(&mut bytes).filter(|_| bytes.is_empty());
                let first = distance.and_then(|distance| self.id.checked_sub(distance));
                Rest::SharedFrom(first.ok_or("what a message shares is not named")?)
            }
        };
        Ok(Body {
            sender: self.sender,
            rest,
        })
    }
}

/// All rows of a chunk.
pub(super) fn rows<'a>(opened: &'a Opened<'_>) -> Result<Vec<Row<'a>>, IndexError> {
    let mut rows = Vec::with_capacity(opened.head.count as usize);
    each(opened, |row| rows.push(row))?;
    Ok(rows)
}

/// Visits the rows of a chunk. They are valid only if this returns `Ok`.
pub(super) fn each<'a>(
    opened: &'a Opened<'_>,
    mut visit: impl FnMut(Row<'a>),
) -> Result<(), IndexError> {
    let mut table = opened.table();
    let mut ids = IdCheck::default();
    let mut start: usize = 0;
    while !table.is_empty() {
        let id = ids.take(&mut table)?;
        let length = varint::take(&mut table).and_then(|length| {
            let bytes = usize::try_from(length >> 2).ok()?;
            Some((bytes, length & 2 != 0, length & 1 != 0))
        });
        let (bytes, is_shared, offline) = length.ok_or("the table of a chunk is cut short")?;
        let (sender, rest) = body::split(table).ok_or("the table of a chunk is cut short")?;
        table = rest;
        visit(Row {
            id,
            offline,
            sender,
            is_shared,
            start,
            bytes,
        });
        let end = start.checked_add(bytes);
        start = end.ok_or("a message is too long")?;
    }
    if start != opened.head.raw_bytes {
        return Err("the messages of a chunk do not fill it".into());
    }
    ids.end(&opened.head)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chunk::Chunk;
    use super::super::chunk::pack;
    use super::*;
    use crate::model::Domain;
    use crate::model::UserId;

    const BODY: &[u8] = b"\x01a\x01A\x03web\x00\x0a\x02{}";

    fn packed(contents: &Contents) -> Vec<u8> {
        pack(contents, Packing::Fast, None).unwrap()
    }

    fn opened(value: &[u8]) -> Opened<'_> {
        let chunk = Chunk::check(value).unwrap();
        chunk.open(|_| Err("none".into())).unwrap()
    }

    #[test]
    fn golden_messages() {
        let mut chunk = OpenChunk::default();
        chunk.begin(5);
        chunk.push(258, true, Body::new(BODY, None));
        chunk.push(259, false, Body::new(BODY, Some(256)));
        assert_eq!(chunk.contents.table, b"\x82\x02\x2d\x01a\x01\x06\x01a");
        assert_eq!(chunk.contents.payload, [&BODY[2..], b"\x03"].concat());
        let value = packed(&chunk.contents);
        let opened = opened(&value);
        assert_eq!((opened.head.position, opened.head.count), (5, 2));
        let mailbox = Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        };
        let payload = opened.payload().unwrap();
        let rows = rows(&opened).unwrap();
        assert_eq!(rows.len(), 2);
        let rests = [Rest::Here(&BODY[2..]), Rest::SharedFrom(256)];
        for ((row, rest), (id, offline)) in rows.iter().zip(rests).zip([(258, true), (259, false)])
        {
            assert_eq!((row.id, row.sender()), (id, &b"a"[..]));
            assert_eq!(row.body(&payload).unwrap().rest, rest);
            let message = row.message(&mailbox, &BODY[2..]).unwrap();
            let expected = body::decode(b"a", &BODY[2..], id, &mailbox, offline);
            assert_eq!(message, expected.unwrap());
        }
        for bad in [&b""[..], b"\x80", b"\x84\x02", b"\x01\x01"] {
            let row = Row {
                is_shared: true,
                start: 0,
                bytes: bad.len(),
                ..rows[1]
            };
            assert!(row.body(bad).is_err(), "{bad:?}");
        }
        let mut again = OpenChunk::default();
        again.take_up(&opened, 258).unwrap();
        assert!(chunk.is_new() && !again.is_new());
        chunk.push(300, false, Body::new(BODY, None));
        again.push(300, false, Body::new(BODY, None));
        assert!(again.is_new());
        assert_eq!(packed(&again.contents), packed(&chunk.contents));
        again.begin(opened.head.end());
        assert_eq!((again.contents.position, again.is_new()), (7, false));
    }

    #[test]
    fn a_chunk_with_enough_in_it_stays() {
        let long = [b"\x01a", vec![b'x'; BYTES_ENOUGH].as_slice()].concat();
        for (body, count, stays) in [(BODY, 7, false), (BODY, 8, true), (&long, 1, true)] {
            let mut chunk = OpenChunk::default();
            for id in 1..=count {
                chunk.push(id, false, Body::new(body, None));
            }
            assert_eq!(chunk.stays().0, stays);
        }
    }

    #[test]
    fn tables_that_are_not_right_are_refused() {
        let right = b"\x01\x08\x01a".as_slice();
        for (count, last_id, table, raw_bytes) in [
            (1, 1, right, 2),
            (1, 1, right, 1),
            (2, 1, right, 2),
            (1, 2, right, 2),
            (2, 1, b"\x01\x08\x01a\x00\x00\x01a", 2),
            (1, 1, b"\x01\x08\x02a", 2),
            (1, 1, b"\x01", 0),
            (0, 0, b"", 1),
        ] {
            let value = packed(&Contents {
                count,
                position: 0,
                last_id,
                table: table.to_vec(),
                payload: vec![0; raw_bytes],
            });
            let is_right = (count, last_id, table, raw_bytes) == (1, 1, right, 2);
            assert_eq!(rows(&opened(&value)).is_ok(), is_right);
        }
    }
}

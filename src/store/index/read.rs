//! Reads mailboxes: by position for pages, by id for queues.
//!
//! Reads no more of a mailbox than it returns, beside a few probes.

use std::ops::Range;

use super::chunk::{Chunk, Opened};
use super::database::Index;
use super::error::IndexError;
use super::messages::{Rest, Row};
use super::search::FoundChunk;
use super::sender::SenderIds;
use super::{key, messages, search};
use crate::model::{Domain, Mailbox, MsgId, UserId};
use crate::store::api::Reading;
use crate::store::data::quota;

impl Index {
    /// Verifies a chunk, and reads its part of the blob file.
    pub(super) fn opened<'a>(&self, found: &'a FoundChunk) -> Result<Opened<'a>, IndexError> {
        self.open_chunk(Chunk::check(&found.value)?)
    }

    fn open_chunk<'a>(&self, chunk: Chunk<'a>) -> Result<Opened<'a>, IndexError> {
        chunk.open(|reference| {
            let read = self.blob.read(reference.at, reference.length);
            read.map_err(|error| format!("the heap cannot be read: {error}").into())
        })
    }

    /// As [`Self::read_chunk`], through the cache of unpacked chunks.
    fn read_chunk_of_page(
        &self,
        mailbox: &Mailbox,
        found: &FoundChunk,
        wanted: impl Fn(u64, u64) -> bool,
        reading: &mut Reading,
    ) -> Result<usize, IndexError> {
        let chunk = Chunk::check(&found.value)?;
        let head = chunk.head;
        let unpacked;
        let opened = match chunk.reference()? {
            None => self.open_chunk(chunk)?,
            Some(reference) => {
                let unpack = || self.open_chunk(chunk)?.unpack();
                unpacked = self.unpacked.get_or_insert_with(&reference, unpack)?;
                Opened::unpacked(head, &unpacked)?
            }
        };
        self.read_chunk(mailbox, &opened, wanted, reading)
    }

    /// Reads the wanted messages of a chunk, by position and id, and returns their number. One by
    /// one, since a shared body is not in the chunk and may be long.
    fn read_chunk(
        &self,
        mailbox: &Mailbox,
        opened: &Opened<'_>,
        wanted: impl Fn(u64, u64) -> bool,
        reading: &mut Reading,
    ) -> Result<usize, IndexError> {
        let mut rows = messages::rows(opened)?;
        let payload = opened.payload()?;
        let mut positions = opened.head.position..;
        rows.retain(|row| positions.next().is_some_and(|at| wanted(at, row.id)));
        let count = rows.len();
        reading.add(rows.into_iter().map(|row| match row.body(&payload)?.rest {
            Rest::Here(rest) => row.message(mailbox, rest),
            Rest::SharedFrom(first) => {
                let key = key::with_id(&key::domain_prefix(&mailbox.domain), first);
                row.message(mailbox, &self.content(&key)?)
            }
        }))?;
        Ok(count)
    }

    /// The next mailbox with messages, in key order.
    pub(crate) fn mailbox_after(
        &self,
        last: Option<&Mailbox>,
    ) -> Result<Option<Mailbox>, IndexError> {
        // Ids follow the prefix, and none begins with this byte.
        let behind = |mailbox| [key::prefix(mailbox), vec![0xff]].concat();
        let from = last.map(behind).unwrap_or_default();
        let Some(entry) = self.messages.range(from..).next() else {
            return Ok(None);
        };
        let mailbox = key::mailbox(&entry?.0);
        Ok(Some(mailbox.ok_or("a key")?))
    }

    /// As [`crate::store::Store::usage`]. Counts whole chunks with messages above the low watermark
    /// of their mailbox, and contents above that of the domain. `step` is called for each row, and
    /// may pause or stop the count.
    pub(crate) fn bytes_of(
        &self,
        domain: &Domain,
        low_watermark: impl Fn(&Mailbox) -> MsgId,
        low_watermark_of_all: MsgId,
        step: &mut dyn FnMut() -> Result<(), IndexError>,
    ) -> Result<u64, IndexError> {
        let mut bytes = 0;
        let mut current = (Vec::new(), 0, 0);
        for entry in self.messages.scan_prefix(key::domain_prefix(domain)) {
            let found = FoundChunk::parse(entry?)?;
            let prefix = key::of_mailbox(&found.key).unwrap_or_default();
            if prefix != current.0 {
                let mailbox = key::mailbox(prefix).ok_or("a key")?;
                let each = quota::message(domain, &mailbox.user);
                current = (prefix.to_vec(), low_watermark(&mailbox).0, each);
            }
            let head = found.head;
            if head.last_id > current.1 {
                bytes += head.count * current.2 + head.bytes();
            }
            step()?;
        }
        for entry in self.contents.scan_prefix(key::domain_prefix(domain)) {
            let head = FoundChunk::parse(entry?)?.head;
            if head.last_id > low_watermark_of_all.0 {
                bytes += head.bytes();
            }
            step()?;
        }
        let days = self.sends_trees();
        for tree in days.iter().chain([&self.cursors, &self.erased]) {
            for entry in tree.scan_prefix(key::domain_prefix(domain)) {
                bytes += quota::row(entry?.0.len());
                step()?;
            }
        }
        Ok(bytes)
    }

    pub(crate) fn list(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
    ) -> Result<List<'_>, IndexError> {
        let sender = from
            .map(|from| self.sender_ids(mailbox, from))
            .transpose()?;
        Ok(List {
            index: self,
            mailbox: mailbox.clone(),
            prefix: key::prefix(mailbox),
            sender,
        })
    }

    /// `ids` is in ascending order.
    fn read_ids(
        &self,
        mailbox: &Mailbox,
        ids: &[u64],
        reading: &mut Reading,
    ) -> Result<(), IndexError> {
        let prefix = key::prefix(mailbox);
        let mut rest = ids;
        while !reading.is_full() {
            let next = match reading.newest_first() {
                true => rest.last(),
                false => rest.first(),
            };
            let Some(id) = next else {
                break;
            };
            let found = search::at_or_below(&self.messages, &prefix, *id)?;
            let found = found.ok_or("a message is missing")?;
            let (these, others) = if reading.newest_first() {
                let (others, these) =
                    rest.split_at(rest.partition_point(|id| *id < found.first_id));
                (these, others)
            } else {
                rest.split_at(rest.partition_point(|id| *id <= found.head.last_id))
            };
            let wanted = |_, id| these.binary_search(&id).is_ok();
            let count = self.read_chunk_of_page(mailbox, &found, wanted, reading)?;
            if these.is_empty() || count != these.len() {
                return Err("a sender's message is missing".into());
            }
            rest = others;
        }
        Ok(())
    }

    /// Reads messages above `after` and up to `bound`.
    pub(crate) fn read_between(
        &self,
        mailbox: &Mailbox,
        after: MsgId,
        bound: MsgId,
        reading: &mut Reading,
    ) -> Result<(), IndexError> {
        if after >= bound {
            return Ok(());
        }
        let prefix = key::prefix(mailbox);
        for found in search::above(&self.messages, &prefix, after.0)? {
            let found = found?;
            if found.first_id > bound.0 || reading.is_full() {
                break;
            }
            let wanted = |_, id| id > after.0 && id <= bound.0;
            self.read_chunk(mailbox, &self.opened(&found)?, wanted, reading)?;
        }
        Ok(())
    }
}

/// The messages of a mailbox, or a sender's in it.
pub(crate) struct List<'a> {
    index: &'a Index,
    mailbox: Mailbox,
    prefix: Vec<u8>,
    sender: Option<SenderIds>,
}

impl List<'_> {
    /// The number of messages with an id of at most `upto`.
    pub(crate) fn rank(&self, upto: MsgId) -> Result<u64, IndexError> {
        if let Some(sender) = &self.sender {
            return self.index.rank_from(sender, upto.0);
        }
        let found = search::at_or_below(&self.index.messages, &self.prefix, upto.0)?;
        let Some(found) = found else {
            return Ok(0);
        };
        if found.head.last_id <= upto.0 {
            return Ok(found.head.end());
        }
        let mut count = 0;
        let visit = |row: Row<'_>| count += u64::from(row.id <= upto.0);
        messages::each(&self.index.opened(&found)?, visit)?;
        Ok(found.head.position + count)
    }

    /// The positions must not reach beyond the end.
    pub(crate) fn read(
        &self,
        positions: Range<u64>,
        reading: &mut Reading,
    ) -> Result<(), IndexError> {
        if positions.is_empty() || reading.is_full() {
            return Ok(());
        }
        let (index, mailbox) = (self.index, &self.mailbox);
        if let Some(sender) = &self.sender {
            let ids = index.ids_from(sender, positions)?;
            return index.read_ids(mailbox, &ids, reading);
        }
        let tree = &index.messages;
        let first = match reading.newest_first() {
            true => positions.end - 1,
            false => positions.start,
        };
        let Some(first) = search::holding(tree, &self.prefix, first)? else {
            return Ok(());
        };
        let (mut up, mut down);
        let chunks: &mut dyn Iterator<Item = _> = if reading.newest_first() {
            down = search::downwards(tree, &self.prefix, first.first_id);
            &mut down
        } else {
            up = search::upwards(tree, &self.prefix, first.first_id);
            &mut up
        };
        for found in chunks {
            let found = found?;
            let outside =
                found.head.position >= positions.end || found.head.end() <= positions.start;
            if outside || reading.is_full() {
                break;
            }
            let wanted = |position, _| positions.contains(&position);
            index.read_chunk_of_page(mailbox, &found, wanted, reading)?;
        }
        Ok(())
    }
}

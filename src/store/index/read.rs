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
use crate::model::{Domain, Mailbox, Message, MsgId, UserId};
use crate::store::api::Portion;
use crate::store::data::quota;

impl Index {
    /// Checks a chunk and takes what it has in the blob file.
    pub(super) fn opened<'a>(&self, found: &'a FoundChunk) -> Result<Opened<'a>, IndexError> {
        self.open_chunk(Chunk::check(&found.value).map_err(IndexError::Damaged)?)
    }

    fn open_chunk<'a>(&self, chunk: Chunk<'a>) -> Result<Opened<'a>, IndexError> {
        let opened = chunk.open(|reference| {
            let read = self.blob.read(reference.at, reference.length);
            read.map_err(|error| format!("the heap cannot be read: {error}"))
        });
        opened.map_err(IndexError::Damaged)
    }

    /// Does the same for a page: what is in the blob file is kept for the next one.
    fn opened_for_page<'a>(&self, found: &'a FoundChunk) -> Result<Opened<'a>, IndexError> {
        let chunk = Chunk::check(&found.value).map_err(IndexError::Damaged)?;
        let Some(reference) = chunk.reference().map_err(IndexError::Damaged)? else {
            return self.open_chunk(chunk);
        };
        let head = chunk.head;
        let read = || {
            self.open_chunk(chunk)?
                .unpack()
                .map_err(IndexError::Damaged)
        };
        let rest = self.unpacked.get(reference, read)?;
        Opened::unpacked(head, rest).map_err(IndexError::Damaged)
    }

    /// The messages of a chunk that are wanted, by position and id, one by one: what they share with others is not
    /// in the chunk, and may be long.
    fn each_of<'a>(
        &'a self,
        mailbox: &'a Mailbox,
        (found, opened): (&FoundChunk, &'a Opened<'_>),
        wanted: impl Fn(u64, u64) -> bool,
    ) -> Result<
        impl DoubleEndedIterator<Item = Result<Message, IndexError>> + ExactSizeIterator + 'a,
        IndexError,
    > {
        let mut rows = messages::rows(opened).map_err(IndexError::Damaged)?;
        let payload = opened.payload().map_err(IndexError::Damaged)?;
        let mut positions = found.head.position..;
        rows.retain(|row| {
            positions
                .next()
                .is_some_and(|position| wanted(position, row.id))
        });
        let rows = rows.into_iter();
        Ok(rows.map(move |row| self.message_of(&row, mailbox, &payload)))
    }

    /// The message of a row, by the payload of its chunk.
    fn message_of(
        &self,
        row: &Row<'_>,
        mailbox: &Mailbox,
        payload: &[u8],
    ) -> Result<Message, IndexError> {
        let body = row.body(payload).map_err(IndexError::Damaged)?;
        let message = match body.rest {
            Rest::Here(rest) => row.message(mailbox, rest),
            Rest::SharedFrom(first) => row.message(mailbox, &self.content(mailbox, first)?),
        };
        message.map_err(IndexError::Damaged)
    }

    /// The mailbox behind this one, in the order of keys, that has messages; the first for `None`.
    pub(crate) fn mailbox_after(
        &self,
        last: Option<&Mailbox>,
    ) -> Result<Option<Mailbox>, IndexError> {
        // Behind its prefix stand ids, and none begins so.
        let behind = |mailbox| [key::prefix(mailbox), vec![0xff]].concat();
        let from = last.map(behind).unwrap_or_default();
        let Some(entry) = self.messages.range(from..).next() else {
            return Ok(None);
        };
        let mailbox = key::mailbox(&entry?.0);
        Ok(Some(mailbox.ok_or_else(|| IndexError::damaged("a key"))?))
    }

    /// As [`crate::store::Store::usage`]: of messages all in the chunks that have some above their
    /// mailbox's low watermark, and of what several share all above that of the domain. `step` is called for each row, and may pause or end it.
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
                let mailbox = key::mailbox(prefix).ok_or_else(|| IndexError::damaged("a key"))?;
                let each = quota::messages(1, domain, &mailbox.user);
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

    /// The messages of the mailbox (from `from`), for questions about their positions.
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

    /// A portion of the messages with these ids, which rise.
    fn by_ids(
        &self,
        mailbox: &Mailbox,
        ids: &[u64],
        portion: Portion,
    ) -> Result<Vec<Message>, IndexError> {
        let prefix = key::prefix(mailbox);
        let mut out = Vec::new();
        let mut rest = ids;
        while !portion.is_full(&out) {
            let next = match portion.newest_first {
                true => rest.last(),
                false => rest.first(),
            };
            let Some(id) = next else {
                break;
            };
            let found = search::at_or_below(&self.messages, &prefix, *id)?;
            let found = found.ok_or_else(|| IndexError::damaged("a message is missing"))?;
            let (these, others) = if portion.newest_first {
                let (others, these) =
                    rest.split_at(rest.partition_point(|id| *id < found.first_id));
                (these, others)
            } else {
                rest.split_at(rest.partition_point(|id| *id <= found.head.last_id))
            };
            let opened = self.opened_for_page(&found)?;
            let wanted = |_, id| these.binary_search(&id).is_ok();
            let messages = self.each_of(mailbox, (&found, &opened), wanted)?;
            if these.is_empty() || messages.len() != these.len() {
                return Err(IndexError::damaged("a sender's message is missing"));
            }
            portion.add(messages, &mut out)?;
            rest = others;
        }
        Ok(out)
    }

    /// Messages above `after` and up to `bound`, oldest first: at most `count_max`, and
    /// no more once their contents reach `bytes_max`.
    pub(crate) fn messages_between(
        &self,
        mailbox: &Mailbox,
        after: MsgId,
        bound: MsgId,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Message>, IndexError> {
        let mut messages = Vec::new();
        if after >= bound {
            return Ok(messages);
        }
        let prefix = key::prefix(mailbox);
        let mut bytes = 0;
        for found in search::above(&self.messages, &prefix, after.0)? {
            let found = found?;
            if found.first_id > bound.0 {
                break;
            }
            let wanted = |_, id| id > after.0 && id <= bound.0;
            let opened = self.opened(&found)?;
            let mut here = self.each_of(mailbox, (&found, &opened), wanted)?;
            loop {
                if messages.len() >= count_max || (bytes >= bytes_max && !messages.is_empty()) {
                    return Ok(messages);
                }
                let Some(message) = here.next().transpose()? else {
                    break;
                };
                bytes += message.content.len();
                messages.push(message);
            }
        }
        Ok(messages)
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
    /// How many of them have an id of at most `upto`.
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
        messages::each(&self.index.opened(&found)?, visit).map_err(IndexError::Damaged)?;
        Ok(found.head.position + count)
    }

    /// A portion of those at these positions, which are not beyond the end.
    pub(crate) fn slice(
        &self,
        positions: Range<u64>,
        portion: Portion,
    ) -> Result<Vec<Message>, IndexError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(sender) = &self.sender {
            let ids = self.index.ids_from(sender, positions)?;
            return self.index.by_ids(&self.mailbox, &ids, portion);
        }
        let tree = &self.index.messages;
        let first = match portion.newest_first {
            true => positions.end - 1,
            false => positions.start,
        };
        let Some(first) = search::holding(tree, &self.prefix, first)? else {
            return Ok(Vec::new());
        };
        let (mut up, mut down);
        let chunks: &mut dyn Iterator<Item = _> = if portion.newest_first {
            down = search::downwards(tree, &self.prefix, first.first_id);
            &mut down
        } else {
            up = search::upwards(tree, &self.prefix, first.first_id);
            &mut up
        };
        let mut messages = Vec::new();
        for found in chunks {
            let found = found?;
            let outside =
                found.head.position >= positions.end || found.head.end() <= positions.start;
            if outside || portion.is_full(&messages) {
                break;
            }
            let wanted = |position, _| positions.contains(&position);
            let opened = self.index.opened_for_page(&found)?;
            let here = self
                .index
                .each_of(&self.mailbox, (&found, &opened), wanted)?;
            portion.add(here, &mut messages)?;
        }
        Ok(messages)
    }
}

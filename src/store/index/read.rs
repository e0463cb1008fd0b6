//! Reads mailboxes: by position for pages, by id for queues.
//!
//! Nothing here reads more of a mailbox than it answers, beside a few probes.

use std::ops::Range;

use super::chunk;
use super::messages::{self, Row};
use super::search::{self, Found};
use super::{Index, IndexError, key};
use crate::model::{Mailbox, Message, MsgId, UserId};

impl Index {
    pub(super) fn parts_of(&self, chunk_key: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
        let mut payload = Vec::with_capacity(bytes.min(1 << 20));
        let range = key::part(chunk_key, 0)..=key::part(chunk_key, u32::MAX);
        for part in self.parts.range(range) {
            let (_, part) = part.map_err(|error| error.to_string())?;
            payload.extend_from_slice(&part);
            if payload.len() >= bytes {
                break;
            }
        }
        payload.truncate(bytes);
        Ok(payload)
    }

    /// A chunk's table and payload.
    fn read<'a>(&self, found: &'a Found) -> Result<(Vec<Row<'a>>, Vec<u8>), String> {
        let checked = chunk::check(&found.value)?;
        let rows = messages::rows(&checked)?;
        let payload = checked.payload(|bytes| self.parts_of(&found.key, bytes))?;
        Ok((rows, payload))
    }

    /// The messages of a chunk that are wanted, by position and id.
    fn messages_of(
        &self,
        mailbox: &Mailbox,
        found: &Found,
        wanted: impl Fn(u64, u64) -> bool,
    ) -> Result<Vec<Message>, IndexError> {
        let (rows, payload) = self.read(found).map_err(IndexError::Damaged)?;
        let rows = (found.head.position..).zip(&rows);
        let wanted = rows.filter(|(position, row)| wanted(*position, row.id));
        let messages: Result<_, _> = wanted
            .map(|(_, row)| row.message(mailbox, &payload))
            .collect();
        messages.map_err(IndexError::Damaged)
    }

    /// How many messages of the mailbox (from `from`) have an id of at most `upto`.
    pub(in crate::store) fn rank(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        upto: MsgId,
    ) -> Result<u64, IndexError> {
        if let Some(from) = from {
            return self.rank_from(mailbox, from, upto.0);
        }
        let prefix = key::prefix(mailbox);
        let Some(found) = search::at_or_below(&self.messages, &prefix, upto.0)? else {
            return Ok(0);
        };
        if found.head.last_id <= upto.0 {
            return Ok(found.head.end());
        }
        let mut count = 0;
        chunk::check(&found.value)
            .and_then(|checked| {
                messages::each(&checked, |row| count += u64::from(row.id <= upto.0))
            })
            .map_err(IndexError::Damaged)?;
        Ok(found.head.position + count)
    }

    /// The messages at these positions, oldest first.
    pub(in crate::store) fn slice(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        positions: Range<u64>,
    ) -> Result<Vec<Message>, IndexError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(from) = from {
            let ids = self.ids_from(mailbox, from, positions)?;
            return self.by_ids(mailbox, &ids);
        }
        let prefix = key::prefix(mailbox);
        let Some(first) = search::holding(&self.messages, &prefix, positions.start)? else {
            return Ok(Vec::new());
        };
        let mut messages = Vec::new();
        for found in search::upwards(&self.messages, &prefix, first.first_id) {
            let found = found?;
            if found.head.position >= positions.end {
                break;
            }
            let wanted = |position, _| positions.contains(&position);
            messages.extend(self.messages_of(mailbox, &found, wanted)?);
        }
        Ok(messages)
    }

    fn by_ids(&self, mailbox: &Mailbox, ids: &[u64]) -> Result<Vec<Message>, IndexError> {
        let prefix = key::prefix(mailbox);
        let mut out = Vec::with_capacity(ids.len());
        let mut rest = ids;
        while let Some(id) = rest.first() {
            let found = search::at_or_below(&self.messages, &prefix, *id)?;
            let found = found.ok_or_else(|| IndexError::damaged("a message is missing"))?;
            let here = rest.partition_point(|id| *id <= found.head.last_id);
            let (these, others) = rest.split_at(here);
            let messages =
                self.messages_of(mailbox, &found, |_, id| these.binary_search(&id).is_ok())?;
            if these.is_empty() || messages.len() != these.len() {
                return Err(IndexError::damaged("a sender's message is missing"));
            }
            out.extend(messages);
            rest = others;
        }
        Ok(out)
    }

    /// Messages above `after` and up to `bound`, oldest first: at most `count_max`, and
    /// no more once their contents reach `bytes_max`.
    pub(in crate::store) fn messages_between(
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
            for message in self.messages_of(mailbox, &found, wanted)? {
                if messages.len() >= count_max || (bytes >= bytes_max && !messages.is_empty()) {
                    return Ok(messages);
                }
                bytes += message.content.len();
                messages.push(message);
            }
        }
        Ok(messages)
    }
}

//! Reads mailboxes: by position for pages, by id for queues.
//!
//! Nothing here reads more of a mailbox than it answers, beside a few probes.

use std::ops::Range;

use super::chunk::{self, Head};
use super::search::{self, Found};
use super::{Index, IndexError, key};
use crate::model::{Mailbox, Message, MsgId, UserId};

impl Index {
    /// Checks a chunk and answers its payload, fetching its parts where it has some.
    pub(super) fn unpack(&self, found: &Found) -> Result<(Head, Vec<u8>), IndexError> {
        let parts = |bytes: usize| self.parts_of(&found.key, bytes);
        chunk::unpack(&found.value, parts).map_err(IndexError::Damaged)
    }

    fn parts_of(&self, chunk_key: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
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

    fn messages_of(&self, mailbox: &Mailbox, found: &Found) -> Result<Vec<Message>, IndexError> {
        let (head, raw) = self.unpack(found)?;
        chunk::decode_messages(mailbox, &head, &raw).map_err(IndexError::Damaged)
    }

    /// How many messages of the mailbox (from `from`) have an id of at most `upto`.
    pub(in crate::store) fn rank(
        &self,
        mailbox: &Mailbox,
        from: Option<&UserId>,
        upto: MsgId,
    ) -> Result<u64, IndexError> {
        let prefix = key::prefix(mailbox, from);
        let tree = if from.is_some() {
            &self.senders
        } else {
            &self.messages
        };
        let Some(found) = search::at_or_below(tree, &prefix, upto.0)? else {
            return Ok(0);
        };
        if found.head.last_id <= upto.0 {
            return Ok(found.head.end());
        }
        let (head, raw) = self.unpack(&found)?;
        let ids = if from.is_some() {
            chunk::decode_ids(&head, &raw)
        } else {
            chunk::decode_message_ids(&head, &raw)
        };
        let ids = ids.map_err(IndexError::Damaged)?;
        Ok(head.position + ids.partition_point(|id| *id <= upto.0) as u64)
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
        let prefix = key::prefix(mailbox, from);
        let tree = if from.is_some() {
            &self.senders
        } else {
            &self.messages
        };
        let Some(first) = search::holding(tree, &prefix, positions.start)? else {
            return Ok(Vec::new());
        };
        let mut messages = Vec::new();
        let mut ids = Vec::new();
        for found in search::upwards(tree, &prefix, first.first_id) {
            let found = found?;
            if found.head.position >= positions.end {
                break;
            }
            let skip = positions.start.saturating_sub(found.head.position) as usize;
            let take = (positions.end - found.head.position) as usize;
            let take = take.saturating_sub(skip);
            if from.is_some() {
                let (head, raw) = self.unpack(&found)?;
                let found = chunk::decode_ids(&head, &raw).map_err(IndexError::Damaged)?;
                ids.extend(found.into_iter().skip(skip).take(take));
            } else {
                let found = self.messages_of(mailbox, &found)?;
                messages.extend(found.into_iter().skip(skip).take(take));
            }
        }
        if from.is_some() {
            messages = self.by_ids(mailbox, &ids)?;
        }
        Ok(messages)
    }

    fn by_ids(&self, mailbox: &Mailbox, ids: &[u64]) -> Result<Vec<Message>, IndexError> {
        let prefix = key::prefix(mailbox, None);
        let mut out = Vec::with_capacity(ids.len());
        let mut chunk: Vec<Message> = Vec::new();
        for id in ids {
            if chunk.last().is_none_or(|last| last.id.0 < *id) {
                let found = search::at_or_below(&self.messages, &prefix, *id)?;
                let found = found.ok_or_else(|| IndexError::damaged("a message is missing"))?;
                chunk = self.messages_of(mailbox, &found)?;
            }
            let at = chunk.binary_search_by_key(id, |message| message.id.0);
            let at = at.map_err(|_| IndexError::damaged("a sender's message is missing"))?;
            out.push(chunk[at].clone());
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
        let prefix = key::prefix(mailbox, None);
        let holder = search::at_or_below(&self.messages, &prefix, after.0)?;
        let begin = match holder {
            Some(found) if found.head.last_id > after.0 => found.first_id,
            _ => after.0 + 1,
        };
        let mut bytes = 0;
        for found in search::upwards(&self.messages, &prefix, begin) {
            let found = found?;
            if found.first_id > bound.0 {
                break;
            }
            for message in self.messages_of(mailbox, &found)? {
                if message.id <= after || message.id > bound {
                    continue;
                }
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

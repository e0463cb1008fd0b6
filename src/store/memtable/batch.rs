//! The messages of one commit, encoded for a memtable before any lock is taken.
//!
//! A body that several recipients of a send share is encoded once. If it is large, the index stores
//! it once too, under the first id that shares it.

use std::sync::Arc;

use super::mailbox::Bodies;
use crate::model::Message;
use crate::store::data::body;

/// A recipient's share of a chunk beside the sender's id, if the body is elsewhere.
const LINE_BYTES: usize = 8;

#[derive(Debug)]
pub(crate) struct EncodedBatch<'a> {
    pub(super) messages: &'a [Message],
    pub(super) bodies: Bodies,
    /// Offset of the body of each message.
    pub(super) starts: Vec<u32>,
    /// The first message of each body that the index stores once.
    pub(super) shared: Vec<usize>,
    /// Bytes that the index stores for each recipient, and memory once.
    pub(super) repeated_bytes: usize,
}

impl<'a> EncodedBatch<'a> {
    /// The messages are in id order. What the recipients of one send share is encoded once.
    pub(crate) fn new(messages: &'a [Message]) -> Self {
        let mut bodies = Vec::new();
        let mut starts = Vec::with_capacity(messages.len());
        let mut shared = Vec::new();
        let mut repeated_bytes = 0;
        let of_one_send = messages.chunk_by(is_same_send);
        for sharing in of_one_send {
            let start = bodies.len();
            bodies.extend_from_slice(&[0; 4]);
            body::encode(&sharing[0], &mut bodies);
            let length = bodies.len() - start - 4;
            bodies[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
            let of_each = if body::is_shared(sharing.len(), length) {
                shared.push(starts.len());
                sharing[0].from_id.as_str().len() + LINE_BYTES
            } else {
                length
            };
            repeated_bytes += (sharing.len() - 1) * of_each;
            starts.extend(sharing.iter().map(|_| start as u32));
        }
        Self {
            messages,
            bodies: bodies.into(),
            starts,
            shared,
            repeated_bytes,
        }
    }
}

fn is_same_send(one: &Message, other: &Message) -> bool {
    Arc::ptr_eq(&one.content, &other.content)
        && one.from_id == other.from_id
        && one.from_name == other.from_name
        && one.from_resource == other.from_resource
        && one.to_resource == other.to_resource
        && one.kind == other.kind
}

//! The messages of one commit on their way into the tail: encoded before any lock is taken.

use std::sync::Arc;

use super::super::body;
use super::mailbox::Bodies;
use crate::model::Message;

/// The messages of a commit, encoded.
#[derive(Debug)]
pub(in crate::store) struct Batch<'a> {
    pub(super) messages: &'a [Message],
    pub(super) bodies: Bodies,
    /// Where the body of each message is.
    pub(super) starts: Vec<u32>,
}

impl<'a> Batch<'a> {
    /// Encodes the messages, which are in the order of ids. What the recipients of one send
    /// share is there once.
    pub(in crate::store) fn new(messages: &'a [Message]) -> Self {
        let mut bodies = Vec::new();
        let mut starts = Vec::with_capacity(messages.len());
        let mut last: Option<(&Message, u32)> = None;
        for message in messages {
            let shared = last.filter(|(last, _)| is_same_send(last, message));
            let start = shared.map_or(bodies.len() as u32, |(_, start)| start);
            if shared.is_none() {
                bodies.extend_from_slice(&[0; 4]);
                let begin = bodies.len();
                body::encode(message, &mut bodies);
                let length = ((bodies.len() - begin) as u32).to_le_bytes();
                bodies[begin - 4..begin].copy_from_slice(&length);
            }
            last = Some((message, start));
            starts.push(start);
        }
        Self {
            messages,
            bodies: bodies.into(),
            starts,
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

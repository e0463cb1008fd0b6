//! What stored data counts against a quota; the disk takes at most twice as much.
//!
//! One model for what is accepted and for what is measured, so that a measurement corrects nothing
//! but deletions. Contents count once and uncompressed, though journal and index both hold them;
//! overhead counts as half of the most that was observed.

use super::body;
use crate::model::{ClientMsgId, Domain, Draft, Mailbox, Resource, UserId};

/// A message, for each recipient.
const MESSAGE_BYTES: u64 = 512;
/// A receipt cursor, the ids of a send, or an erasure.
const ROW_BYTES: u64 = 512;
/// Weight of a key's bytes: sled's pages are uncompressed and rewritten often.
const KEY_FACTOR: u64 = 2;

/// The cost of a draft that is no repeat, without the devices that it makes known.
pub fn stored_bytes(draft: &Draft) -> u64 {
    let count = draft.recipients.len() as u64;
    let Draft {
        domain, from_id, ..
    } = draft;
    let recipients = draft.recipients.iter();
    let recipients = recipients.map(|to| message(domain, &to.user));
    let from = from_id.as_str().len() as u64;
    let rest = draft.each_bytes() - domain.as_str().len() as u64 - from;
    let bodies = match body::is_shared(draft.recipients.len(), (from + rest) as usize) {
        true => 1,
        false => count,
    };
    let key = draft.client_msg_id.as_ref();
    recipients.sum::<u64>()
        + count * from
        + bodies * rest
        + key.map_or(0, |key| send(domain, from_id, key))
}

/// A message without the sender's names and the content. Its mailbox's names may be in a key of its
/// own.
pub(crate) fn message(domain: &Domain, user: &UserId) -> u64 {
    let names = domain.as_str().len() + user.as_str().len();
    MESSAGE_BYTES + KEY_FACTOR * names as u64
}

/// A row of the index.
pub(crate) fn row(key_bytes: usize) -> u64 {
    ROW_BYTES + KEY_FACTOR * key_bytes as u64
}

pub(crate) fn send(domain: &Domain, from: &UserId, client_msg_id: &ClientMsgId) -> u64 {
    let names = domain.as_str().len() + from.as_str().len();
    row(names + client_msg_id.as_str().len())
}

pub(crate) fn cursor(mailbox: &Mailbox, resource: &Resource) -> u64 {
    row(names(mailbox) + resource.as_str().len())
}

pub(crate) fn erasure(mailbox: &Mailbox) -> u64 {
    row(names(mailbox))
}

fn names(mailbox: &Mailbox) -> usize {
    mailbox.domain.as_str().len() + mailbox.user.as_str().len()
}

//! Records: the stored form of everything that must survive, as journal frames hold it.
//!
//! A record is a version byte and then bincode. The numbers of the variants are part of the format
//! and are only ever added to. Names are validated again on reading, so nothing gets in that could
//! not have been written.

mod decode;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

pub(crate) use decode::decode;

use bincode::config::{Configuration, standard};
use bincode::{BorrowDecode, Encode};

use super::cursor::{CursorChange, CursorValue};
use super::sends::{SendIds, SendKey};
use crate::model::{
    ClientMsgId, Device, Domain, DomainRecord, Mailbox, Message, MsgId, NameError, Resource,
};
use crate::store::age::AgeState;

const VERSION: u8 = 1;
const CODING: Configuration = standard();

#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a record is empty")]
    Empty,
    #[error("a record has version {0}, which this relaybox does not know")]
    Version(u8),
    /// In our own words: a record may hold a signing key.
    #[error("a record does not decode: {0}")]
    Coding(&'static str),
    #[error("a record holds a name that {0}")]
    Name(#[from] NameError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// A send: one message for each recipient, with consecutive ids, and the sender's own id of it.
    Send {
        messages: Vec<Message>,
        client_msg_id: Option<ClientMsgId>,
    },
    Cursor {
        device: Device,
        change: CursorChange,
    },
    /// A domain was added or changed.
    Domain(DomainRecord),
    /// A domain was removed, with everything at or below `low_watermark`.
    DomainRemoved {
        domain: Domain,
        low_watermark: MsgId,
    },
    /// A mailbox was erased up to `upto`.
    Erased {
        mailbox: Mailbox,
        upto: MsgId,
        at_ms: u64,
    },
    /// A user has confirmed everything up to `id`, whatever its cursors say.
    Confirmed {
        mailbox: Mailbox,
        id: MsgId,
    },
    Age(AgeState),
    /// The ids of a send whose messages are gone, for its repeats.
    SendIds {
        key: SendKey,
        ids: SendIds,
    },
}

#[derive(Encode, BorrowDecode)]
enum Stored<'a> {
    Send(StoredSend<'a>),
    /// A raise.
    Cursor {
        device: StoredDevice<'a>,
        id: MsgId,
        at_ms: u64,
    },
    Domain(StoredDomain<'a>),
    DomainRemoved {
        domain: &'a str,
        low_watermark: MsgId,
    },
    CursorSet {
        device: StoredDevice<'a>,
        value: CursorValue,
    },
    CursorUsed {
        device: StoredDevice<'a>,
        at_ms: u64,
    },
    CursorDropped {
        device: StoredDevice<'a>,
    },
    Erased {
        domain: &'a str,
        user: &'a str,
        upto: MsgId,
        at_ms: u64,
    },
    SendIds {
        domain: &'a str,
        from_id: &'a str,
        client_msg_id: &'a str,
        ids: SendIds,
    },
    Confirmed {
        domain: &'a str,
        user: &'a str,
        id: MsgId,
    },
    Age(AgeState),
}

#[derive(Encode, BorrowDecode)]
struct StoredDevice<'a> {
    domain: &'a str,
    user: &'a str,
    resource: &'a str,
}

#[derive(Encode, BorrowDecode)]
struct StoredSend<'a> {
    domain: &'a str,
    from_id: &'a str,
    from_name: &'a str,
    from_resource: &'a str,
    to_resource: Option<&'a str>,
    kind: u32,
    content: &'a str,
    client_msg_id: Option<&'a str>,
    first_id: u64,
    recipients: Vec<(&'a str, bool)>,
}

#[derive(Encode, BorrowDecode)]
struct StoredDomain<'a> {
    domain: &'a str,
    created_at_ms: u64,
    tokens: Vec<([u8; 32], Option<u64>)>,
    signing_keys: Vec<([u8; 32], Option<u64>)>,
}

/// `messages` are those of one draft, in order.
pub(crate) fn encode_send(
    messages: &[Message],
    client_msg_id: Option<&ClientMsgId>,
    out: &mut Vec<u8>,
) {
    let Some(first) = messages.first() else {
        return;
    };
    let recipients = messages
        .iter()
        .map(|message| (message.mailbox.user.as_str(), message.recipient_offline));
    let stored = Stored::Send(StoredSend {
        domain: first.mailbox.domain.as_str(),
        from_id: first.from_id.as_str(),
        from_name: first.from_name.as_str(),
        from_resource: first.from_resource.as_str(),
        to_resource: first.to_resource.as_ref().map(Resource::as_str),
        kind: first.kind.0,
        content: &first.content,
        client_msg_id: client_msg_id.map(ClientMsgId::as_str),
        first_id: first.id.0,
        recipients: recipients.collect(),
    });
    put(&stored, out);
}

pub(crate) fn encode_cursor(device: &Device, change: CursorChange, out: &mut Vec<u8>) {
    let device = StoredDevice {
        domain: device.mailbox.domain.as_str(),
        user: device.mailbox.user.as_str(),
        resource: device.resource.as_str(),
    };
    let stored = match change {
        CursorChange::Raise { id, at_ms } => Stored::Cursor { device, id, at_ms },
        CursorChange::Set(value) => Stored::CursorSet { device, value },
        CursorChange::Use { at_ms } => Stored::CursorUsed { device, at_ms },
        CursorChange::Drop => Stored::CursorDropped { device },
    };
    put(&stored, out);
}

pub(crate) fn encode_domain(record: &DomainRecord, out: &mut Vec<u8>) {
    let tokens = record.tokens.iter().map(|t| (t.sha256, t.expires_at_ms));
    let keys = record
        .signing_keys
        .iter()
        .map(|k| (k.secret, k.expires_at_ms));
    let stored = Stored::Domain(StoredDomain {
        domain: record.domain.as_str(),
        created_at_ms: record.created_at_ms,
        tokens: tokens.collect(),
        signing_keys: keys.collect(),
    });
    put(&stored, out);
}

pub(crate) fn encode_age(age: &AgeState, out: &mut Vec<u8>) {
    put(&Stored::Age(age.clone()), out);
}

pub(crate) fn encode(record: &Record, out: &mut Vec<u8>) {
    let stored = match record {
        Record::Send {
            messages,
            client_msg_id,
        } => return encode_send(messages, client_msg_id.as_ref(), out),
        Record::Cursor { device, change } => return encode_cursor(device, *change, out),
        Record::Domain(domain) => return encode_domain(domain, out),
        Record::Age(age) => return encode_age(age, out),
        Record::SendIds { key, ids } => Stored::SendIds {
            domain: key.domain.as_str(),
            from_id: key.from_id.as_str(),
            client_msg_id: key.client_msg_id.as_str(),
            ids: *ids,
        },
        Record::Confirmed { mailbox, id } => Stored::Confirmed {
            domain: mailbox.domain.as_str(),
            user: mailbox.user.as_str(),
            id: *id,
        },
        Record::DomainRemoved {
            domain,
            low_watermark,
        } => Stored::DomainRemoved {
            domain: domain.as_str(),
            low_watermark: *low_watermark,
        },
        Record::Erased {
            mailbox,
            upto,
            at_ms,
        } => Stored::Erased {
            domain: mailbox.domain.as_str(),
            user: mailbox.user.as_str(),
            upto: *upto,
            at_ms: *at_ms,
        },
    };
    put(&stored, out);
}

fn put(stored: &Stored<'_>, out: &mut Vec<u8>) {
    out.push(VERSION);
    bincode::encode_into_std_write(stored, out, CODING)
        .expect("a vector takes all bytes and the types have no failing encoder");
}

#[cfg(test)]
mod tests;

//! Decodes records and validates the names in them.

use std::sync::Arc;

use super::super::cursor::CursorChange;
use super::super::sends::SendKey;
use super::{CODING, Record, RecordError, Stored, StoredDevice, StoredDomain, StoredSend, VERSION};
use crate::model::{
    ClientMsgId, Device, Domain, DomainRecord, Mailbox, Message, MessageType, MsgId, NameError,
    ProjectToken, Resource, SigningKey, UserId, UserName,
};

/// Memory for one decoded record: more than any in a frame needs. A corrupt count allocates no
/// more.
const DECODED_BYTES_MAX: usize = 512 << 20;

/// The record must take all of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
    let (version, rest) = bytes.split_first().ok_or(RecordError::Empty)?;
    if *version != VERSION {
        return Err(RecordError::Version(*version));
    }
    let coding = CODING.with_limit::<DECODED_BYTES_MAX>();
    let (stored, used) =
        bincode::borrow_decode_from_slice::<Stored<'_>, _>(rest, coding).map_err(|_| {
            RecordError::Coding("it ends early, or holds what its version does not know")
        })?;
    if used != rest.len() {
        return Err(RecordError::Coding("bytes are left over"));
    }
    match stored {
        Stored::Send(send) => send.into_record(),
        Stored::Cursor { device, id, at_ms } => {
            device.into_record(CursorChange::Raise { id, at_ms })
        }
        Stored::CursorSet { device, value } => device.into_record(CursorChange::Set(value)),
        Stored::CursorUsed { device, at_ms } => device.into_record(CursorChange::Use { at_ms }),
        Stored::CursorDropped { device } => device.into_record(CursorChange::Drop),
        Stored::Domain(domain) => domain.into_record(),
        Stored::DomainRemoved {
            domain,
            low_watermark,
        } => Ok(Record::DomainRemoved {
            domain: Domain::parse(domain)?,
            low_watermark,
        }),
        Stored::Erased {
            domain,
            user,
            upto,
            at_ms,
        } => Ok(Record::Erased {
            mailbox: mailbox(domain, user)?,
            upto,
            at_ms,
        }),
        Stored::Age(age) => Ok(Record::Age(age)),
        Stored::Confirmed { domain, user, id } => Ok(Record::Confirmed {
            mailbox: mailbox(domain, user)?,
            id,
        }),
        Stored::SendIds {
            domain,
            from_id,
            client_msg_id,
            ids,
        } => Ok(Record::SendIds {
            key: SendKey {
                domain: Domain::parse(domain)?,
                from_id: UserId::parse(from_id)?,
                client_msg_id: ClientMsgId::parse(client_msg_id)?,
            },
            ids,
        }),
    }
}

fn mailbox(domain: &str, user: &str) -> Result<Mailbox, NameError> {
    Ok(Mailbox {
        domain: Domain::parse(domain)?,
        user: UserId::parse(user)?,
    })
}

impl StoredDevice<'_> {
    fn into_record(self, change: CursorChange) -> Result<Record, RecordError> {
        let mailbox = mailbox(self.domain, self.user)?;
        let resource = Resource::parse(self.resource)?;
        let device = Device { mailbox, resource };
        Ok(Record::Cursor { device, change })
    }
}

impl StoredSend<'_> {
    fn into_record(self) -> Result<Record, RecordError> {
        let domain = Domain::parse(self.domain)?;
        let from_id = UserId::parse(self.from_id)?;
        let from_name = UserName::parse(self.from_name)?;
        let from_resource = Resource::parse(self.from_resource)?;
        let to_resource = self.to_resource.map(Resource::parse).transpose()?;
        let content: Arc<str> = self.content.into();
        let last = self.first_id.checked_add(self.recipients.len() as u64);
        if last.is_none_or(|last| last > MsgId::MAX.0 + 1) {
            return Err(RecordError::Coding("an id is out of range"));
        }
        let mut messages = Vec::with_capacity(self.recipients.len());
        for (id, (user, recipient_offline)) in (self.first_id..).zip(self.recipients) {
            messages.push(Message {
                id: MsgId(id),
                mailbox: Mailbox {
                    domain: domain.clone(),
                    user: UserId::parse(user)?,
                },
                to_resource: to_resource.clone(),
                from_id: from_id.clone(),
                from_name: from_name.clone(),
                from_resource: from_resource.clone(),
                kind: MessageType(self.kind),
                content: content.clone(),
                recipient_offline,
            });
        }
        Ok(Record::Send {
            messages,
            client_msg_id: self.client_msg_id.map(ClientMsgId::parse).transpose()?,
        })
    }
}

impl StoredDomain<'_> {
    fn into_record(self) -> Result<Record, RecordError> {
        let tokens = self.tokens.into_iter();
        let keys = self.signing_keys.into_iter();
        Ok(Record::Domain(DomainRecord {
            domain: Domain::parse(self.domain)?,
            created_at_ms: self.created_at_ms,
            tokens: tokens
                .map(|(sha256, expires_at_ms)| ProjectToken {
                    sha256,
                    expires_at_ms,
                })
                .collect(),
            signing_keys: keys
                .map(|(secret, expires_at_ms)| SigningKey {
                    secret,
                    expires_at_ms,
                })
                .collect(),
        }))
    }
}

//! The stored form of a message without its id and its recipient: what all recipients of
//! one send share. So it is in the memtables, and so in the chunks of the index.
//!
//! The sender's id stands first, with its length in a byte before it, and can be compared
//! or cut off without a look at the rest, which is bincode: the sender's name and resource,
//! `toResource`, type, content.

use bincode::config::{Configuration, standard};
use bincode::{BorrowDecode, Encode};

use crate::model::{Mailbox, Message, MessageType, MsgId, Resource, UserId, UserName};

const CODING: Configuration = standard();
/// A shorter body is cheaper to repeat for each recipient than to look up.
const SHARED_BYTES_MIN: usize = 1 << 10;

// Its length is stored in one byte.
const _: () = assert!(UserId::MAX_BYTES <= u8::MAX as usize);

#[derive(Encode, BorrowDecode)]
struct Rest<'a> {
    from_name: &'a str,
    from_resource: &'a str,
    to_resource: Option<&'a str>,
    kind: u32,
    content: &'a str,
}

pub(crate) fn encode(message: &Message, out: &mut Vec<u8>) {
    let from = message.from_id.as_str();
    out.push(from.len() as u8);
    out.extend_from_slice(from.as_bytes());
    let rest = Rest {
        from_name: message.from_name.as_str(),
        from_resource: message.from_resource.as_str(),
        to_resource: message.to_resource.as_ref().map(Resource::as_str),
        kind: message.kind.0,
        content: &message.content,
    };
    bincode::encode_into_std_write(rest, out, CODING)
        .expect("a vector takes all bytes and the types have no failing encoder");
}

/// Whether the index stores a body once for all recipients of a send.
pub(crate) fn is_shared(recipients: usize, bytes: usize) -> bool {
    recipients > 1 && bytes >= SHARED_BYTES_MIN
}

/// The sender's id with its length byte, and the rest.
pub(crate) fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(*body.first()?);
    body.split_at_checked(1 + length)
}

/// The sender's id.
pub(crate) fn sender(body: &[u8]) -> Option<&[u8]> {
    split(body).map(|(sender, _)| &sender[1..])
}

/// Decodes a message from the sender's id (without its length byte) and the rest of its body.
pub(crate) fn decode(
    sender: &[u8],
    rest: &[u8],
    id: u64,
    mailbox: &Mailbox,
    recipient_offline: bool,
) -> Result<Message, String> {
    let sender = std::str::from_utf8(sender).map_err(|_| "a stored name is no text")?;
    let (stored, used): (Rest<'_>, _) = bincode::borrow_decode_from_slice(rest, CODING)
        .map_err(|error| format!("a stored message does not decode: {error}"))?;
    if used != rest.len() {
        return Err("a stored message is too long".to_owned());
    }
    let name = |error| format!("a stored name {error}");
    let to_resource = stored.to_resource.map(Resource::parse).transpose();
    Ok(Message {
        id: MsgId(id),
        mailbox: mailbox.clone(),
        to_resource: to_resource.map_err(name)?,
        from_id: UserId::parse(sender).map_err(name)?,
        from_name: UserName::parse(stored.from_name).map_err(name)?,
        from_resource: Resource::parse(stored.from_resource).map_err(name)?,
        kind: MessageType(stored.kind),
        content: stored.content.into(),
        recipient_offline,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::Domain;

    #[test]
    fn golden_bytes() {
        let mailbox = Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        };
        let message = Message {
            id: MsgId(258),
            mailbox: mailbox.clone(),
            to_resource: Some(Resource::parse("p").unwrap()),
            from_id: UserId::parse("a").unwrap(),
            from_name: UserName::parse("A").unwrap(),
            from_resource: Resource::parse("web").unwrap(),
            kind: MessageType(10),
            content: "{}".into(),
            recipient_offline: true,
        };
        let mut body = Vec::new();
        encode(&message, &mut body);
        assert_eq!(body, b"\x01a\x01A\x03web\x01\x01p\x0a\x02{}");
        let (sender, rest) = split(&body).unwrap();
        assert_eq!(
            (sender, super::sender(&body).unwrap()),
            (&b"\x01a"[..], &b"a"[..])
        );
        let decoded = decode(b"a", rest, 258, &mailbox, true).unwrap();
        assert_eq!(decoded, message);
        for bad in [&rest[1..], &rest[..rest.len() - 1], b""] {
            assert!(decode(b"a", bad, 258, &mailbox, true).is_err());
        }
        assert!(decode(b"", rest, 258, &mailbox, true).is_err());
        assert!(decode(b"a", &[rest, b"x"].concat(), 258, &mailbox, true).is_err());
        assert_eq!((split(b"\x02a"), split(b"")), (None, None));
    }
}

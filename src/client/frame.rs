//! Server frames (PROTOCOL.md sections 3 and 4), parsed by a client.
//!
//! Unknown frames and fields are ignored: the protocol only ever grows.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::model::MsgId;

/// A text frame of the server.
#[derive(Debug)]
pub enum ServerFrame {
    /// The answer to `ping`.
    Pong,
    /// A send became durable.
    Ack(Ack),
    /// The server refused a frame, with this sentence.
    Refused(String),
    /// A delivered message.
    Message(Delivery),
    /// A frame unknown to this client.
    Other,
}

/// The acknowledgement of a send.
#[derive(Debug, PartialEq, Eq)]
pub struct Ack {
    /// The `clientMsgId` of the send.
    pub client_msg_id: String,
    /// Ids of its messages, in the order of the recipients.
    pub ids: Vec<MsgId>,
    /// Whether the send had been stored before.
    pub duplicate: bool,
}

/// A delivered message.
#[derive(Debug)]
pub struct Delivery {
    /// The message's `msgId`.
    pub id: MsgId,
    /// User id of the sender.
    pub from_id: String,
    /// Display name of the sender.
    pub from_name: String,
    /// The resource it was sent from.
    pub from_resource: String,
    /// The `type` field.
    pub kind: u32,
    /// The content as JSON text.
    pub content: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    ack: Option<String>,
    msg_id: Option<u64>,
    msg_ids: Option<Vec<u64>>,
    #[serde(default)]
    duplicate: bool,
    error: Option<IgnoredAny>,
    #[serde(default)]
    from_id: String,
    #[serde(default)]
    from_name: String,
    #[serde(default)]
    from_resource: String,
    #[serde(rename = "type", default)]
    kind: u32,
    content: Option<Box<RawValue>>,
}

impl ServerFrame {
    /// Parses a text frame.
    ///
    /// # Errors
    /// The text is no frame of a relaybox server.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        if text == "pong" {
            return Ok(Self::Pong);
        }
        let wire: Wire = serde_json::from_str(text)?;
        let known = wire.msg_ids.iter().flatten().chain(&wire.msg_id);
        if known.copied().any(|id| MsgId(id) > MsgId::MAX) {
            return Err(serde::de::Error::custom("a msgId beyond 2^53 - 1"));
        }
        if let Some(client_msg_id) = wire.ack {
            let ids = wire.msg_ids.or_else(|| wire.msg_id.map(|id| vec![id]));
            return Ok(Self::Ack(Ack {
                client_msg_id,
                ids: ids.into_iter().flatten().map(MsgId).collect(),
                duplicate: wire.duplicate,
            }));
        }
        let Some(content) = wire.content else {
            return Ok(Self::Other);
        };
        Ok(match (wire.error, wire.msg_id) {
            (Some(_), _) => Self::Refused(serde_json::from_str(content.get())?),
            (None, Some(id)) => Self::Message(Delivery {
                id: MsgId(id),
                from_id: wire.from_id,
                from_name: wire.from_name,
                from_resource: wire.from_resource,
                kind: wire.kind,
                content,
            }),
            (None, None) => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Domain, Mailbox, Message, MessageType, Resource, UserId, UserName};
    use crate::protocol::error_code::{ErrorCode, FrameError};
    use crate::protocol::server_frame;

    fn parse(write: impl FnOnce(&mut Vec<u8>)) -> ServerFrame {
        let mut json = Vec::new();
        write(&mut json);
        let text = String::from_utf8(json).expect("UTF-8");
        ServerFrame::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn mailbox() -> Mailbox {
        Mailbox {
            domain: Domain::parse("demo").expect("valid"),
            user: UserId::parse("u2").expect("valid"),
        }
    }

    #[test]
    fn what_the_server_writes_is_understood() {
        let id = crate::model::ClientMsgId::parse("c-1").expect("valid");
        for (ids, array) in [(&[MsgId(7)][..], false), (&[MsgId(7), MsgId(8)], true)] {
            let frame = parse(|out| server_frame::ack(out, &id, ids, array, true));
            let expected = Ack {
                client_msg_id: "c-1".into(),
                ids: ids.to_vec(),
                duplicate: true,
            };
            assert!(matches!(frame, ServerFrame::Ack(ack) if ack == expected));
        }
        let error = FrameError {
            code: ErrorCode::InvalidField,
            field: Some("toId"),
            message: "`toId` is missing".into(),
            client_msg_id: Some(id),
        };
        let Mailbox { domain, user } = mailbox();
        let frame = parse(|out| server_frame::error(out, &domain, &user, &error, 7));
        let expected = "`toId` is missing";
        assert!(matches!(frame, ServerFrame::Refused(sentence) if sentence == expected));
        let message = Message {
            id: MsgId(1_764_000_000_123_456),
            mailbox: mailbox(),
            to_resource: None,
            from_id: UserId::parse("u1").expect("valid"),
            from_name: UserName::parse("Alice").expect("valid"),
            from_resource: Resource::parse("web").expect("valid"),
            kind: MessageType(20),
            content: r#"{"n": 1.0 }"#.into(),
            recipient_offline: false,
        };
        let frame = parse(|out| server_frame::message(out, &message, true));
        let ServerFrame::Message(delivery) = frame else {
            panic!("{frame:?}");
        };
        assert_eq!(delivery.id, message.id);
        assert_eq!((delivery.from_id.as_str(), delivery.kind), ("u1", 20));
        assert_eq!(delivery.content.get(), r#"{"n": 1.0 }"#);
    }

    #[test]
    fn what_is_new_is_passed_over_and_what_is_none_refused() {
        for text in [r#"{"typing":"u1"}"#, r#"{"content":1}"#, "{}"] {
            assert!(matches!(ServerFrame::parse(text), Ok(ServerFrame::Other)));
        }
        assert!(matches!(ServerFrame::parse("pong"), Ok(ServerFrame::Pong)));
        for text in [
            "",
            "ping",
            "[]",
            r#"{"content":1,"msgId":9007199254740992}"#,
        ] {
            assert!(ServerFrame::parse(text).is_err(), "{text}");
        }
    }
}

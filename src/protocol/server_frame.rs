//! Frames sent by the server: messages, acknowledgements, errors (PROTOCOL.md sections 3 and 4).
//!
//! Each function appends one JSON text to a buffer, so that encoding a batch needs no allocation per message.

use crate::model::{ClientMsgId, Domain, Message, MsgId, UserId};
use crate::protocol::error_code::FrameError;

/// Appends a message in the format of section 4.
pub fn message(out: &mut Vec<u8>, message: &Message, offline: bool) {
    field(out, b"{\"fromId\":", message.from_id.as_str());
    field(out, b",\"fromName\":", message.from_name.as_str());
    field(out, b",\"fromResource\":", message.from_resource.as_str());
    field(out, b",\"toId\":", message.mailbox.user.as_str());
    field(out, b",\"domain\":", message.mailbox.domain.as_str());
    number(out, b",\"type\":", u64::from(message.kind.0));
    out.extend_from_slice(b",\"content\":");
    out.extend_from_slice(message.content.as_bytes());
    number(out, b",\"sendAt\":", message.id.send_at_ms());
    flag(out, b",\"offline\":", offline);
    number(out, b",\"msgId\":", message.id.0);
    out.push(b'}');
}

/// Appends the acknowledgement of a send; `array` if its recipients were given as one.
pub fn ack(
    out: &mut Vec<u8>,
    client_msg_id: &ClientMsgId,
    ids: &[MsgId],
    array: bool,
    duplicate: bool,
) {
    let first = ids.first().copied().unwrap_or_default();
    field(out, b"{\"ack\":", client_msg_id.as_str());
    if array {
        out.extend_from_slice(b",\"msgIds\":[");
        for (at, id) in ids.iter().enumerate() {
            number(out, if at == 0 { b"" } else { b"," }, id.0);
        }
        out.push(b']');
    } else {
        number(out, b",\"msgId\":", first.0);
    }
    number(out, b",\"sendAt\":", first.send_at_ms());
    flag(out, b",\"duplicate\":", duplicate);
    out.push(b'}');
}

/// Appends a system message that tells a sender why its frame was refused.
pub fn error(out: &mut Vec<u8>, domain: &Domain, to: &UserId, error: &FrameError, now_ms: u64) {
    out.extend_from_slice(
        b"{\"fromId\":\"system\",\"fromName\":\"system\",\"fromResource\":\"server\"",
    );
    field(out, b",\"toId\":", to.as_str());
    field(out, b",\"domain\":", domain.as_str());
    field(out, b",\"type\":100,\"content\":", &error.message);
    number(out, b",\"sendAt\":", now_ms);
    field(
        out,
        b",\"offline\":false,\"error\":{\"code\":",
        error.code.as_str(),
    );
    if let Some(name) = error.field {
        field(out, b",\"field\":", name);
    }
    if let Some(id) = &error.client_msg_id {
        field(out, b",\"clientMsgId\":", id.as_str());
    }
    out.extend_from_slice(b"}}");
}

fn field(out: &mut Vec<u8>, key: &[u8], text: &str) {
    out.extend_from_slice(key);
    serde_json::to_writer(&mut *out, text).expect("writing a string to memory cannot fail");
}

fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    serde_json::to_writer(&mut *out, &value).expect("writing a number to memory cannot fail");
}

fn flag(out: &mut Vec<u8>, key: &[u8], value: bool) {
    out.extend_from_slice(key);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mailbox, MessageType, Resource, UserName};
    use crate::protocol::error_code::ErrorCode;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_message_looks_as_the_contract_says() {
        let example = Message {
            id: MsgId(1_764_000_000_123_456),
            mailbox: Mailbox {
                domain: Domain::parse("demo").expect("valid"),
                user: UserId::parse("u\"2").expect("valid"),
            },
            to_resource: None,
            from_id: UserId::parse("u1").expect("valid"),
            from_name: UserName::parse("Alice").expect("valid"),
            from_resource: Resource::parse("web").expect("valid"),
            kind: MessageType(10),
            content: r#"{ "a":1.0 }"#.into(),
            recipient_offline: false,
        };
        assert_eq!(
            text(|out| message(out, &example, false)),
            r#"{"fromId":"u1","fromName":"Alice","fromResource":"web","toId":"u\"2","domain":"demo","type":10,"content":{ "a":1.0 },"sendAt":1764000000123,"offline":false,"msgId":1764000000123456}"#
        );
    }

    #[test]
    fn acknowledgements_are_single_or_arrays() {
        let id = ClientMsgId::parse("c-17").expect("valid");
        let ids = [MsgId(5_000_001), MsgId(6_000_000)];
        assert_eq!(
            text(|out| ack(out, &id, &ids[..1], false, false)),
            r#"{"ack":"c-17","msgId":5000001,"sendAt":5000,"duplicate":false}"#
        );
        assert_eq!(
            text(|out| ack(out, &id, &ids, true, true)),
            r#"{"ack":"c-17","msgIds":[5000001,6000000],"sendAt":5000,"duplicate":true}"#
        );
    }

    #[test]
    fn an_error_is_a_system_message_without_msg_id() {
        let refusal = FrameError {
            code: ErrorCode::InvalidField,
            field: Some("toId"),
            message: "`toId` is missing".into(),
            client_msg_id: ClientMsgId::parse("c").ok(),
        };
        let (domain, user) = (
            Domain::parse("demo").expect("valid"),
            UserId::parse("u1").expect("valid"),
        );
        assert_eq!(
            text(|out| error(out, &domain, &user, &refusal, 7)),
            r#"{"fromId":"system","fromName":"system","fromResource":"server","toId":"u1","domain":"demo","type":100,"content":"`toId` is missing","sendAt":7,"offline":false,"error":{"code":"invalid_field","field":"toId","clientMsgId":"c"}}"#
        );
    }
}

//! Frames from the server, as a client sees them: an independent parser, and the expected texts.

use proptest::prop_assert_eq;

use super::case::{Checked, Facts, fail};
use super::store::Store;
use crate::model::MsgId;

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Text(&'a str),
    Ping(&'a [u8]),
    Close(u16),
}

/// The first frame of `bytes` and its length; `None` while it is incomplete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else {
        return Ok(None);
    };
    let length = match second {
        126 => bytes
            .get(2..4)
            .map(|b| (4, usize::from(b[0]) << 8 | usize::from(b[1]))),
        0..=125 => Some((2, usize::from(*second))),
        _ => return Err(format!("a length of {second}, masked or too long")),
    };
    let Some((head, length)) = length else {
        return Ok(None);
    };
    let Some(payload) = bytes.get(head..head + length) else {
        return Ok(None);
    };
    let frame = match first {
        0x81 => Frame::Text(std::str::from_utf8(payload).map_err(|error| error.to_string())?),
        0x89 => Frame::Ping(payload),
        0x88 if length >= 2 => Frame::Close(u16::from(payload[0]) << 8 | u16::from(payload[1])),
        _ => return Err(format!("a frame that begins with {first:#x}")),
    };
    Ok(Some((frame, head + length)))
}

/// End of the answer to a wrong receipt.
pub(super) const REFUSAL: &str = r#""error":{"code":"invalid_field","field":"received"}}"#;

/// The `msgId` of a text, if it is a message; `msgId` is the last field.
pub(super) fn message_id(text: &str) -> Option<MsgId> {
    let (_, id) = text.strip_suffix('}')?.rsplit_once(':')?;
    id.parse().ok().map(MsgId)
}

/// Checks a message against PROTOCOL.md section 4.
pub(super) fn check_message(text: &str, id: MsgId, facts: &Facts, store: &Store) -> Checked {
    let Some(message) = store.find(facts.device, id) else {
        return Err(fail(format!("{text} is no message of the device's")));
    };
    let unsure = facts.published < id && id <= facts.committed;
    let offline = if unsure {
        text.contains(r#""offline":true"#)
    } else {
        id <= facts.published
    };
    let (to, domain) = (&message.mailbox.user, &message.mailbox.domain);
    let (content, send_at) = (&message.content, id.send_at_ms());
    let from = r#""fromId":"s","fromName":"S","fromResource":"w""#;
    let expected = format!(
        r#"{{{from},"toId":"{to}","domain":"{domain}","type":10,"content":{content},"sendAt":{send_at},"offline":{offline},"msgId":{id}}}"#
    );
    prop_assert_eq!(text, expected);
    Ok(())
}

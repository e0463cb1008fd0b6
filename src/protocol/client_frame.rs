//! Frames sent by clients (PROTOCOL.md section 3).
//!
//! Parses and validates one text frame; the sender's permissions are checked elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{ClientMsgId, MessageType, MsgId, Resource, UserId, integer};
use crate::protocol::content;
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::fields::{Fields, Shape, invalid, name, user_id, user_ids};

/// Maximum number of recipients of one send.
pub const FRAME_RECIPIENTS_MAX: usize = 100;

const FRAME: Shape<6> = Shape {
    what: "frame",
    example: r#"{"toId":…,"type":…,"content":…}"#,
    names: [
        "toId",
        "toResource",
        "type",
        "content",
        "clientMsgId",
        "received",
    ],
};

/// Fields that only a message has.
const MESSAGE_FIELDS: [&str; 4] = ["toId", "toResource", "type", "content"];

/// Limits on frames.
#[derive(Debug, Clone)]
pub struct FrameRules {
    /// Most bytes of a content's JSON text.
    pub content_bytes_max: usize,
    /// Deepest nesting of its arrays and objects.
    pub content_depth_max: usize,
    /// The message types known here.
    pub types: BTreeSet<MessageType>,
}

impl FrameRules {
    /// Most bytes of a whole message on the socket; a longer one is not parsed, but refused as [`too_large`].
    pub fn message_bytes_max(&self) -> usize {
        2 * self.content_bytes_max + 4096
    }
}

/// A parsed text frame.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// The four letters `ping`: answered `pong`.
    Ping,
    /// A receipt: the application has processed everything up to this message.
    Received(MsgId),
    /// A message for one or more recipients.
    Send(Send),
}

/// A message to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Send {
    /// The recipients, all different.
    pub to: Vec<UserId>,
    /// Whether they were given as an array: the acknowledgement then has `msgIds`.
    pub to_array: bool,
    /// Restricts delivery to this resource of the recipients.
    pub to_resource: Option<Resource>,
    /// The `type` field.
    pub kind: MessageType,
    /// The JSON text of `content`, byte for byte.
    pub content: Arc<str>,
    /// Asks for an acknowledgement, which repeats it.
    pub client_msg_id: Option<ClientMsgId>,
}

/// Parses one text frame.
///
/// # Errors
/// The first broken rule, with the frame's `clientMsgId` if that is valid.
pub fn parse(text: &str, rules: &FrameRules) -> Result<ClientFrame, FrameError> {
    if text == "ping" {
        return Ok(ClientFrame::Ping);
    }
    let fields = Fields::parse(text, &FRAME)?;
    let has_message = MESSAGE_FIELDS.iter().any(|name| fields.get(name).is_some());
    let frame = match fields.given("received") {
        // In a message, `"received": null` counts as absent.
        Some(json) if json != "null" || !has_message => {
            received(json, has_message).map(ClientFrame::Received)
        }
        _ => send(&fields, recipients, rules).map(ClientFrame::Send),
    };
    frame.map_err(|error| FrameError {
        client_msg_id: fields
            .name("clientMsgId", ClientMsgId::parse)
            .ok()
            .flatten(),
        ..error
    })
}

/// The refusal of an oversized frame, given its size and its start. It carries the frame's `clientMsgId` if the start
/// contains a valid one.
pub fn too_large(start: &[u8], bytes: usize, rules: &FrameRules) -> FrameError {
    let (frame_max, content_max) = (rules.message_bytes_max(), rules.content_bytes_max);
    FrameError {
        code: ErrorCode::TooLarge,
        field: None,
        message: format!(
            "the frame has {bytes} bytes, and may have {frame_max}: `content` must be at most \
             {content_max} bytes of JSON text"
        ),
        client_msg_id: Fields::find(start, &["clientMsgId"])
            .and_then(|json| name("clientMsgId", json, ClientMsgId::parse).ok()),
    }
}

/// The refusal of a receipt for an undelivered message; `nearest` is the closest one delivered.
pub fn not_delivered(nearest: Option<MsgId>) -> FrameError {
    let nearest = match nearest {
        Some(id) => format!("the nearest one in this session is {id}"),
        None => "nothing was delivered in this session".to_owned(),
    };
    let expected = "must be a msgId that was delivered to this resource";
    let rounded = "some JSON libraries round to 14 or 15 digits";
    invalid("received", format!("{expected}: {nearest} ({rounded})"))
}

fn received(json: &str, has_message: bool) -> Result<MsgId, FrameError> {
    if has_message {
        let expected = "must stand in a frame of its own, without a message to send";
        return Err(invalid("received", expected));
    }
    let expected = "must be a msgId: an integer from 0 to 2^53 - 1, or a string of its digits";
    msg_id(json).ok_or_else(|| invalid("received", expected))
}

/// A `msgId` as a number or as a string of its digits, as languages without 53-bit integers send it.
fn msg_id(json: &str) -> Option<MsgId> {
    if !json.starts_with('"') {
        return MsgId::parse(json);
    }
    let digits: String = serde_json::from_str(json).ok()?;
    MsgId::parse_digits(&digits)
}

/// Parses the fields common to every message, whatever its source; `recipients` reads the recipients, and whether they
/// were given as an array.
///
/// # Errors
/// The first broken rule.
pub(super) fn send<'a, const N: usize>(
    fields: &Fields<'a, N>,
    recipients: impl FnOnce(&Fields<'a, N>) -> Result<(Vec<UserId>, bool), FrameError>,
    rules: &FrameRules,
) -> Result<Send, FrameError> {
    let client_msg_id = fields.name("clientMsgId", ClientMsgId::parse)?;
    let (to, to_array) = recipients(fields)?;
    let to_resource = fields.name("toResource", Resource::parse)?;
    let kind = message_type(fields.required("type")?, rules)?;
    let content = fields.required("content")?;
    if content.len() > rules.content_bytes_max {
        let (max, len) = (rules.content_bytes_max, content.len());
        return Err(FrameError {
            code: ErrorCode::TooLarge,
            ..invalid(
                "content",
                format!("must be at most {max} bytes of JSON text, and has {len}"),
            )
        });
    }
    let readable = content::check(content, rules.content_depth_max);
    readable.map_err(|error| invalid("content", error))?;
    Ok(Send {
        to,
        to_array,
        to_resource,
        kind,
        content: content.into(),
        client_msg_id,
    })
}

fn recipients<const N: usize>(fields: &Fields<'_, N>) -> Result<(Vec<UserId>, bool), FrameError> {
    const EXPECTED: &str = "must be a string, an integer, or an array of them";
    let json = fields.required("toId")?;
    if json.starts_with('[') {
        return Ok((
            user_ids("toId", json, FRAME_RECIPIENTS_MAX, EXPECTED)?,
            true,
        ));
    }
    Ok((vec![user_id("toId", json, EXPECTED)?], false))
}

fn message_type(json: &str, rules: &FrameRules) -> Result<MessageType, FrameError> {
    let number = integer(json).ok_or_else(|| invalid("type", "must be an integer"))?;
    let known = number
        .parse()
        .ok()
        .map(MessageType)
        .filter(|kind| rules.types.contains(kind));
    known.ok_or_else(|| {
        let types: Vec<_> = rules.types.iter().map(|kind| kind.0.to_string()).collect();
        FrameError {
            code: ErrorCode::TypeNotAllowed,
            ..invalid("type", format!("must be one of {}", types.join(", ")))
        }
    })
}

#[cfg(test)]
mod tests;

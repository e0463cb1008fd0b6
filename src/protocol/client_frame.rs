//! What a client sends on its socket (PROTOCOL.md section 3).
//!
//! Parses and checks one text; whether the sender may do what it asks is not decided here.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{ClientMsgId, MessageType, MsgId, NameError, Resource, UserId};
use crate::protocol::error_code::{ErrorCode, FrameError};

/// Most recipients of one send.
pub const RECIPIENTS_MAX: usize = 100;

/// What frames may hold.
#[derive(Debug, Clone)]
pub struct FrameRules {
    /// Most bytes of a content's JSON text.
    pub content_bytes_max: usize,
    /// The message types that exist here.
    pub types: BTreeSet<MessageType>,
}

impl FrameRules {
    /// Most bytes of a whole message on the socket; a longer one closes with 1009.
    pub fn message_bytes_max(&self) -> usize {
        2 * self.content_bytes_max + 4096
    }
}

/// A text frame, understood.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// The four letters `ping`: answered `pong`.
    Ping,
    /// The application's receipt: it has processed everything up to this message.
    Received(MsgId),
    /// A message to send.
    Send(Send),
}

/// A message to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Send {
    /// The recipients, all different.
    pub to: Vec<UserId>,
    /// Whether they came as an array: the acknowledgement then has `msgIds`.
    pub to_array: bool,
    /// Only this resource of the recipients gets it.
    pub to_resource: Option<Resource>,
    /// The `type` field.
    pub kind: MessageType,
    /// The JSON text of `content`, byte for byte.
    pub content: Arc<str>,
    /// Asks for an acknowledgement.
    pub client_msg_id: Option<ClientMsgId>,
}

/// Reads one text frame.
///
/// # Errors
/// The first rule that it breaks, with the frame's `clientMsgId` where it has a valid one.
pub fn parse(text: &str, rules: &FrameRules) -> Result<ClientFrame, FrameError> {
    if text == "ping" {
        return Ok(ClientFrame::Ping);
    }
    let fields = Fields::parse(text)?;
    let client_msg_id = fields.client_msg_id.map(client_msg_id).transpose();
    let known_id = client_msg_id.as_ref().ok().cloned().flatten();
    let frame = match fields.received {
        Some(json) => received(json, &fields).map(ClientFrame::Received),
        None => send(&fields, client_msg_id, rules).map(ClientFrame::Send),
    };
    frame.map_err(|error| FrameError {
        client_msg_id: known_id,
        ..error
    })
}

fn received(json: &str, fields: &Fields<'_>) -> Result<MsgId, FrameError> {
    let others = [
        fields.to_id,
        fields.to_resource,
        fields.kind,
        fields.content,
    ];
    if others.iter().any(Option::is_some) {
        let expected = "must stand in a frame of its own, without a message to send";
        return Err(invalid("received", expected));
    }
    let id = MsgId::parse(json);
    id.ok_or_else(|| invalid("received", "must be a msgId: an integer from 0 to 2^53 - 1"))
}

fn send(
    fields: &Fields<'_>,
    client_msg_id: Result<Option<ClientMsgId>, FrameError>,
    rules: &FrameRules,
) -> Result<Send, FrameError> {
    let client_msg_id = client_msg_id?;
    let (to, to_array) = recipients(fields.to_id.ok_or_else(|| missing("toId"))?)?;
    let to_resource = fields.to_resource.map(to_resource).transpose()?;
    let kind = message_type(fields.kind.ok_or_else(|| missing("type"))?, rules)?;
    let content = fields.content.ok_or_else(|| missing("content"))?;
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
    Ok(Send {
        to,
        to_array,
        to_resource,
        kind,
        content: content.into(),
        client_msg_id,
    })
}

fn invalid(field: &'static str, expected: impl fmt::Display) -> FrameError {
    FrameError {
        code: ErrorCode::InvalidField,
        field: Some(field),
        message: format!("`{field}` {expected}"),
        client_msg_id: None,
    }
}

fn missing(field: &'static str) -> FrameError {
    invalid(field, "is missing")
}

fn client_msg_id(json: &str) -> Result<ClientMsgId, FrameError> {
    name("clientMsgId", json, ClientMsgId::parse)
}

fn to_resource(json: &str) -> Result<Resource, FrameError> {
    name("toResource", json, Resource::parse)
}

fn name<T>(
    field: &'static str,
    json: &str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<T, FrameError> {
    let text: String =
        serde_json::from_str(json).map_err(|_| invalid(field, "must be a string"))?;
    parse(&text).map_err(|error| invalid(field, error))
}

fn recipients(json: &str) -> Result<(Vec<UserId>, bool), FrameError> {
    if !json.starts_with('[') {
        return Ok((vec![recipient(json)?], false));
    }
    let items: Vec<&RawValue> = serde_json::from_str(json)
        .map_err(|_| invalid("toId", "must be a string, an integer, or an array of them"))?;
    if items.is_empty() || items.len() > RECIPIENTS_MAX {
        return Err(invalid(
            "toId",
            format!("must hold 1 to {RECIPIENTS_MAX} recipients"),
        ));
    }
    let mut seen = HashSet::with_capacity(items.len());
    let mut to = Vec::with_capacity(items.len());
    for item in items {
        let user = recipient(item.get())?;
        if !seen.insert(user.clone()) {
            return Err(invalid("toId", "must not hold the same recipient twice"));
        }
        to.push(user);
    }
    Ok((to, true))
}

fn recipient(json: &str) -> Result<UserId, FrameError> {
    if is_integer(json) {
        let decimal = if json == "-0" { "0" } else { json };
        return UserId::parse(decimal).map_err(|error| invalid("toId", error));
    }
    let text: String = serde_json::from_str(json)
        .map_err(|_| invalid("toId", "must be a string, an integer, or an array of them"))?;
    UserId::parse(&text).map_err(|error| invalid("toId", error))
}

/// Whether a valid JSON text is a number without fraction and exponent.
fn is_integer(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn message_type(json: &str, rules: &FrameRules) -> Result<MessageType, FrameError> {
    if !is_integer(json) {
        return Err(invalid("type", "must be an integer"));
    }
    let known = json
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

/// The JSON texts of the known fields; `null` counts as absent.
#[derive(Default)]
struct Fields<'a> {
    to_id: Option<&'a str>,
    to_resource: Option<&'a str>,
    kind: Option<&'a str>,
    content: Option<&'a str>,
    client_msg_id: Option<&'a str>,
    received: Option<&'a str>,
    repeated: Option<&'static str>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self, FrameError> {
        let not_json = |message: String| FrameError {
            code: ErrorCode::InvalidJson,
            field: None,
            message,
            client_msg_id: None,
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json
            .deserialize_map(FieldsVisitor)
            .and_then(|fields| json.end().map(|()| fields))
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => {
                    not_json("the frame must be a JSON object, such as {\"toId\":…,\"type\":…,\"content\":…}".into())
                }
                _ => not_json(format!("the frame must be JSON: {error}")),
            })?;
        match fields.repeated {
            Some(field) => Err(invalid(field, "is given more than once")),
            None => Ok(fields),
        }
    }

    fn without_nulls(self) -> Self {
        let value = |field: Option<&'a str>| field.filter(|json| *json != "null");
        Self {
            to_id: value(self.to_id),
            to_resource: value(self.to_resource),
            kind: value(self.kind),
            content: value(self.content),
            client_msg_id: value(self.client_msg_id),
            received: value(self.received),
            repeated: self.repeated,
        }
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<String>()? {
            let (name, slot) = match key.as_str() {
                "toId" => ("toId", &mut fields.to_id),
                "toResource" => ("toResource", &mut fields.to_resource),
                "type" => ("type", &mut fields.kind),
                "content" => ("content", &mut fields.content),
                "clientMsgId" => ("clientMsgId", &mut fields.client_msg_id),
                "received" => ("received", &mut fields.received),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<&'de RawValue>()?.get();
            if slot.replace(value).is_some() {
                fields.repeated = Some(name);
            }
        }
        Ok(fields.without_nulls())
    }
}

#[cfg(test)]
mod tests;

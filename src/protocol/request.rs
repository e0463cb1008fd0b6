//! Requests of backends: the bodies of `POST /messages` and `POST /tokens` (PROTOCOL.md section 6).
//!
//! A message's fields follow the rules of socket frames. The caller's permissions are checked elsewhere.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::model::{Domain, UserId, UserName, unsigned};
use crate::protocol::client_frame::{self, FrameRules, Send};
use crate::protocol::error_code::FrameError;
use crate::protocol::fields::{Fields, Shape, invalid, missing, name, user_id, user_ids};

/// Maximum number of recipients of one request.
pub const BODY_RECIPIENTS_MAX: usize = 1000;

/// The capability to send messages of type 100.
pub const CAP_SYSTEM: &str = "system";

/// Longest lifetime of a user token, in seconds: 30 days.
pub const TTL_S_MAX: u64 = 30 * 24 * 3600;

/// Most bytes of a recipient in a body: every byte escaped, quotes, a comma and a space.
const RECIPIENT_BYTES_MAX: usize = 6 * UserId::MAX_BYTES + 4;

/// Allowance for the other fields of a body, bounded and escaped, and for whitespace.
const OTHER_FIELDS_BYTES_MAX: usize = 16 << 10;

const MESSAGE: Shape<9> = Shape {
    what: "body",
    example: r#"{"domain":…,"toId":…,"fromId":…,"fromName":…,"type":…,"content":…}"#,
    names: [
        "domain",
        "toId",
        "toIds",
        "toResource",
        "fromId",
        "fromName",
        "type",
        "content",
        "clientMsgId",
    ],
};

const TOKEN: Shape<5> = Shape {
    what: "body",
    example: r#"{"domain":…,"id":…,"ttl":…}"#,
    names: ["domain", "id", "name", "ttl", "caps"],
};

/// A message sent by a backend.
#[derive(Debug, PartialEq, Eq)]
pub struct BackendSend {
    /// The domain of sender and recipients.
    pub domain: Domain,
    /// User id of the sender; may be the reserved id `system`.
    pub from_id: UserId,
    /// Display name of the sender.
    pub from_name: UserName,
    /// The message itself and its recipients.
    pub send: Send,
}

/// A user token requested by a backend.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenWanted {
    /// The domain in which it is valid.
    pub domain: Domain,
    /// The user it is for; never the reserved id `system`.
    pub id: UserId,
    /// Overrides the display name of its logins; never the reserved `system`.
    pub name: Option<UserName>,
    /// Its lifetime, from 1 second to 30 days.
    pub ttl: Duration,
    /// Whether it may send messages of type 100.
    pub system: bool,
}

/// Most bytes of the body of `POST /messages`.
pub fn message_bytes_max(rules: &FrameRules) -> usize {
    rules.content_bytes_max + BODY_RECIPIENTS_MAX * RECIPIENT_BYTES_MAX + OTHER_FIELDS_BYTES_MAX
}

/// Most bytes of the body of `POST /tokens`.
pub const TOKEN_BODY_BYTES_MAX: usize = OTHER_FIELDS_BYTES_MAX;

/// Parses the body of `POST /messages`.
///
/// # Errors
/// The first broken rule.
pub fn message(text: &str, rules: &FrameRules) -> Result<BackendSend, FrameError> {
    let fields = Fields::parse(text, &MESSAGE)?;
    let domain = name("domain", fields.required("domain")?, Domain::parse)?;
    let from_id = id("fromId", fields.required("fromId")?)?;
    let from_name = name("fromName", fields.required("fromName")?, UserName::parse)?;
    let send = client_frame::send(&fields, recipients, rules)?;
    Ok(BackendSend {
        domain,
        from_id,
        from_name,
        send,
    })
}

/// Parses the body of `POST /tokens`.
///
/// # Errors
/// The first broken rule.
pub fn token(text: &str) -> Result<TokenWanted, FrameError> {
    let fields = Fields::parse(text, &TOKEN)?;
    let domain = name("domain", fields.required("domain")?, Domain::parse)?;
    let id = id("id", fields.required("id")?)?;
    if id.is_system() {
        return Err(invalid("id", "must not be `system`, which is reserved"));
    }
    let user_name = fields.name("name", UserName::parse)?;
    if user_name.as_ref().is_some_and(UserName::is_system) {
        return Err(invalid("name", "must not be `system`, which is reserved"));
    }
    Ok(TokenWanted {
        domain,
        id,
        name: user_name,
        ttl: ttl(fields.required("ttl")?)?,
        system: fields.get("caps").map_or(Ok(false), system)?,
    })
}

fn id(field: &'static str, json: &str) -> Result<UserId, FrameError> {
    user_id(field, json, "must be a string or an integer")
}

fn recipients<const N: usize>(fields: &Fields<'_, N>) -> Result<(Vec<UserId>, bool), FrameError> {
    match (fields.get("toId"), fields.get("toIds")) {
        (Some(_), Some(_)) => Err(invalid("toIds", "must not stand beside `toId`")),
        (None, None) => Err(FrameError {
            message: "`toId` is missing, or `toIds` for several recipients".into(),
            ..missing("toId")
        }),
        (Some(json), None) if json.starts_with('[') => Err(invalid(
            "toId",
            "must be a string or an integer; several recipients go into `toIds`",
        )),
        (Some(json), None) => Ok((vec![id("toId", json)?], false)),
        (None, Some(json)) => {
            let expected = "must be an array of strings or integers";
            Ok((
                user_ids("toIds", json, BODY_RECIPIENTS_MAX, expected)?,
                true,
            ))
        }
    }
}

fn ttl(json: &str) -> Result<Duration, FrameError> {
    let seconds = unsigned(json);
    let seconds = seconds.filter(|seconds| (1..=TTL_S_MAX).contains(seconds));
    let expected = || format!("must be an integer from 1 to {TTL_S_MAX}: seconds");
    let seconds = seconds.ok_or_else(|| invalid("ttl", expected()))?;
    Ok(Duration::from_secs(seconds))
}

/// Whether the capabilities include `system`.
fn system(json: &str) -> Result<bool, FrameError> {
    let expected = || invalid("caps", "must be an array that holds nothing but \"system\"");
    let caps: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| expected())?;
    for (at, cap) in caps.iter().enumerate() {
        let cap: String = serde_json::from_str(cap.get()).map_err(|_| expected())?;
        if cap != CAP_SYSTEM {
            let place = at + 1;
            let expected = format!("must hold nothing but \"system\": entry {place} is unknown");
            return Err(invalid("caps", expected));
        }
    }
    Ok(!caps.is_empty())
}

#[cfg(test)]
mod tests;

//! What a fleet sends and reads, as text: contents that carry their key, messages, acknowledgements.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::DEMO;
use super::checker::Message;
use super::random::Random;

/// A hash of a content's very text.
pub fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A content of some size, in a spelling that only survives if nobody rewrites it. Of a hundred,
/// `large` are large.
pub fn content(key: &str, large: usize, random: &mut Random) -> String {
    let bytes = match random.below(100) {
        n if n < large => 30_000,
        0..10 => 8_000,
        10..30 => 700,
        _ => 40,
    };
    let padding = "x".repeat(random.below(bytes));
    format!(r#"{{ "pad":"{padding}é\u00e9\/", "n":1.50e1 ,"key": "{key}"}}"#)
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<'a> {
    from_id: String,
    from_resource: String,
    to_id: String,
    domain: String,
    #[serde(borrow)]
    content: &'a RawValue,
    send_at: u64,
    offline: bool,
    msg_id: u64,
}

#[derive(Deserialize)]
struct Page<'a> {
    total: usize,
    #[serde(borrow)]
    list: Vec<&'a RawValue>,
}

/// A message in the format of PROTOCOL section 4, or what is wrong with it.
pub fn message(text: &str) -> Result<Message, String> {
    let wrong = |error: serde_json::Error| format!("no message, {error}: {text}");
    let delivered: Delivered<'_> = serde_json::from_str(text).map_err(wrong)?;
    let content = delivered.content.get();
    let keyed: Keyed = serde_json::from_str(content).map_err(wrong)?;
    if delivered.domain != DEMO {
        return Err(format!("of another domain: {text}"));
    }
    Ok(Message {
        id: delivered.msg_id,
        key: keyed.key,
        from: format!("{}/{}", delivered.from_id, delivered.from_resource),
        to: delivered.to_id,
        content: hash(content),
        send_at: delivered.send_at,
        offline: delivered.offline,
    })
}

/// A page of the history: the total and its messages.
pub fn page(text: &str) -> (usize, Vec<Message>) {
    let page: Page<'_> = serde_json::from_str(text).unwrap();
    let messages = page.list.iter().map(|one| message(one.get()).unwrap());
    (page.total, messages.collect())
}

/// What answers a send.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    ack: Option<String>,
    msg_id: Option<u64>,
    msg_ids: Option<Vec<u64>>,
    duplicate: Option<bool>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refusal {
    code: String,
    client_msg_id: Option<String>,
}

/// An acknowledgement.
#[derive(Debug, PartialEq, Eq)]
pub struct Ack {
    pub key: String,
    pub ids: Vec<u64>,
    pub duplicate: bool,
}

/// What a sender hears, or what is wrong with it. `Ok(None)`: refused for now, to be tried again.
pub fn answer(text: &str) -> Result<Option<Ack>, String> {
    let wrong = || format!("instead of an acknowledgement: {text}");
    let answer: Answer = serde_json::from_str(text).map_err(|_| wrong())?;
    if let Some(Refusal {
        code,
        client_msg_id: Some(_),
    }) = &answer.error
    {
        // The disk is behind; the send was not accepted.
        return match code.as_str() {
            "storage_unavailable" => Ok(None),
            _ => Err(wrong()),
        };
    }
    let ids = answer.msg_ids.or(answer.msg_id.map(|id| vec![id]));
    match (answer.ack, ids, answer.duplicate) {
        (Some(key), Some(ids), Some(duplicate)) => Ok(Some(Ack {
            key,
            ids,
            duplicate,
        })),
        _ => Err(wrong()),
    }
}

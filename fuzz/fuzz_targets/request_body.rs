//! Any text as the body of `POST /messages` and of `POST /tokens`, with small limits: it is understood or refused, never
//! a panic; what is understood keeps the rules of the contract and stands in the body; a refusal names what was wrong,
//! in a sentence of bounded length.

#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use relaybox::model::MessageType;
use relaybox::protocol::client_frame::FrameRules;
use relaybox::protocol::error_code::FrameError;
use relaybox::protocol::request::{self, BODY_RECIPIENTS_MAX, BackendSend, TTL_S_MAX, TokenWanted};
use serde_json::Value;

const CONTENT_BYTES_MAX: usize = 64;
const CONTENT_DEPTH_MAX: usize = 8;
const SENTENCE_BYTES_MAX: usize = 512;

fn well_formed(text: &str, bytes_max: usize) {
    assert!((1..=bytes_max).contains(&text.len()));
    assert!(!text.chars().any(char::is_control));
}

/// Whether this field of the body is this name, or where integers may stand the integer that is written so.
fn is(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Number(number) => {
            let digits = name.strip_prefix('-').unwrap_or(name);
            let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
            // Another reader takes "-0", and what is beyond 64 bits, for a fraction.
            is_integer && (number.to_string() == name || number.is_f64())
        }
        _ => false,
    }
}

/// Small enough that a float is exact.
fn is_number(value: &Value, number: u64) -> bool {
    value.as_f64() == Some(number as f64)
}

fn check_message(sent: &BackendSend, text: &str, rules: &FrameRules) {
    // No other reader takes all JSON: numbers beyond those of 64 bits, half a surrogate pair, great depth.
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        return;
    };
    well_formed(sent.domain.as_str(), 253);
    well_formed(sent.from_id.as_str(), 128);
    well_formed(sent.from_name.as_str(), 256);
    assert_eq!(body["domain"], sent.domain.as_str());
    assert_eq!(body["fromName"], sent.from_name.as_str());
    assert!(is(&body["fromId"], sent.from_id.as_str()));
    let send = &sent.send;
    let one = [body["toId"].clone()];
    let to = if send.to_array {
        body["toIds"].as_array().expect("an array")
    } else {
        one.as_slice()
    };
    assert!((1..=BODY_RECIPIENTS_MAX).contains(&send.to.len()) && to.len() == send.to.len());
    assert!(
        send.to
            .iter()
            .zip(to)
            .all(|(user, value)| is(value, user.as_str()))
    );
    assert_eq!(send.to.iter().collect::<HashSet<_>>().len(), send.to.len());
    send.to
        .iter()
        .for_each(|user| well_formed(user.as_str(), 128));
    match &send.to_resource {
        None => assert!(body["toResource"].is_null()),
        Some(resource) => assert_eq!(body["toResource"], resource.as_str()),
    }
    match &send.client_msg_id {
        None => assert!(body["clientMsgId"].is_null()),
        Some(id) => assert_eq!(body["clientMsgId"], id.as_str()),
    }
    assert!(rules.types.contains(&send.kind) && is_number(&body["type"], send.kind.0.into()));
    assert!(send.content.len() <= CONTENT_BYTES_MAX && *send.content != *"null");
    // Byte for byte as it stands in the body, and JSON by itself.
    assert!(text.contains(&*send.content));
    assert_eq!(
        serde_json::from_str::<Value>(&send.content).ok(),
        Some(body["content"].clone())
    );
}

fn check_token(wanted: &TokenWanted, text: &str) {
    let Ok(body) = serde_json::from_str::<Value>(text) else {
        return;
    };
    well_formed(wanted.domain.as_str(), 253);
    well_formed(wanted.id.as_str(), 128);
    assert_eq!(body["domain"], wanted.domain.as_str());
    assert!(is(&body["id"], wanted.id.as_str()) && !wanted.id.is_system());
    assert_ne!(body["name"], "system");
    match &wanted.name {
        None => assert!(body["name"].is_null()),
        Some(name) => {
            well_formed(name.as_str(), 256);
            assert_eq!(body["name"], name.as_str());
        }
    }
    assert!((Duration::from_secs(1)..=Duration::from_secs(TTL_S_MAX)).contains(&wanted.ttl));
    assert!(is_number(&body["ttl"], wanted.ttl.as_secs()));
    let caps = body["caps"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(caps.iter().all(|cap| cap == "system"));
    assert_eq!(wanted.system, !caps.is_empty());
}

fn check_refusal(error: &FrameError) {
    assert!(!error.message.is_empty() && error.message.len() <= SENTENCE_BYTES_MAX);
    assert!(
        error
            .field
            .is_none_or(|field| error.message.contains(field))
    );
    assert!(!error.message.chars().any(char::is_control));
}

fuzz_target!(|text: &str| {
    let rules = FrameRules {
        content_bytes_max: CONTENT_BYTES_MAX,
        content_depth_max: CONTENT_DEPTH_MAX,
        types: MessageType::BASE.into(),
    };
    match request::message(text, &rules) {
        Ok(sent) => check_message(&sent, text, &rules),
        Err(error) => check_refusal(&error),
    }
    match request::token(text) {
        Ok(wanted) => check_token(&wanted, text),
        Err(error) => check_refusal(&error),
    }
});

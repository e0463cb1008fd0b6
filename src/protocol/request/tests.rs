use serde_json::{Value, json};

use super::*;
use crate::model::MessageType;
use crate::protocol::error_code::ErrorCode;

fn rules() -> FrameRules {
    FrameRules {
        content_bytes_max: 64,
        content_depth_max: 60,
        types: MessageType::BASE.into(),
    }
}

/// The object with these fields replaced; `null` removes a field.
fn with(base: Value, changes: Value) -> Value {
    let (mut base, changes) = (base, changes);
    let fields = base.as_object_mut().expect("an object");
    fields.extend(changes.as_object().expect("an object").clone());
    fields.retain(|_, value| !value.is_null());
    base
}

fn a_message(changes: Value) -> String {
    let base = json!({"domain": "d", "toId": "u", "fromId": "s", "fromName": "S", "type": 10, "content": 1});
    with(base, changes).to_string()
}

fn a_token(changes: Value) -> String {
    with(json!({"domain": "d", "id": "u", "ttl": 60}), changes).to_string()
}

#[test]
fn a_message_has_one_recipient_or_many_and_any_sender() {
    let one = message(&a_message(json!({"fromId": "system"})), &rules()).expect("valid");
    assert!(one.from_id.is_system() && !one.send.to_array);
    let numbers = a_message(json!({"fromId": 7, "toId": null, "toIds": ["a", 1]}));
    let many = message(&numbers, &rules()).expect("valid");
    assert_eq!(many.from_id.as_str(), "7");
    let to: Vec<_> = many.send.to.iter().map(UserId::as_str).collect();
    assert!(many.send.to_array && to == ["a", "1"]);
    let ids = |count| {
        let ids: Vec<_> = (0..count).collect();
        message(&a_message(json!({"toId": null, "toIds": ids})), &rules())
    };
    assert_eq!(ids(1000).expect("as many as may be").send.to.len(), 1000);
    assert!(ids(1001).is_err());
    let text = r#"{"x":{},"domain":"d","toId":"u","fromId":"s","fromName":"S","received":1,"type":10,"content": { "a" : 1.0 } }"#;
    let exact = message(text, &rules()).expect("unknown fields are passed over");
    assert_eq!(&*exact.send.content, r#"{ "a" : 1.0 }"#);
}

#[test]
fn the_largest_body_of_a_message_fits() {
    let escaped = |count: usize, n: usize| {
        let last = format!("{n:04}")
            .bytes()
            .map(|b| format!("\\u00{b:02x}"))
            .collect::<String>();
        format!("\"{}{last}\"", "\\u0061".repeat(count - 4))
    };
    let ids: Vec<_> = (0..BODY_RECIPIENTS_MAX)
        .map(|n| escaped(UserId::MAX_BYTES, n))
        .collect();
    let (domain, name, resource) = (escaped(253, 0), escaped(256, 0), escaped(64, 0));
    let body = format!(
        r#"{{"domain": {domain}, "fromId": {}, "fromName": {name}, "toResource": {resource}, "clientMsgId": {resource}, "type": 10, "content": "{}", "toIds": [{}]}}"#,
        ids[0],
        "x".repeat(62),
        ids.join(", ")
    );
    let sent = message(&body, &rules()).expect("valid");
    assert_eq!(sent.send.to.len(), BODY_RECIPIENTS_MAX);
    assert!(body.len() <= message_bytes_max(&rules()), "{}", body.len());
    let token_body = format!(
        r#"{{"domain":{domain},"id":{},"name":{name},"ttl":1}}"#,
        ids[0]
    );
    assert!(token(&token_body).is_ok() && token_body.len() <= TOKEN_BODY_BYTES_MAX);
}

#[test]
fn refusals_of_messages_name_code_and_field() {
    use ErrorCode::{InvalidField, InvalidJson, TooLarge, TypeNotAllowed};
    let long = a_message(json!({"content": "x".repeat(63)}));
    let cases = [
        ("".into(), InvalidJson, None),
        ("[]".into(), InvalidJson, None),
        (
            a_message(json!({"domain": null})),
            InvalidField,
            Some("domain"),
        ),
        (
            a_message(json!({"domain": 1})),
            InvalidField,
            Some("domain"),
        ),
        (
            a_message(json!({"fromId": null})),
            InvalidField,
            Some("fromId"),
        ),
        (
            a_message(json!({"fromId": 1.5})),
            InvalidField,
            Some("fromId"),
        ),
        (
            a_message(json!({"fromName": null})),
            InvalidField,
            Some("fromName"),
        ),
        (
            a_message(json!({"fromName": "a\nb"})),
            InvalidField,
            Some("fromName"),
        ),
        (a_message(json!({"toId": null})), InvalidField, Some("toId")),
        (
            a_message(json!({"toId": ["u"]})),
            InvalidField,
            Some("toId"),
        ),
        (
            a_message(json!({"toIds": ["u"]})),
            InvalidField,
            Some("toIds"),
        ),
        (
            a_message(json!({"toId": null, "toIds": []})),
            InvalidField,
            Some("toIds"),
        ),
        (
            a_message(json!({"toId": null, "toIds": "u"})),
            InvalidField,
            Some("toIds"),
        ),
        (
            a_message(json!({"toId": null, "toIds": [1, "1"]})),
            InvalidField,
            Some("toIds"),
        ),
        (
            a_message(json!({"toId": null, "toIds": ["a", ""]})),
            InvalidField,
            Some("toIds"),
        ),
        (
            a_message(json!({"toResource": ""})),
            InvalidField,
            Some("toResource"),
        ),
        (a_message(json!({"type": "10"})), InvalidField, Some("type")),
        (a_message(json!({"type": 11})), TypeNotAllowed, Some("type")),
        (
            a_message(json!({"content": null})),
            InvalidField,
            Some("content"),
        ),
        (
            a_message(json!({"clientMsgId": 1})),
            InvalidField,
            Some("clientMsgId"),
        ),
        (long, TooLarge, Some("content")),
    ];
    for (text, code, field) in cases {
        let error = message(&text, &rules()).expect_err(&text);
        assert_eq!((error.code, error.field), (code, field), "{text}");
        assert!(
            field.is_none_or(|field| error.message.contains(field)),
            "{text}"
        );
    }
    for name in MESSAGE.names.iter().filter(|name| **name != "toIds") {
        let twice =
            a_message(json!({*name: "1"})).replacen('{', &format!(r#"{{"{name}":null,"#), 1);
        let error = message(&twice, &rules()).expect_err(&twice);
        assert_eq!(error.field, Some(*name), "{twice}");
        assert!(error.message.contains("more than once"), "{twice}");
    }
}

#[test]
fn a_token_has_bounds_and_known_capabilities_only() {
    let wanted = token(&a_token(
        json!({"ttl": TTL_S_MAX, "name": "U", "caps": ["system"]}),
    ));
    let wanted = wanted.expect("valid");
    assert_eq!(wanted.ttl, Duration::from_secs(2_592_000));
    assert!(wanted.system && wanted.name.is_some_and(|name| name.as_str() == "U"));
    let plain = token(&a_token(json!({"id": 7, "caps": []}))).expect("valid");
    assert!(!plain.system && plain.name.is_none() && plain.id.as_str() == "7");
    for (changes, field) in [
        (json!({"domain": null}), "domain"),
        (json!({"id": null}), "id"),
        (json!({"id": "system"}), "id"),
        (json!({"id": [1]}), "id"),
        (json!({"name": ""}), "name"),
        (json!({"name": 1}), "name"),
        (json!({"name": "system"}), "name"),
        (json!({"ttl": null}), "ttl"),
        (json!({"ttl": 0}), "ttl"),
        (json!({"ttl": TTL_S_MAX + 1}), "ttl"),
        (json!({"ttl": 1.5}), "ttl"),
        (json!({"ttl": "60"}), "ttl"),
        (json!({"caps": "system"}), "caps"),
        (json!({"caps": [1]}), "caps"),
        (json!({"caps": ["system", "root"]}), "caps"),
    ] {
        let error = token(&a_token(changes.clone())).expect_err("wrong");
        assert_eq!(error.field, Some(field), "{changes}");
        assert!(error.message.contains(field), "{changes}");
    }
    let unknown = token(&a_token(json!({"caps": ["system", "root"]}))).expect_err("unknown");
    assert!(unknown.message.ends_with("entry 2 is unknown"), "{unknown}");
}

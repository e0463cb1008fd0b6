//! HTTP errors: PROTOCOL section 7.

use serde_json::json;

use super::Service;
use crate::backend::message;
use crate::support::{DEMO, PROJECT_TOKEN};

const JSON: &str = "application/json";

fn token_wanted() -> String {
    json!({"domain": DEMO, "id": "u1", "ttl": 60}).to_string()
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let server = Service::start();
    let elsewhere = server.add_domain("other");
    let bearer = |token: &str| format!("Bearer {token}");
    let good = message(json!({})).to_string();
    let nowhere = message(json!({"domain": "nowhere"})).to_string();
    let (project, other) = (bearer(PROJECT_TOKEN), bearer(&elsewhere));
    let with_token = format!("/messages?token={PROJECT_TOKEN}");
    let cases: &[(&str, Option<&str>, &str)] = &[
        ("/messages", None, &good),
        // In a header alone.
        (&with_token, None, &good),
        ("/messages", Some("Basic ZGVtbzpkZW1v"), &good),
        ("/messages", Some("Bearer"), &good),
        ("/messages", Some("Bearer rb-of-nobody"), &good),
        ("/messages", Some("Bearer a.b.c"), &good),
        ("/messages", Some(&other), &good),
        ("/messages", Some(&project), &nowhere),
        // Whoever is unknown learns nothing of bodies.
        ("/messages", None, "nonsense"),
        ("/tokens", None, &token_wanted()),
        ("/tokens", Some(&other), &token_wanted()),
    ];
    for (target, authorization, body) in cases {
        let mut headers = vec![("content-type", JSON)];
        headers.extend(authorization.map(|text| ("authorization", text)));
        let answer = server.request_with("POST", target, &headers, *body).await;
        answer.problem(401);
        assert_eq!(answer.json()["code"], "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let target = format!("/presence?domain={DEMO}&id=u1");
    for (target, token) in [
        (target.as_str(), None),
        (&target, Some("rb-of-nobody")),
        (&target, Some(elsewhere.as_str())),
        (&format!("{target}&token={PROJECT_TOKEN}"), None),
    ] {
        let answer = server.get(target, token).await;
        answer.problem(401);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(server.mailbox("box").await.len(), 0);
}

#[tokio::test]
async fn what_is_wrong_in_a_request_is_named() {
    let server = Service::with("content_bytes_max = \"1KiB\"\ntypes = [7]\n");
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let with = |changes| message(changes).to_string();
    let token = |changes: serde_json::Value| {
        let mut body = json!({"domain": DEMO, "id": "u1", "ttl": 60});
        body.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        body.to_string()
    };
    let many: Vec<_> = (0..1001).collect();
    // Target, content type, body; status, code, what is named.
    let cases = [
        (
            "/messages",
            JSON,
            String::new(),
            400,
            "invalid_json",
            "JSON",
        ),
        (
            "/messages",
            JSON,
            "[]".into(),
            400,
            "invalid_json",
            "object",
        ),
        (
            "/messages",
            JSON,
            "{} {}".into(),
            400,
            "invalid_json",
            "JSON",
        ),
        (
            "/messages",
            JSON,
            with(json!({"domain": null})),
            400,
            "invalid_field",
            "`domain`",
        ),
        (
            "/messages",
            JSON,
            with(json!({"domain": ""})),
            400,
            "invalid_field",
            "`domain`",
        ),
        (
            "/messages",
            JSON,
            with(json!({"toId": null})),
            400,
            "invalid_field",
            "`toId`",
        ),
        (
            "/messages",
            JSON,
            with(json!({"toId": ["u"]})),
            400,
            "invalid_field",
            "`toIds`",
        ),
        (
            "/messages",
            JSON,
            with(json!({"toIds": ["u"]})),
            400,
            "invalid_field",
            "`toId`",
        ),
        (
            "/messages",
            JSON,
            with(json!({"toId": null, "toIds": many})),
            400,
            "invalid_field",
            "1000",
        ),
        (
            "/messages",
            JSON,
            with(json!({"fromName": 1})),
            400,
            "invalid_field",
            "`fromName`",
        ),
        (
            "/messages",
            JSON,
            with(json!({"type": "10"})),
            400,
            "invalid_field",
            "integer",
        ),
        (
            "/messages",
            JSON,
            with(json!({"type": 8})),
            400,
            "type_not_allowed",
            "7, 10, 20",
        ),
        (
            "/messages",
            JSON,
            with(json!({"content": "x".repeat(1023)})),
            413,
            "too_large",
            "1024",
        ),
        (
            "/messages",
            JSON,
            " ".repeat(2 << 20),
            413,
            "too_large",
            "bytes",
        ),
        (
            "/messages",
            "text/plain",
            with(json!({})),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        (
            "/tokens",
            JSON,
            "nonsense".into(),
            400,
            "invalid_json",
            "JSON",
        ),
        (
            "/tokens",
            JSON,
            token(json!({"ttl": null})),
            400,
            "invalid_field",
            "`ttl`",
        ),
        (
            "/tokens",
            JSON,
            token(json!({"ttl": 2_592_001})),
            400,
            "invalid_field",
            "2592000",
        ),
        (
            "/tokens",
            JSON,
            token(json!({"id": "system"})),
            400,
            "invalid_field",
            "`system`",
        ),
        (
            "/tokens",
            JSON,
            token(json!({"caps": ["system", "root"]})),
            400,
            "invalid_field",
            "entry 2 is unknown",
        ),
        (
            "/tokens",
            JSON,
            " ".repeat(1 << 20),
            413,
            "too_large",
            "bytes",
        ),
        (
            "/tokens",
            "",
            token(json!({})),
            415,
            "unsupported_media_type",
            "application/json",
        ),
    ];
    for (target, media_type, body, status, code, named) in cases {
        let shown: String = body.chars().take(80).collect();
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", media_type),
        ];
        headers.retain(|(_, value)| !value.is_empty());
        let answer = server.request_with("POST", target, &headers, body).await;
        let detail = answer.problem(status);
        assert_eq!(answer.json()["code"], code, "{shown}");
        assert!(detail.contains(named), "{shown}: {detail}");
        let field = answer.json()["field"].clone();
        assert_eq!(
            field.is_string(),
            detail.contains("` "),
            "{detail}: {field}"
        );
    }
    let answer = server
        .post("/messages", PROJECT_TOKEN, with(json!({"type": 7})))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    for (query, named) in [
        ("id=u1", "`domain`"),
        ("domain=demo", "`id`"),
        ("domain=demo&id=", "`id`"),
    ] {
        let target = format!("/presence?{query}");
        let answer = server.get(&target, Some(PROJECT_TOKEN)).await;
        assert!(answer.problem(400).contains(named), "{query}");
        assert_eq!(answer.json()["code"], "invalid_parameter");
    }
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_told() {
    let server = Service::start();
    server
        .get("/nothing", Some(PROJECT_TOKEN))
        .await
        .problem(404);
    for (method, target, allow) in [
        ("GET", "/messages", "POST"),
        ("DELETE", "/tokens", "POST"),
        ("POST", "/presence", "GET,HEAD"),
        ("POST", "/ws", "GET,HEAD"),
        ("PUT", "/message-log", "GET,HEAD,DELETE"),
        ("POST", "/openapi.json", "GET,HEAD"),
    ] {
        let answer = server.request(method, target, &[]).await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), allow, "{target}");
    }
}

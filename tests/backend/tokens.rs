//! `POST /tokens`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::{DEMO, Login, PROJECT_TOKEN, Server};
use crate::message;

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

async fn minted(server: &mut Server, changes: Value) -> (String, u64) {
    let mut body = json!({"domain": DEMO, "id": "u1", "ttl": 3600});
    body.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    let answer = server.post("/tokens", PROJECT_TOKEN, &body).await;
    assert_eq!(answer.status, 201, "{body}: {}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.json();
    let token = answer["token"].as_str().unwrap().to_owned();
    server.secret(&token);
    (token, answer["expiresAt"].as_u64().unwrap())
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_logs_its_user_in_and_nobody_else() {
    let mut server = Server::start().await;
    let before = now_ms();
    let (token, expires_at) = minted(&mut server, json!({"name": "Alice"})).await;
    let after = now_ms();
    assert!((before / 1000 * 1000 + 3_600_000..=after + 3_600_000).contains(&expires_at));
    let claims = claims(&token);
    let expected = json!({
        "sub": "u1", "dom": DEMO, "name": "Alice", "exp": expires_at / 1000, "iat": expires_at / 1000 - 3600,
    });
    assert_eq!(claims, expected);

    let mut user = server
        .login(&Login::new("u1").token(&token).name("Mallory"))
        .await;
    let mut other = server.user("u2").await;
    user.say("u2", "hello").await;
    assert_eq!(other.message().await["fromName"], "Alice");
    user.send(&json!({"toId": "u2", "type": 100, "content": 1}))
        .await;
    assert_eq!(user.error().await["error"]["code"], "type_not_allowed");
    server.refused(&Login::new("u2").token(&token), 4403).await;
}

#[tokio::test]
async fn the_capability_system_may_send_system_messages() {
    let mut server = Server::start().await;
    let (token, _) = minted(
        &mut server,
        json!({"id": 7, "caps": ["system"], "ttl": 2_592_000}),
    )
    .await;
    assert_eq!(claims(&token)["caps"], json!(["system"]));
    let mut user = server.login(&Login::new("7").token(&token)).await;
    let frame = json!({"toId": "u2", "type": 100, "content": 1, "clientMsgId": "c"});
    user.send(&frame).await;
    user.ack("c").await;
}

#[tokio::test]
async fn a_user_token_is_no_project_token_anywhere() {
    let mut server = Server::start().await;
    let (token, _) = minted(&mut server, json!({"caps": ["system"]})).await;
    let wanted = json!({"domain": DEMO, "id": "u2", "ttl": 60});
    for (target, body) in [("/tokens", wanted), ("/messages", message(json!({})))] {
        let detail = server.post(target, &token, body).await.problem(403);
        assert!(detail.contains("project token"), "{detail}");
    }
    let presence = format!("/presence?domain={DEMO}&id=u1");
    server.get(&presence, Some(&token)).await.problem(403);
    assert_eq!(server.mailbox("box").await.len(), 0);
}

#[tokio::test]
async fn a_removed_domain_mints_no_tokens() {
    let mut server = Server::start().await;
    let project = server.add_domain("shop").await;
    let wanted = json!({"domain": "shop", "id": "u1", "ttl": 60});
    let answer = server.post("/tokens", &project, &wanted).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    server.secret(answer.json()["token"].as_str().unwrap());
    server.cli(&["domain", "remove", "shop", "--yes"]).await;
    server.post("/tokens", &project, &wanted).await.problem(401);
}

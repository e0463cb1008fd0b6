//! `POST /tokens`, and sessions by its tokens. What they allow over HTTP: `router::backend::tokens`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{DEMO, Login, PROJECT_TOKEN, Server, Way};

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

async fn minted(server: &mut Server, changes: Value) -> (String, u64) {
    minted_by(server, PROJECT_TOKEN, changes).await
}

async fn minted_by(server: &mut Server, project: &str, changes: Value) -> (String, u64) {
    let mut body = json!({"domain": DEMO, "id": "u1", "ttl": 3600});
    body.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    let answer = server.post("/tokens", project, &body).await;
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
async fn a_token_may_come_in_three_ways_and_speaks_for_its_user_under_its_name() {
    let mut server = Server::start().await;
    let (token, _) = minted(&mut server, json!({"name": "Alice"})).await;
    let mut other = server.user("u2").await;
    for way in [Way::Query, Way::Header, Way::Subprotocol] {
        let login = Login::new("u1").way(way).token(&token).name("Mallory");
        let mut user = server.login(&login).await;
        // What a frame says of its sender is passed over.
        let frame = json!({
            "toId": "u2", "type": 10, "content": format!("{way:?}"),
            "fromId": "u3", "fromName": "Mallory", "domain": "other",
        });
        user.send(&frame).await;
        let message = other.message().await;
        assert_eq!(message["content"], format!("{way:?}"));
        assert_eq!(message["fromId"], "u1");
        assert_eq!(message["fromName"], "Alice");
        assert_eq!(message["domain"], DEMO);
        for refused in [
            login.clone().token(&format!("{token}x")),
            login.clone().domain("x"),
        ] {
            let mut client = server.connect(&refused).await;
            let code = client.text_or_code().await.unwrap_err();
            assert!(matches!(code, Some(4401 | 4403)), "{way:?} {code:?}");
        }
        server
            .refused(&Login::new("u2").way(way).token(&token), 4403)
            .await;
        user.close().await;
    }
}

#[tokio::test]
async fn a_rotation_ends_all_user_tokens_at_once_or_after_its_grace_and_not_before() {
    let mut server = Server::start().await;
    let mut project = server.add_domain("shop").await;
    let mut bystander = server.user("u1").await;
    for (grace_ms, more) in [(2000, &["--grace", "2s"][..]), (0, &[])] {
        let wanted = json!({"domain": "shop"});
        let (posted, _) = minted_by(&mut server, &project, wanted.clone()).await;
        let printed = server.mint_for("shop", "u2", &[]).await;
        let old = [("u1", &posted), ("u2", &printed), ("u3", &project)];
        let old = old.map(|(id, token)| Login::new(id).domain("shop").token(token));
        let mut sessions = Vec::new();
        for login in &old {
            sessions.push(server.login(login).await);
        }

        let earliest_ms = now_ms() + grace_ms;
        let rotate = [&["domain", "rotate", "shop"], more].concat();
        let next = server.cli(&rotate).await;
        server.secret(&next);
        let (fresh, _) = minted_by(&mut server, &next, wanted).await;
        let login = Login::new("u1").domain("shop").resource("new");
        let mut stays = server.login(&login.token(&fresh)).await;
        for session in &mut sessions {
            session.closed(4401).await;
            assert!(now_ms() >= earliest_ms, "ended within its grace");
        }
        for login in &old {
            server.refused(login, 4401).await;
        }
        for token in [&posted, &printed, &project] {
            let target = "/message-log?domain=shop&toId=u1";
            server.get(target, Some(token)).await.problem(401);
        }
        stays.nothing().await;
        project = next;
    }
    bystander.nothing().await;
}

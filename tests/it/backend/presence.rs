//! `GET /presence`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::sent;
use crate::support::{Login, PROJECT_TOKEN, Server, until};

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

async fn presence(server: &Server, id: &str) -> Value {
    let target = format!("/presence?domain=demo&id={id}");
    let answer = server.get(&target, Some(PROJECT_TOKEN)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn offline(server: &Server, id: &str) -> u64 {
    let gone = until("the end of its sessions", async || {
        let told = presence(server, id).await;
        (told["online"] == false).then_some(told)
    })
    .await;
    assert_eq!(gone["sessions"], json!([]));
    gone["lastSeen"].as_u64().unwrap()
}

#[tokio::test]
async fn sessions_and_the_end_of_the_last_one_are_told_also_after_a_restart() {
    let mut server = Server::start().await;
    let unknown = json!({"id": "u1", "online": false, "sessions": [], "lastSeen": null});
    assert_eq!(presence(&server, "u1").await, unknown);
    sent(&server, json!({"toId": "u1", "toResource": "tv"})).await;
    assert_eq!(
        presence(&server, "u1").await,
        unknown,
        "it was only written to"
    );

    let begun = now_ms();
    let web = server.user("u1").await;
    let between = now_ms();
    let phone = server.login(&Login::new("u1").resource("phone")).await;
    let told = presence(&server, "u1").await;
    let now = now_ms();
    assert_eq!((&told["id"], &told["online"]), (&json!("u1"), &json!(true)));
    let sessions = told["sessions"].as_array().unwrap();
    let since = |at: usize| sessions[at]["since"].as_u64().unwrap();
    let names: Vec<_> = sessions
        .iter()
        .map(|session| &session["resource"])
        .collect();
    assert_eq!(names, ["phone", "web"]);
    assert!((between..=now).contains(&since(0)) && (begun..=between).contains(&since(1)));
    assert!((since(0)..=now).contains(&told["lastSeen"].as_u64().unwrap()));

    phone.close().await;
    until("one session", async || {
        let told = presence(&server, "u1").await;
        (told["sessions"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let closing = now_ms();
    web.close().await;
    let last_seen = offline(&server, "u1").await;
    assert!(
        (closing..=now_ms()).contains(&last_seen),
        "{closing} {last_seen}"
    );
    server.restart().await;
    assert_eq!(offline(&server, "u1").await, last_seen);

    // A server that stops ends its sessions.
    let staying = server.user("u1").await;
    let stopping = now_ms();
    server.stop().await;
    let stopped = now_ms();
    staying.gone().await;
    server.spawn().await;
    let last_seen = offline(&server, "u1").await;
    assert!(
        (stopping..=stopped).contains(&last_seen),
        "{stopping} {last_seen}"
    );
}

#[tokio::test]
async fn a_crash_forgets_at_most_what_was_not_noted() {
    let mut server = Server::start().await;
    let begun = now_ms();
    let mut user = server.user("u1").await;
    sent(&server, json!({"toId": "u1"})).await;
    user.message().await;
    server.kill9().await;
    let ended = now_ms();
    server.spawn().await;
    // The first login of a device is durable before it is answered.
    let last_seen = offline(&server, "u1").await;
    assert!((begun..=ended).contains(&last_seen), "{begun} {last_seen}");
}

#[tokio::test]
async fn a_replaced_session_leaves_its_successor() {
    let server = Server::start().await;
    let first = server.user("u1").await;
    let between = now_ms();
    let _second = server.user("u1").await;
    first.gone().await;
    let told = presence(&server, "u1").await;
    let sessions = told["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &told["online"]), (1, &json!(true)));
    assert!(sessions[0]["since"].as_u64().unwrap() >= between);
}

#[tokio::test]
async fn presence_is_of_one_domain() {
    let mut server = Server::start().await;
    let other = server.add_domain("other").await;
    let _web = server.user("u1").await;
    let answer = server
        .get("/presence?domain=other&id=u1", Some(&other))
        .await;
    assert_eq!(answer.json()["online"], false);
    server
        .get("/presence?domain=demo&id=u1", Some(&other))
        .await
        .problem(401);
}

//! `POST /tokens`: what its tokens allow over HTTP.

use serde_json::{Value, json};

use super::Service;
use crate::backend::message;
use crate::support::{DEMO, PROJECT_TOKEN};

async fn minted(server: &Service, changes: Value) -> String {
    let mut body = json!({"domain": DEMO, "id": "u1", "ttl": 3600});
    body.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    let answer = server.post("/tokens", PROJECT_TOKEN, &body).await;
    assert_eq!(answer.status, 201, "{body}: {}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    server.secret(&token);
    token
}

#[tokio::test]
async fn a_user_token_is_no_project_token_anywhere() {
    let server = Service::start();
    let token = minted(&server, json!({"caps": ["system"]})).await;
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
    let server = Service::start();
    let project = server.add_domain("shop");
    let wanted = json!({"domain": "shop", "id": "u1", "ttl": 60});
    let answer = server.post("/tokens", &project, &wanted).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    server.secret(answer.json()["token"].as_str().unwrap());
    server.remove_domain("shop");
    server.post("/tokens", &project, &wanted).await.problem(401);
}

#[tokio::test]
async fn a_token_reads_what_its_user_takes_part_in() {
    let server = Service::start();
    let token = minted(&server, json!({})).await;
    for (to, from) in [("u1", "u2"), ("u2", "u1"), ("u2", "u3")] {
        let changes = json!({"toId": to, "fromId": from});
        let body = message(changes);
        let answer = server.post("/messages", PROJECT_TOKEN, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    for (query, status, total) in [
        ("toId=u1", 200, 1),
        ("toId=u1&fromId=u2", 200, 1),
        ("toId=u1&with=u2", 200, 2),
        ("toId=u2&fromId=u1", 200, 1),
        ("toId=u2&with=u1", 200, 2),
        ("toId=u2", 403, 0),
        ("toId=u2&fromId=u3", 403, 0),
        ("toId=u2&with=u3", 403, 0),
        ("toId=u3", 403, 0),
    ] {
        let target = format!("/message-log?domain={DEMO}&{query}");
        let in_query = format!("{target}&token={token}");
        for answer in [
            server.get(&target, Some(&token)).await,
            server.get(&in_query, None).await,
        ] {
            assert_eq!(answer.status, status, "{query}: {}", answer.body);
            if status == 200 {
                assert_eq!(answer.json()["total"], total, "{query}");
            } else {
                answer.problem(403);
            }
        }
    }
}

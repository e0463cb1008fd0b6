//! Pages of a server that restarts, and what a connection sees of them. More about pages: `router::history::pages`.

use super::{LOG, filled};
use crate::support::{Login, Options, PROJECT_TOKEN, Server};

#[tokio::test]
async fn pages_are_the_same_after_a_restart() {
    let mut server = filled().await;
    let before = server.mailbox("box").await;
    server.restart().await;
    assert_eq!(server.mailbox("box").await, before);
    server.kill9().await;
    server.spawn().await;
    assert_eq!(server.mailbox("box").await, before);
    let mut sender = server.user("often").await;
    sender.say_acked("box", "25").await;
    let after = server.mailbox("box").await;
    assert_eq!(after[..25], before[..]);
    assert_eq!(after[25]["content"], "25");
}

#[tokio::test]
async fn the_operator_may_open_the_history() {
    let mut server = Server::with(Options::new().file("history_open = true\n")).await;
    let mut sender = server.user("u1").await;
    sender.say_acked("box", "hello").await;
    let answer = server.get(LOG, None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["total"], 1);
    // It opens reading, not logging in.
    server.refused(&Login::new("u1").token("none"), 4401).await;
    drop(sender);
    server.change(Options::new().file("history_open = false\n"));
    server.restart().await;
    server.get(LOG, None).await.problem(401);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_the_same_form() {
    let server = Server::start().await;
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    for method in ["POST", "PUT", "PATCH"] {
        let answer = server.request(method, LOG, &headers).await;
        answer.problem(405);
        for allowed in ["GET", "DELETE"] {
            assert!(answer.header("allow").contains(allowed), "{method}");
        }
    }
    // RFC 9110 wants HEAD wherever there is GET; refusing it must be said as well.
    let head = server.request("HEAD", LOG, &headers).await;
    assert!(head.body.is_empty());
    if head.status != 200 {
        assert_eq!(head.status, 405);
        assert!(head.header("allow").contains("GET"));
    }
    for target in [
        "/nothing-here",
        "/message-log/",
        "/message-log/x",
        "/ws/x",
        "//",
        "/%00",
    ] {
        let answer = server.get(target, None).await;
        answer.problem(404);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "*",
            "{target}"
        );
    }
}

#[tokio::test]
async fn answers_are_json_and_the_connection_is_kept() {
    let server = filled().await;
    let answer = server.get(LOG, Some(PROJECT_TOKEN)).await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
    assert_ne!(answer.header("connection").to_ascii_lowercase(), "close");
}

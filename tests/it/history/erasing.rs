//! `DELETE /message-log`, its sessions and its restarts. What it refuses: `router::history::erasing`.

use serde_json::json;

use super::{LOG, filled, ids, numbers};
use crate::support::http::Answer;
use crate::support::{Login, Options, PROJECT_TOKEN, Server};

async fn erase(server: &Server, target: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    server.request("DELETE", target, &headers).await
}

async fn erased(server: &Server, more: &str) {
    let answer = erase(server, &format!("{LOG}{more}"), PROJECT_TOKEN).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

#[tokio::test]
async fn what_is_erased_is_gone_everywhere_at_once_and_for_good() {
    let mut server = filled().await;
    let mut sender = server.user("often").await;
    sender.say_acked("other", "100").await;
    let all = server.mailbox("box").await;
    let at = |n: usize| all[n]["msgId"].as_u64().unwrap();

    erased(&server, &format!("&before={}", at(10))).await;
    let answer = server.history("box", "&size=100").await;
    assert_eq!(numbers(&answer), (10..25).rev().collect::<Vec<_>>());
    assert_eq!(answer["total"], 15);
    assert_eq!(answer["asOf"], at(24));
    let rare = server.history("box", "&fromId=rare&after=0").await;
    assert_eq!(
        (numbers(&rare), &rare["total"]),
        (vec![10, 15, 20], &3.into())
    );
    let pinned = server.history("box", &format!("&asOf={}", at(9))).await;
    assert_eq!((&pinned["total"], &pinned["asOf"]), (&0.into(), &0.into()));
    // Less than that changes nothing, nor does a repeat.
    for before in [0, at(3), at(10)] {
        erased(&server, &format!("&before={before}")).await;
        assert_eq!(server.mailbox("box").await.len(), 15);
    }

    // It was never delivered, and never will be.
    let mut phone = server.login(&Login::new("box").resource("phone")).await;
    for n in 10..25 {
        assert_eq!(phone.message().await["content"], n.to_string());
    }
    phone.close().await;
    erased(&server, "").await;
    let mut web = server.login(&Login::new("box").after(0)).await;
    let id = sender.say_acked("box", "25").await;
    let message = web.message().await;
    assert_eq!(
        (&message["msgId"], &message["offline"]),
        (&json!(id), &json!(false))
    );
    web.nothing().await;
    let answer = server.history("box", "").await;
    assert_eq!((ids(&answer), &answer["asOf"]), (vec![id], &json!(id)));
    assert_eq!(server.mailbox("other").await.len(), 1);

    drop((web, sender));
    server.kill9().await;
    server.spawn().await;
    assert_eq!(ids(&server.history("box", "").await), [id]);
    server.restart().await;
    assert_eq!(ids(&server.history("box", "").await), [id]);
    assert_eq!(server.mailbox("other").await.len(), 1);
    let mut tablet = server
        .login(&Login::new("box").resource("tablet").after(0))
        .await;
    assert_eq!(tablet.message().await["msgId"], id);
    tablet.nothing().await;
}

#[tokio::test]
async fn sessions_that_are_behind_go_on_after_an_erasure() {
    let options = Options::new().args(&["--outbox-bytes-max", "4KiB"]);
    let server = Server::with(options).await;
    let mut sender = server.user("u1").await;
    let mut web = server.user("box").await;
    let large = "x".repeat(3000);
    for round in 0..40 {
        // More than the outbox takes: the session falls behind and reads the store.
        for _ in 0..5 {
            sender.say("box", &large).await;
        }
        erased(&server, "").await;
        let id = sender.say_acked("box", &round.to_string()).await;
        let message = web.find("what came after it", |message| message["msgId"] == id);
        assert_eq!(message.await["content"], round.to_string());
    }
}

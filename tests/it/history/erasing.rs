//! `DELETE /message-log`: PROTOCOL section 6.

use serde_json::json;

use super::{LOG, filled, ids, numbers};
use crate::support::http::Answer;
use crate::support::{Login, Options, PROJECT_TOKEN, Server, encode};

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
async fn a_mailbox_that_nobody_wrote_to_can_be_erased() {
    let server = Server::start().await;
    erased(&server, "").await;
    erased(&server, "&before=9007199254740991").await;
    let mut sender = server.user("u1").await;
    let id = sender.say_acked("box", "after it").await;
    assert_eq!(ids(&server.history("box", "").await), [id]);
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

#[tokio::test]
async fn only_a_project_erases() {
    let mut server = filled().await;
    let elsewhere = server.add_domain("other").await;
    let owner = server.mint("box", &["--cap", "system"]).await;
    let foreign = server.mint_for("other", "box", &[]).await;
    let unknown = "/message-log?domain=nowhere&toId=box";
    for (target, token, status) in [
        (LOG, owner.as_str(), 403),
        (LOG, &foreign, 403),
        (LOG, &elsewhere, 401),
        (LOG, "rb-of-nobody", 401),
        (unknown, PROJECT_TOKEN, 401),
    ] {
        let answer = erase(&server, target, token).await;
        answer.problem(status);
        let challenge = answer.header("www-authenticate").starts_with("Bearer");
        assert_eq!(challenge, status == 401, "{target}");
    }
    server.request("DELETE", LOG, &[]).await.problem(401);
    server.change(Options::new().file("history_open = true\n"));
    server.restart().await;
    server.request("DELETE", LOG, &[]).await.problem(401);
    assert_eq!(server.mailbox("box").await.len(), 25);
    let in_query = format!("{LOG}&token={}", encode(PROJECT_TOKEN));
    assert_eq!(server.request("DELETE", &in_query, &[]).await.status, 204);
    assert_eq!(server.mailbox("box").await.len(), 0);
}

#[tokio::test]
async fn what_would_erase_something_else_is_refused_by_name() {
    let server = filled().await;
    for (name, query) in [
        ("domain", "toId=box"),
        ("toId", "domain=demo"),
        ("toId", "domain=demo&toId="),
        ("toId", "domain=demo&toId=box&toId=box"),
        ("before", "domain=demo&toId=box&before="),
        ("before", "domain=demo&toId=box&before=x"),
        ("before", "domain=demo&toId=box&before=-1"),
        ("before", "domain=demo&toId=box&before=9007199254740992"),
        ("before", "domain=demo&toId=box&before=1&before=1"),
        ("fromId", "domain=demo&toId=box&fromId=rare"),
        ("until", "domain=demo&toId=box&until=5"),
        ("asOf", "domain=demo&toId=box&asOf=5"),
    ] {
        let target = format!("/message-log?{query}");
        let detail = erase(&server, &target, PROJECT_TOKEN).await.problem(400);
        assert!(detail.contains(&format!("`{name}`")), "{query}: {detail}");
    }
    // A name that nobody knows, by its place.
    for (query, named) in [
        (
            "domain=demo&toId=box&befor=1",
            "parameter 3 (did you mean `before`?) is no",
        ),
        (
            "domain=demo&hush-hush=1&toId=box",
            "parameter 2 is no parameter of DELETE",
        ),
    ] {
        let target = format!("/message-log?{query}");
        let detail = erase(&server, &target, PROJECT_TOKEN).await.problem(400);
        assert!(detail.starts_with(named), "{query}: {detail}");
    }
    assert_eq!(server.mailbox("box").await.len(), 25);
}

#[tokio::test]
async fn a_page_of_another_origin_may_erase() {
    let server = Server::start().await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "authorization"),
    ];
    let answer = server.request("OPTIONS", LOG, &preflight).await;
    assert!((200..300).contains(&answer.status), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let methods = answer.header("access-control-allow-methods");
    assert!(
        methods.contains("DELETE") && methods.contains("GET"),
        "{methods}"
    );
    let answer = erase(&server, LOG, PROJECT_TOKEN).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

//! `DELETE /message-log`: PROTOCOL section 6.

use super::{LOG, Service, filled, filled_with, ids};
use crate::router::service::TTL;
use crate::support::http::Answer;
use crate::support::{DEMO, PROJECT_TOKEN, encode};

async fn erase(server: &Service, target: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    server.request("DELETE", target, &headers).await
}

async fn erased(server: &Service, more: &str) {
    let answer = erase(server, &format!("{LOG}{more}"), PROJECT_TOKEN).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

#[tokio::test]
async fn a_mailbox_that_nobody_wrote_to_can_be_erased() {
    let server = Service::start();
    erased(&server, "").await;
    erased(&server, "&before=9007199254740991").await;
    let id = server.say("u1", "box", "after it").await;
    assert_eq!(ids(&server.history("box", "").await), [id]);
}

#[tokio::test]
async fn only_a_project_erases() {
    let server = filled().await;
    let elsewhere = server.add_domain("other");
    let owner = server.mint_for(DEMO, "box", TTL, true);
    let foreign = server.mint_for("other", "box", TTL, false);
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
    let server = filled_with("history_open = true\n").await;
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
    let server = Service::start();
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

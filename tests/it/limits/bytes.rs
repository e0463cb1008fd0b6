//! Rates by bytes: what a message takes for each of its recipients.

use serde_json::{Value, json};

use super::*;
use crate::support::{PROJECT_TOKEN, until};

fn frame(id: &str, to: impl Into<Value>, bytes: usize) -> Value {
    let to: Value = to.into();
    json!({"toId": to, "type": 10, "content": "x".repeat(bytes), "clientMsgId": id})
}

async fn refused_by(server: &Server, setting: &str) -> u64 {
    let label = format!("limit=\"{setting}\"");
    metric(server, "relaybox_limited_total", &label).await
}

#[tokio::test]
async fn a_user_above_its_bytes_waits_and_one_who_does_not_is_closed() {
    let args = ["--send-bytes-per-user", "64KiB/h"];
    let mut server = Server::with(Options::new().args(&args)).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    // Three small ones leave room, and the last one may be larger than that.
    for id in ["1", "2", "3"] {
        user.send(&frame(id, "a", 1000)).await;
        user.ack(id).await;
    }
    user.send(&frame("4", "a", 200_000)).await;
    user.ack("4").await;
    user.send(&frame("5", "a", 1)).await;
    let refused = user.answer("5").await;
    assert_eq!(refused["error"]["code"], "rate_limited");
    let text = refused["content"].as_str().unwrap();
    assert!(text.contains("sends too many bytes"), "{text}");
    // All that is above the rate is waited for: some two hours.
    assert!(retry_ms(text) > 7_000_000, "{text}");
    // What was accepted is acknowledged again.
    user.send(&frame("4", "a", 200_000)).await;
    assert_eq!(user.ack("4").await["duplicate"], true);
    let mut trusted = server.login(&Login::new("u1").resource("backend")).await;
    trusted.say_acked("a", "more").await;
    assert_eq!(
        server.mailbox("a").await.len(),
        5,
        "nothing of what was refused"
    );
    assert!(refused_by(&server, "send_bytes_per_user").await > 0);
    for _ in 0..200 {
        if !user.try_send_text(&frame("6", "a", 1).to_string()).await {
            break;
        }
    }
    user.closed(4529).await;
}

#[tokio::test]
async fn each_recipient_counts() {
    let args = ["--send-bytes-per-user", "64KiB/h"];
    let mut server = Server::with(Options::new().args(&args)).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    let many: Vec<_> = (0..100).map(|n| format!("r{n}")).collect();
    user.send(&frame("1", many, 1000)).await;
    user.ack("1").await;
    user.send(&frame("2", "a", 1)).await;
    assert_eq!(user.answer("2").await["error"]["code"], "rate_limited");
    // One byte to as many takes as many names and places.
    let token = server.mint("u2", &[]).await;
    let mut other = server.login(&Login::new("u2").token(&token)).await;
    let many: Vec<_> = (0..100).map(|n| format!("{n:0>128}")).collect();
    other.send(&frame("1", many, 1)).await;
    other.ack("1").await;
    other.send(&frame("2", "a", 1)).await;
    assert_eq!(other.answer("2").await["error"]["code"], "rate_limited");
}

#[tokio::test]
async fn what_is_too_large_counts_as_the_largest_that_is_not() {
    let args = [
        "--send-bytes-per-user",
        "16KiB/h",
        "--content-bytes-max",
        "10000",
    ];
    let mut server = Server::with(Options::new().args(&args)).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    for (id, bytes, code) in [
        ("1", 20_000, "too_large"),
        ("2", 200_000, "too_large"),
        ("3", 20_000, "rate_limited"),
    ] {
        user.send(&frame(id, "a", bytes)).await;
        assert_eq!(user.answer(id).await["error"]["code"], code, "{id}");
    }
}

#[tokio::test]
async fn a_domain_above_its_bytes_waits_over_http_too() {
    let args = ["--send-bytes-per-domain", "demo=64KiB/h"];
    let mut server = Server::with(Options::new().args(&args)).await;
    let body = |id: &str, bytes: usize| {
        let toids: Vec<_> = (0..10).map(|n| format!("r{n}")).collect();
        json!({"domain": "demo", "toIds": toids, "fromId": "b", "fromName": "B", "type": 10,
            "content": "x".repeat(bytes), "clientMsgId": id})
    };
    let first = server
        .post("/messages", PROJECT_TOKEN, body("1", 10_000))
        .await;
    assert_eq!(first.status, 201, "{}", first.body);
    let refused = server.post("/messages", PROJECT_TOKEN, body("2", 1)).await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    let retry: u64 = refused.header("retry-after").parse().unwrap();
    assert!(retry > 1000, "{retry}");
    assert!(refused.body.contains("rate_limited") && refused.body.contains("too many bytes"));
    let again = server
        .post("/messages", PROJECT_TOKEN, body("1", 10_000))
        .await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(server.mailbox("r9").await.len(), 1);
    assert!(refused_by(&server, "send_bytes_per_domain").await > 0);
    // Its users are told so, and not ended for it; another domain goes on.
    let mut user = server.user("u1").await;
    user.send(&frame("1", "a", 1)).await;
    assert_eq!(user.answer("1").await["error"]["code"], "rate_limited");
    let shop = server.add_domain("shop").await;
    let mut seller = server
        .login(&Login::new("s").domain("shop").token(&shop))
        .await;
    for id in ["1", "2", "3"] {
        seller.send(&frame(id, "a", 100_000)).await;
        seller.ack(id).await;
    }
}

#[tokio::test]
async fn rates_by_bytes_change_while_sessions_go_on() {
    let mut server = Server::with(Options::new().file("send_bytes_per_user = \"1KiB/h\"")).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    user.send(&frame("1", "a", 10_000)).await;
    user.ack("1").await;
    user.send(&frame("2", "a", 1)).await;
    assert_eq!(user.answer("2").await["error"]["code"], "rate_limited");
    let file = "send_bytes_per_user = \"off\"";
    server.home.write("data/relaybox.toml", file);
    server.signal(rustix::process::Signal::HUP);
    until("the new limit", || async {
        let told = "certificates have been read again";
        server.stderr().contains(told).then_some(())
    })
    .await;
    for id in ["3", "4", "5"] {
        user.send(&frame(id, "a", 10_000)).await;
        user.ack(id).await;
    }
}

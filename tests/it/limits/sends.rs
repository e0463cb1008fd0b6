//! Limits of what users and domains send and store.

use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;

use super::*;
use crate::support::{PROJECT_TOKEN, Raw, until, until_within};

#[tokio::test]
async fn a_user_above_its_rate_is_told_so_and_goes_on_later() {
    let mut server = Server::with(Options::new().args(&["--sends-per-user", "5/h"])).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    // One message to five is five.
    let five =
        json!({"toId": ["a", "b", "c", "d", "e"], "type": 10, "content": 1, "clientMsgId": "1"});
    user.send(&five).await;
    user.ack("1").await;
    user.send(&json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": "2"}))
        .await;
    let refused = user.answer("2").await;
    assert_eq!(refused["error"]["code"], "rate_limited");
    let text = refused["content"].as_str().unwrap();
    assert!(retry_ms(text) > 0, "{text}");
    user.ready().await;
    // Whoever holds the project token is trusted, also to act as that user.
    let mut trusted = server.login(&Login::new("u1").resource("backend")).await;
    for _ in 0..10 {
        trusted.say_acked("a", "more").await;
    }
    assert_eq!(
        server.mailbox("a").await.len(),
        11,
        "nothing of what was refused"
    );
    let limited = "limit=\"sends_per_user\"";
    assert_eq!(metric(&server, "relaybox_limited_total", limited).await, 1);
    let refused = "error=\"rate_limited\"";
    assert_eq!(
        metric(&server, "relaybox_frames_refused_total", refused).await,
        1
    );
}

#[tokio::test]
async fn what_was_accepted_is_acknowledged_again_whatever_the_limit() {
    let args = ["--sends-per-user", "1/h", "--store-quota", "1MiB"];
    let mut server = Server::with(Options::new().args(&args)).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    let content = "x".repeat(200 << 10);
    let frame = json!({"toId": "a", "type": 10, "content": content, "clientMsgId": "1"});
    user.send(&frame).await;
    let first = user.ack("1").await;
    // Many times over: a repeat takes no room of the domain.
    for _ in 0..10 {
        user.send(&frame).await;
        let again = user.ack("1").await;
        assert_eq!(
            (&again["msgId"], &again["duplicate"]),
            (&first["msgId"], &true.into())
        );
    }
    user.send(&json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": "2"}))
        .await;
    assert_eq!(user.answer("2").await["error"]["code"], "rate_limited");
    let mut other = server.user("u2").await;
    other.say_acked("a", "there is room").await;
    assert_eq!(server.mailbox("a").await.len(), 2);
}

#[tokio::test]
async fn a_user_is_not_ended_for_what_its_domain_does() {
    let mut server = Server::with(Options::new().args(&["--sends-per-domain", "1/h"])).await;
    let token = server.mint("u1", &[]).await;
    server
        .user("backend")
        .await
        .say_acked("a", "all that there is")
        .await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    for count in 0..150 {
        let id = count.to_string();
        user.send(&json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": id}))
            .await;
        assert_eq!(user.answer(&id).await["error"]["code"], "rate_limited");
    }
    user.ready().await;
}

#[tokio::test]
async fn who_stays_above_the_rate_is_closed() {
    let mut server = Server::with(Options::new().args(&["--sends-per-user", "1/h"])).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    user.say_acked("a", "all that there is").await;
    for _ in 0..200 {
        if !user
            .try_send_text(r#"{"toId":"a","type":10,"content":1}"#)
            .await
        {
            break;
        }
    }
    let reason = user.closed(4529).await;
    assert_eq!(retry_ms(&reason), 60_000);
    assert_eq!(server.mailbox("a").await.len(), 1);
}

#[tokio::test]
async fn what_is_too_large_counts_as_what_is_stored() {
    // With a content that is too large, and as a frame that is not even read.
    for bytes in [3000, 100_000] {
        let args = ["--sends-per-user", "3/h", "--content-bytes-max", "2000"];
        let mut server = Server::with(Options::new().args(&args)).await;
        let token = server.mint("u1", &[]).await;
        let mut user = server.login(&Login::new("u1").token(&token)).await;
        let large = |id: u32| json!({"clientMsgId": id.to_string(), "toId": "a", "type": 10, "content": "x".repeat(bytes)});
        for id in 0..4 {
            // In the order of their names: the id comes first.
            user.send(&large(id)).await;
            let expected = if id < 3 { "too_large" } else { "rate_limited" };
            let answer = user.answer(&id.to_string()).await;
            assert_eq!(answer["error"]["code"], expected, "{bytes} bytes: {answer}");
        }
        user.send(&json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": "small"}))
            .await;
        let answer = user.answer("small").await;
        assert_eq!(answer["error"]["code"], "rate_limited");
        for id in 4..200 {
            if !user.try_send_text(&large(id).to_string()).await {
                break;
            }
        }
        user.closed(4529).await;
    }
}

#[tokio::test]
async fn domains_have_rates_and_quotas_of_their_own() {
    let args = [
        "--sends-per-domain",
        "shop=3/h",
        "--store-quota",
        "demo=1MiB",
    ];
    let mut server = Server::with(Options::new().args(&args)).await;
    let shop = server.add_domain("shop").await;
    let mut seller = server
        .login(&Login::new("s").domain("shop").token(&shop))
        .await;
    for count in 0..4 {
        let id = count.to_string();
        seller
            .send(&json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": id}))
            .await;
        let answer = seller.answer(&id).await;
        assert_eq!(answer["error"].is_object(), count == 3, "{answer}");
    }
    let user = Mutex::new(server.user("u1").await);
    let content = "x".repeat(200 << 10);
    let send = |count: usize| {
        let id = count.to_string();
        let frame = json!({"toId": "a", "type": 10, "content": content, "clientMsgId": id});
        let user = &user;
        async move {
            let mut user = user.lock().await;
            user.send(&frame).await;
            user.answer(&id).await
        }
    };
    let mut sent = 0;
    let refused = loop {
        sent += 1;
        let answer = send(sent).await;
        if answer["error"].is_object() {
            break answer;
        }
        assert!(sent < 20, "no end of it");
    };
    assert!(sent > 5, "1 MiB is more than five of them");
    assert_eq!(refused["error"]["code"], "storage_unavailable");
    let text = refused["content"].as_str().unwrap();
    assert!(text.contains("stored as much as it may"), "{text}");
    // What was erased makes room again, once it has been measured.
    let bearer = format!("Bearer {}", PROJECT_TOKEN);
    let headers = [("authorization", bearer.as_str())];
    let target = "/message-log?domain=demo&toId=a";
    let erased = server.request("DELETE", target, &headers).await;
    assert_eq!(erased.status, 204);
    until_within(Duration::from_secs(60), "room again", || {
        sent += 1;
        let answer = send(sent);
        async move { (!answer.await["error"].is_object()).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn limits_can_be_changed_while_sessions_go_on() {
    let mut server = Server::with(Options::new().file("sends_per_user = \"1/h\"")).await;
    let token = server.mint("u1", &[]).await;
    let mut raw = Raw::login(&server, &Login::new("u1").token(&token)).await;
    let send =
        |id: u32| json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": id.to_string()});
    raw.send(&send(1)).await;
    raw.ack("1").await;
    raw.send(&send(2)).await;
    raw.error().await;
    server
        .home
        .write("data/relaybox.toml", "sends_per_user = \"off\"");
    server.signal(rustix::process::Signal::HUP);
    until("the new limit", || async {
        server
            .stderr()
            .contains("certificates have been read again")
            .then_some(())
    })
    .await;
    for id in 3..20 {
        raw.send(&send(id)).await;
        raw.ack(&id.to_string()).await;
    }
}

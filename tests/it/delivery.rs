//! Who gets what, when, and after what: PROTOCOL section 4.

use crate::support::{Client, Login, Server};
use serde_json::{Value, json};

/// The next messages: their contents must be these, `offline` must be this, ids must rise.
async fn expect(client: &mut Client, offline: bool, contents: &[&str]) {
    let mut last = 0;
    for content in contents {
        let message = client.message().await;
        assert_eq!(message["content"], *content, "{message}");
        assert_eq!(message["offline"], offline, "{message}");
        let id = message["msgId"].as_u64().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
    }
}

fn phone(id: &str) -> Login {
    Login::new(id).resource("phone")
}

#[tokio::test]
async fn every_online_resource_gets_every_message() {
    let server = Server::start().await;
    let mut web = server.user("u2").await;
    let mut phone = server.login(&phone("u2")).await;
    let mut bystander = server.user("u3").await;
    let mut sender = server.user("u1").await;
    for text in ["one", "two", "three"] {
        sender.say("u2", text).await;
    }
    for client in [&mut web, &mut phone] {
        expect(client, false, &["one", "two", "three"]).await;
        client.nothing().await;
    }
    bystander.nothing().await;
    sender.nothing().await;
}

#[tokio::test]
async fn what_came_while_away_is_delivered_in_order_and_then_live() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    for text in ["one", "two", "three"] {
        sender.say_acked("u2", text).await;
    }
    let mut client = server.user("u2").await;
    expect(&mut client, true, &["one", "two", "three"]).await;
    sender.say("u2", "four").await;
    expect(&mut client, false, &["four"]).await;
    client.close().await;

    sender.say_acked("u2", "five").await;
    let mut client = server.user("u2").await;
    expect(&mut client, true, &["five"]).await;
    client.nothing().await;
    client.close().await;

    let mut client = server.user("u2").await;
    sender.say_acked("u2", "six").await;
    // "six" comes first: nothing is delivered again.
    expect(&mut client, false, &["six"]).await;
    client.nothing().await;
}

#[tokio::test]
async fn messages_that_arrive_during_catch_up_come_after_it() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    let count = 600;
    for n in 0..count {
        sender
            .send(&json!({"toId": "u2", "type": 10, "content": n}))
            .await;
    }
    sender.say_acked("u2", "half").await;
    let mut client = server.connect(&Login::new("u2")).await;
    for n in count..2 * count {
        sender
            .send(&json!({"toId": "u2", "type": 10, "content": n}))
            .await;
    }
    let mut expected: Vec<Value> = (0..2 * count).map(|n| json!(n)).collect();
    expected.insert(count, json!("half"));
    let mut last = 0;
    for content in expected {
        let message = client.message().await;
        assert_eq!(message["content"], content);
        let id = message["msgId"].as_u64().unwrap();
        assert!(id > last);
        last = id;
    }
    client.nothing().await;
}

#[tokio::test]
async fn large_messages_that_waited_all_come() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    let contents: Vec<String> = (0..20)
        .map(|n| format!("{n}{}", "x".repeat(200_000)))
        .collect();
    for content in &contents {
        sender.say_acked("u2", content).await;
    }
    let mut client = server.user("u2").await;
    for content in &contents {
        let message = client.message().await;
        assert!(
            message["content"] == content.as_str(),
            "not the one expected"
        );
    }
    client.nothing().await;
}

#[tokio::test]
async fn each_resource_catches_up_for_itself() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    let mut web = server.user("u2").await;
    let mut mobile = server.login(&phone("u2")).await;
    sender.say("u2", "both").await;
    expect(&mut web, false, &["both"]).await;
    expect(&mut mobile, false, &["both"]).await;
    mobile.close().await;
    sender.say("u2", "web only").await;
    expect(&mut web, false, &["web only"]).await;
    let mut mobile = server.login(&phone("u2")).await;
    expect(&mut mobile, true, &["web only"]).await;
    mobile.nothing().await;
    web.nothing().await;
}

#[tokio::test]
async fn a_new_resource_starts_where_the_others_are() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    sender.say_acked("u2", "before any login").await;
    let mut web = server.user("u2").await;
    expect(&mut web, true, &["before any login"]).await;
    web.close().await;
    sender.say_acked("u2", "while away").await;
    // No device has confirmed the second; the first is history.
    let mut mobile = server.login(&phone("u2")).await;
    expect(&mut mobile, true, &["while away"]).await;
    mobile.nothing().await;
    // The old device has its own place.
    let mut web = server.user("u2").await;
    expect(&mut web, true, &["while away"]).await;
    web.nothing().await;
    let mut tablet = server.login(&Login::new("u2").resource("tablet")).await;
    tablet.nothing().await;
}

#[tokio::test]
async fn domains_know_nothing_of_one_another() {
    let mut server = Server::start().await;
    let token = server.add_domain("other").await;
    let there = |id: &str| Login::new(id).domain("other").token(&token);
    let mut here = server.user("u2").await;
    let mut other = server.login(&there("u2")).await;
    let mut sender = server.user("u1").await;
    let mut other_sender = server.login(&there("u1")).await;

    let frame = |content: &str| {
        json!({"toId": "u2", "type": 10, "content": content, "clientMsgId": "same",
            "domain": "demo"})
    };
    sender.send(&frame("here")).await;
    other_sender.send(&frame("there")).await;
    assert_eq!(sender.ack("same").await["duplicate"], false);
    assert_eq!(other_sender.ack("same").await["duplicate"], false);
    expect(&mut here, false, &["here"]).await;
    let message = other.message().await;
    assert_eq!(
        (&message["content"], &message["domain"]),
        (&json!("there"), &json!("other"))
    );
    here.nothing().await;
    other.nothing().await;
    let answer = server
        .get("/message-log?domain=other&toId=u2", Some(&token))
        .await;
    assert_eq!(answer.json()["total"], 1);
    assert_eq!(server.history("u2", "").await["total"], 1);

    // A domain that is removed and added again starts empty.
    other_sender.say_acked("u9", "left behind").await;
    server.cli(&["domain", "remove", "other", "--yes"]).await;
    let token = server.add_domain("other").await;
    let mut again = server
        .login(&Login::new("u9").domain("other").token(&token))
        .await;
    again.nothing().await;
    let answer = server
        .get("/message-log?domain=other&toId=u2", Some(&token))
        .await;
    assert_eq!(answer.json()["total"], 0);
}

#[tokio::test]
async fn the_queue_outlives_a_kill_and_a_restart() {
    let mut server = Server::start().await;
    let mut sender = server.user("u1").await;
    let mut reader = server.user("u3").await;
    sender.say_acked("u2", "one").await;
    let last = sender.say_acked("u2", "two").await;
    sender.say("u3", "read").await;
    expect(&mut reader, false, &["read"]).await;
    reader.close().await;
    server.kill9().await;
    drop(sender);
    server.spawn().await;

    let mut sender = server.user("u1").await;
    let third = sender.say_acked("u2", "three").await;
    assert!(third > last, "{third} after {last}");
    drop(sender);
    server.restart().await;
    let mut client = server.user("u2").await;
    expect(&mut client, true, &["one", "two", "three"]).await;
    client.close().await;

    // What was delivered stays delivered over a clean restart.
    server.restart().await;
    server.user("u2").await.nothing().await;
}

#[tokio::test]
async fn history_says_whether_the_recipient_was_there() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    sender.say_acked("u2", "to nobody").await;
    let mut client = server.user("u2").await;
    sender.say_acked("u2", "to somebody").await;
    expect(&mut client, true, &["to nobody"]).await;
    expect(&mut client, false, &["to somebody"]).await;
    let list = server.history("u2", "").await["list"].take();
    assert_eq!(
        (&list[0]["content"], &list[0]["offline"]),
        (&json!("to somebody"), &json!(false))
    );
    assert_eq!(
        (&list[1]["content"], &list[1]["offline"]),
        (&json!("to nobody"), &json!(true))
    );
}

#[tokio::test]
async fn an_accepted_send_is_carried_out_though_its_sender_leaves() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    for n in 0..20 {
        let mut sender = server.user("u1").await;
        sender.say("u2", &format!("{n}")).await;
        sender.close().await;
        expect(&mut recipient, false, &[&format!("{n}")]).await;
    }
}

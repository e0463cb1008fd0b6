//! What a send carries, and what it becomes: PROTOCOL section 3.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::random::{self, Random};
use crate::support::{DEMO, Login, PROJECT_TOKEN, Server, encode};
use serde_json::{Value, json};

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn base_fields_reach_the_recipient_exactly() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut sender = server
        .login(&Login::new("u1").name("Alice").resource("desk"))
        .await;
    let before_ms = now_ms();
    sender.say("u2", "hello").await;
    let mut message = recipient.message().await;
    let id = message["msgId"].as_u64().unwrap();
    let send_at = message["sendAt"].as_u64().unwrap();
    assert_eq!(send_at, id / 1000);
    assert!((before_ms..=now_ms()).contains(&send_at), "{send_at}");
    assert!(id < 1 << 53);
    message["msgId"].take();
    message["sendAt"].take();
    let expected = json!({
        "fromId": "u1", "fromName": "Alice", "fromResource": "desk", "toId": "u2",
        "domain": DEMO, "type": 10, "content": "hello", "offline": false,
        "sendAt": null, "msgId": null,
    });
    assert_eq!(message, expected);
    // Without clientMsgId the sender hears nothing.
    sender.nothing().await;
}

#[tokio::test]
async fn a_sender_cannot_speak_for_another() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut sender = server.user("u1").await;
    let spoofed = json!({
        "toId": "u2", "type": 10, "content": "hello", "fromId": "boss", "fromName": "The Boss",
        "fromResource": "throne", "domain": "other", "sendAt": 1, "msgId": 1, "offline": true,
        "error": {"code": "x"}, "ack": "x", "unknown": [{}],
    });
    sender.send(&spoofed).await;
    let message = recipient.message().await;
    assert_eq!(message["fromId"], "u1");
    assert_eq!(message["fromName"], "Name of u1");
    assert_eq!(message["fromResource"], "web");
    assert_eq!(message["domain"], DEMO);
    assert_eq!(message["offline"], false);
    assert!(message["sendAt"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(message.get("unknown").is_none() && message.get("error").is_none());
}

#[tokio::test]
async fn an_integer_recipient_is_its_decimal_text() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    for text in [
        "42",
        "0",
        "-7",
        "9007199254740993",
        "123456789012345678901234567890",
    ] {
        let mut recipient = server.user(text).await;
        let frame = format!(r#"{{"toId":{text},"type":10,"content":"n"}}"#);
        sender.send_text(frame).await;
        assert_eq!(recipient.message().await["toId"], text);
        let frame = format!(r#"{{"toId":[{text}],"type":10,"content":"n"}}"#);
        sender.send_text(frame).await;
        assert_eq!(recipient.message().await["toId"], text);
    }
}

#[tokio::test]
async fn only_the_named_resource_gets_a_message_to_it() {
    let server = Server::start().await;
    let mut web = server.user("u2").await;
    let mut phone = server.login(&Login::new("u2").resource("phone")).await;
    let mut sender = server.user("u1").await;
    for resource in ["phone", "tablet"] {
        let frame = json!({"toId": "u2", "toResource": resource, "type": 10, "content": resource});
        sender.send(&frame).await;
    }
    sender.say("u2", "for all").await;
    assert_eq!(web.contents(1).await, ["for all"]);
    assert_eq!(phone.contents(2).await, ["phone", "for all"]);
    web.nothing().await;
    phone.nothing().await;
    // Never seen before, but written to: it starts where it was written to.
    let mut tablet = server.login(&Login::new("u2").resource("tablet")).await;
    let message = tablet.message().await;
    assert_eq!(message["content"], "tablet");
    assert_eq!(message["offline"], true);
    assert_eq!(tablet.contents(1).await, ["for all"]);
    tablet.nothing().await;
}

#[tokio::test]
async fn content_is_kept_byte_for_byte() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut sender = server.user("u1").await;
    let contents = [
        r#""hello""#,
        r#""""#,
        r#""\u0041\/\"\\\b\u00e9\ud83d\ude00 é🙂""#,
        r#""\ud83d\ude00\uD83D\uDE00\\ud800""#,
        "0",
        "-0",
        "1.0e5",
        "1E+2",
        "0.10000000000000000555",
        "123456789012345678901234567890",
        "true",
        "false",
        "[]",
        "{}",
        "[ 1 ,\t2 ,\r\n 3 ]",
        r#"{ "b" : 1.0e5 , "a":null,"a": 2,"":"" }"#,
        r#"{"content":"inner","toId":"u3","nested":{"deep":[[[{"x":[null]}]]]}}"#,
    ];
    for content in contents {
        // White space around a value is not part of its text.
        let frame = format!("{{ \"content\" :\n {content}  , \"type\": 30 ,\"toId\" : \"u2\" }}");
        sender.send_text(frame).await;
        let text = recipient.text().await;
        assert!(
            text.contains(&format!("\"content\":{content}")),
            "{content}: {text}"
        );
        let target = format!("/message-log?domain={DEMO}&toId=u2&size=1");
        let answer = server.get(&target, Some(PROJECT_TOKEN)).await;
        assert!(
            answer.body.contains(&format!("\"content\":{content}")),
            "{}",
            answer.body
        );
    }
    sender.nothing().await;
}

#[tokio::test]
async fn every_known_type_is_delivered() {
    let mut server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut by_project = server.user("u1").await;
    let plain = server.mint("u3", &[]).await;
    let capable = server.mint("u4", &["--cap", "system"]).await;
    let mut by_user = server.login(&Login::new("u3").token(&plain)).await;
    let mut by_capable = server.login(&Login::new("u4").token(&capable)).await;
    let frame = |kind: u32| json!({"toId": "u2", "type": kind, "content": "x", "clientMsgId": "t"});
    for kind in [10, 20, 30, 40, 100] {
        let mut message = frame(kind);
        message["clientMsgId"] = format!("t{kind}").into();
        by_project.send(&message).await;
        assert_eq!(recipient.message().await["type"], kind);
    }
    by_user.send(&frame(100)).await;
    let error = by_user.error().await;
    assert_eq!(error["error"]["code"], "type_not_allowed");
    assert_eq!(error["error"]["clientMsgId"], "t");
    // A refused send does not use up its clientMsgId.
    by_user.send(&frame(40)).await;
    assert_eq!(by_user.ack("t").await["duplicate"], false);
    assert_eq!(recipient.message().await["type"], 40);
    by_capable.send(&frame(100)).await;
    let message = recipient.message().await;
    assert_eq!(
        (&message["type"], &message["fromId"]),
        (&json!(100), &json!("u4"))
    );
}

#[tokio::test]
async fn a_sender_may_write_to_itself() {
    let server = Server::start().await;
    let mut web = server.user("u1").await;
    let mut phone = server.login(&Login::new("u1").resource("phone")).await;
    web.say("u1", "note").await;
    for client in [&mut web, &mut phone] {
        let message = client.message().await;
        assert_eq!(
            (&message["fromId"], &message["toId"]),
            (&json!("u1"), &json!("u1"))
        );
        assert_eq!(message["fromResource"], "web");
        client.nothing().await;
    }
}

#[tokio::test]
async fn messages_keep_the_order_in_which_they_were_sent() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut sender = server.user("u1").await;
    let expected: Vec<Value> = (0..500).map(|n| json!(n)).collect();
    for n in &expected {
        sender
            .send(&json!({"toId": "u2", "type": 10, "content": n}))
            .await;
    }
    let mut contents = Vec::new();
    let mut last = 0;
    for _ in 0..expected.len() {
        let message = recipient.message().await;
        let id = message["msgId"].as_u64().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
        contents.push(message["content"].clone());
    }
    assert_eq!(contents, expected);
}

#[tokio::test]
async fn mailboxes_of_similar_names_never_mix() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    let names = [
        "a", "ab", "a/b", "a:b", "a%b", "a%2Fb", "a b", "A", "á", "中", "中文", "🙂", "🙂🙂", "1",
        "10", "a\u{a0}", "ÿ",
    ];
    for name in names {
        sender.say_acked(name, name).await;
    }
    for name in names {
        let history = server.history(name, "").await;
        assert_eq!(history["total"], 1, "{name}");
        assert_eq!(history["list"][0]["content"], name);
        let mut client = server.login(&Login::new(name)).await;
        assert_eq!(client.contents(1).await, [name]);
        client.nothing().await;
        let from = server
            .history(name, &format!("&fromId={}", encode("u1")))
            .await;
        assert_eq!(from["total"], 1, "{name}");
        assert_eq!(server.history(name, "&fromId=u").await["total"], 0);
    }
}

#[tokio::test]
async fn ping_is_answered_pong() {
    let server = Server::start().await;
    let mut client = server.user("u1").await;
    client.send_text("ping").await;
    client.send_text("ping").await;
    assert_eq!(client.text().await, "pong");
    assert_eq!(client.text().await, "pong");
}

/// What the files of a directory take of the disk.
fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let bytes = entries.map(|entry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => disk_bytes(&entry.path()),
        metadata => metadata.blocks() * 512,
    });
    bytes.sum()
}

#[tokio::test]
async fn a_frame_to_a_hundred_takes_no_more_of_the_disk_than_a_few_times_its_bytes() {
    const FRAMES: usize = 6;
    // The open segment has its room from the beginning.
    const RESERVED_BYTES: u64 = 32 << 20;
    let mut server = Server::start().await;
    let users: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let mut random = Random::new(random::seed());
    let mut sender = server.user("u1").await;
    let (mut sent, mut sent_bytes) = (Vec::new(), 0);
    for n in 0..FRAMES {
        let letters = (0..250_000).map(|_| char::from(b'0' + random.below(75) as u8));
        // JSON would have it twice.
        let content = letters.collect::<String>().replace('\\', " ");
        let id = n.to_string();
        let frame = json!({"toId": users, "type": 10, "content": content, "clientMsgId": id});
        let frame = frame.to_string();
        sent_bytes += frame.len() as u64;
        sender.send_text(frame).await;
        sender.ack(&id).await;
        sent.push(Value::from(content));
    }
    server.kill9().await;
    server.spawn().await;
    server.stop().await;
    let data = server.home.data();
    let (index, journal) = (
        disk_bytes(&data.join("db")),
        disk_bytes(&data.join("journal")),
    );
    assert!(
        index + journal < 3 * sent_bytes + RESERVED_BYTES,
        "{index} of the index and {journal} of the journal for {sent_bytes}"
    );
    server.spawn().await;
    for user in [&users[0], &users[99]] {
        let read = server.mailbox(user).await;
        assert!(read.iter().map(|message| &message["content"]).eq(&sent));
        let mut client = server.user(user).await;
        assert!(client.contents(FRAMES).await == sent, "catch-up");
    }
}

//! Frames that must be refused: PROTOCOL section 3. The session lives on, or is
//! closed with the right code; nothing is stored.

use crate::support::{Client, DEMO, Login, Options, PROJECT_TOKEN, Server};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const CONTENT_BYTES_MAX: usize = 256 * 1024;
const FRAME_BYTES_MAX: usize = 2 * CONTENT_BYTES_MAX + 4096;
const DISCARDED_BYTES_MAX: usize = 16 << 20;

/// A good frame to `victim` with one field replaced by this JSON text, or left out.
fn with(field: &str, text: Option<&str>) -> String {
    let good = [
        ("toId", r#""victim""#),
        ("type", "10"),
        ("content", r#""x""#),
        ("toResource", ""),
        ("clientMsgId", ""),
    ];
    let mut fields = Vec::new();
    for (name, value) in good {
        let value = if name == field {
            text.unwrap_or("")
        } else {
            value
        };
        if !value.is_empty() {
            fields.push(format!(r#""{name}":{value}"#));
        }
    }
    format!("{{{}}}", fields.join(","))
}

#[track_caller]
fn assert_error(error: &Value, code: &[&str], field: Option<&str>, case: &str) {
    assert_eq!(error["fromId"], "system", "{case}");
    assert_eq!(error["fromName"], "system", "{case}");
    assert_eq!(error["fromResource"], "server", "{case}");
    assert_eq!(error["toId"], "u1", "{case}");
    assert_eq!(error["domain"], DEMO, "{case}");
    assert_eq!(error["type"], 100, "{case}");
    assert!(
        error["sendAt"].as_u64().unwrap() > 1_600_000_000_000,
        "{case}"
    );
    assert!(error.get("msgId").is_none(), "{case}: {error}");
    let sentence = error["content"].as_str().unwrap();
    let found = error["error"]["code"].as_str().unwrap();
    assert!(code.contains(&found), "{case}: {error}");
    if let Some(field) = field {
        assert_eq!(error["error"]["field"], field, "{case}: {error}");
        assert!(sentence.contains(field), "{case}: {sentence}");
    }
    assert!(sentence.contains(' '), "{case}: no sentence: {sentence}");
}

#[tokio::test]
async fn every_kind_of_bad_frame_is_answered_and_stores_nothing() {
    let server = Server::start().await;
    let mut victim = server.user("victim").await;
    let mut client = server.user("u1").await;

    let not_objects = [
        "hello",
        "",
        " ",
        "{",
        "}",
        "[]",
        "1",
        "null",
        "true",
        "\"ping\"",
        "Ping",
        " ping",
        r#"{"toId":"victim","type":10,"content":"x""#,
        r#"{"toId":"victim","type":10,"content":"x"} x"#,
        r#"{"toId":"victim","type":10,"content":"x"}{}"#,
        r#"{"toId":"victim","type":10,"content":"x",}"#,
        r#"{'toId':'victim','type':10,'content':'x'}"#,
        r#"{"toId":"victim","type":10,"content":01}"#,
        r#"{"toId":"victim","type":10,"content":nul}"#,
        r#"{"toId":"victim","type":10,"content":NaN}"#,
        "{\"toId\":\"victim\",\"type\":10,\"content\":\"a\nb\"}",
        r#"{"toId":"victim","type":10,"content":"\x"}"#,
        r#"[{"toId":"victim","type":10,"content":"x"}]"#,
    ];
    for text in not_objects {
        client.send_text(text).await;
        let error = client.error().await;
        assert_error(&error, &["invalid_json"], None, text);
    }

    let too_many = json!((0..101).map(|n| format!("r{n}")).collect::<Vec<_>>()).to_string();
    let long = |n: usize| format!("{:?}", "x".repeat(n));
    let wide = format!("{:?}", "é".repeat(65));
    let invalid: &[&str] = &["invalid_field"];
    let kinds: &[&str] = &["type_not_allowed", "invalid_field"];
    let mut cases: Vec<(&str, Option<String>, &[&str])> = Vec::new();
    for text in [
        "null",
        "true",
        "1.5",
        "{}",
        "\"\"",
        "[]",
        "[[\"victim\"]]",
        "[null]",
        "[1.5]",
        "[\"victim\",\"\"]",
        "[\"victim\",\"victim\"]",
        "[1,\"1\"]",
        "[\"victim\",\"a\\u0000b\"]",
        "\"a\\nb\"",
        "\"\\u009f\"",
        "\"\\u007f\"",
        &long(129),
        &wide,
        &too_many,
    ] {
        cases.push(("toId", Some(text.into()), invalid));
    }
    cases.push(("toId", None, invalid));
    for text in ["null", "\"10\"", "\"text\"", "true", "[10]", "{}", "10.5"] {
        cases.push(("type", Some(text.into()), invalid));
    }
    for text in [
        "0",
        "11",
        "-10",
        "1000",
        "4294967306",
        "18446744073709551626",
    ] {
        cases.push(("type", Some(text.into()), kinds));
    }
    cases.push(("type", Some("11".into()), &["type_not_allowed"]));
    cases.push(("type", None, invalid));
    cases.push(("content", Some("null".into()), invalid));
    cases.push(("content", None, invalid));
    for text in ["1", "\"\"", "[]", "\"a\\u0001b\"", &long(65)] {
        cases.push(("toResource", Some(text.into()), invalid));
        cases.push(("clientMsgId", Some(text.into()), invalid));
    }
    let over = format!("{:?}", "x".repeat(CONTENT_BYTES_MAX - 1));
    cases.push(("content", Some(over), &["too_large"]));

    for (field, text, codes) in cases {
        let text = with(field, text.as_deref());
        client.send_text(text.clone()).await;
        let error = client.error().await;
        let case: String = text.chars().take(200).collect();
        assert_error(&error, codes, Some(field), &case);
    }

    client.nothing().await;
    victim.nothing().await;
    for id in ["victim", "1", "r0"] {
        assert_eq!(server.history(id, "").await["total"], 0, "{id}");
    }
    client.send_text(with("", None)).await;
    assert_eq!(victim.contents(1).await, ["x"]);
}

#[tokio::test]
async fn an_error_carries_the_client_msg_id() {
    let server = Server::start().await;
    let mut client = server.user("u1").await;
    client
        .send_text(r#"{"toId":"","type":10,"content":"x","clientMsgId":"c-1"}"#)
        .await;
    let error = client.error().await;
    assert_eq!(error["error"]["clientMsgId"], "c-1");
    client
        .send_text(r#"{"toId":"u2","type":77,"content":"x","clientMsgId":"c-2"}"#)
        .await;
    assert_eq!(client.error().await["error"]["clientMsgId"], "c-2");
    client
        .send_text(r#"{"toId":"","type":10,"content":"x"}"#)
        .await;
    assert!(
        client.error().await["error"]
            .get("clientMsgId")
            .is_none_or(Value::is_null)
    );
    // An id whose send was refused is still free.
    client
        .send_text(r#"{"toId":"u2","type":10,"content":"x","clientMsgId":"c-1"}"#)
        .await;
    assert_eq!(client.ack("c-1").await["duplicate"], false);
}

#[tokio::test]
async fn content_up_to_the_limit_is_delivered_and_above_it_refused() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut client = server.user("u1").await;
    let frame = |bytes: usize| {
        let content = "x".repeat(bytes - 2);
        format!(r#"{{"toId":"u2","type":10,"content":"{content}"}}"#)
    };
    client.send_text(frame(CONTENT_BYTES_MAX)).await;
    let content = recipient.message().await["content"].take();
    assert_eq!(content.as_str().unwrap().len(), CONTENT_BYTES_MAX - 2);
    client.send_text(frame(CONTENT_BYTES_MAX + 1)).await;
    assert_error(
        &client.error().await,
        &["too_large"],
        Some("content"),
        "one more",
    );

    // The longest frame that is still read, and one byte more.
    let envelope = frame(2).len() - 2;
    client.send_text(frame(FRAME_BYTES_MAX - envelope)).await;
    assert_error(
        &client.error().await,
        &["too_large"],
        Some("content"),
        "the longest frame",
    );
    for bytes in [FRAME_BYTES_MAX + 1, DISCARDED_BYTES_MAX] {
        client.send_text(frame(bytes - envelope)).await;
        let error = client.error().await;
        assert_error(&error, &["too_large"], None, "not read");
        let sentence = error["content"].as_str().unwrap();
        for number in [bytes, FRAME_BYTES_MAX, CONTENT_BYTES_MAX] {
            assert!(sentence.contains(&number.to_string()), "{sentence}");
        }
    }
    client.nothing().await;
    let too_much = frame(DISCARDED_BYTES_MAX + 1 - envelope);
    client.try_send_text(&too_much).await;
    client.closed(1009).await;
    recipient.nothing().await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_holds_up_nothing_that_comes_behind_it() {
    let server = Server::start().await;
    let mut recipient = server.user("u2").await;
    let mut client = server.user("u1").await;
    let small = |n: usize| {
        json!({"toId": "u2", "type": 10, "content": n, "clientMsgId": format!("c{n}")}).to_string()
    };
    let content = format!(
        r#"{{"clientMsgId":"inside","x":"{}"}}"#,
        "x".repeat(700_000)
    );
    let first =
        |id: &str| format!(r#"{{"clientMsgId":"{id}","toId":"u2","type":10,"content":{content}}}"#);
    let last = format!(r#"{{"toId":"u2","type":10,"content":{content},"clientMsgId":"late"}}"#);

    client.send_text(small(0)).await;
    client.send_text(first("large")).await;
    client.send_text(small(1)).await;
    client.send_text(last).await;
    client.send_text(small(2)).await;
    // In small parts, with pings between them.
    let fragmented = first("parts").into_bytes();
    let count = fragmented.len().div_ceil(50_000);
    for (index, part) in fragmented.chunks(50_000).enumerate() {
        let kind = if index == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let part = Frame::message(part.to_vec(), OpCode::Data(kind), index + 1 == count);
        client.send_raw(Message::Frame(part)).await;
        client.send_raw(Message::Ping(Vec::new().into())).await;
    }
    client.send_text(small(3)).await;

    for n in 0..4 {
        assert_eq!(client.ack(&format!("c{n}")).await["duplicate"], false);
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        let error = client.error().await;
        assert_error(&error, &["too_large"], None, "too large");
        ids.push(error["error"]["clientMsgId"].clone());
    }
    assert_eq!(ids, [json!("large"), Value::Null, json!("parts")]);
    assert_eq!(recipient.contents(4).await, [0, 1, 2, 3]);
    client.nothing().await;
    recipient.nothing().await;
    assert_eq!(server.history("u2", "").await["total"], 4);
}

#[tokio::test]
async fn the_limit_can_be_set() {
    let server = Server::with(Options::new().args(&["--content-bytes-max", "2000"])).await;
    let mut client = server.user("u1").await;
    client.say("u1", &"x".repeat(1998)).await;
    client.message().await;
    client.say("u1", &"x".repeat(1999)).await;
    assert_error(
        &client.error().await,
        &["too_large"],
        Some("content"),
        "2001",
    );
    for bytes in [2000 + 4097, 2 * 2000 + 4096, 2 * 2000 + 4097] {
        let id = format!("c{bytes}");
        let start = format!(r#"{{"clientMsgId":"{id}","content":""#);
        let text = format!("{start}{}", "x".repeat(bytes - start.len()));
        client.send_text(text).await;
        let code = if bytes > 2 * 2000 + 4096 {
            "too_large"
        } else {
            "invalid_json"
        };
        assert_error(&client.error().await, &[code], None, &id);
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn content_that_readers_cannot_parse_is_refused() {
    let mut server = Server::with(Options::new().args(&["--content-depth-max", "100"])).await;
    let mut client = server.user("u1").await;
    client.send_text(with("content", Some(&nested(100)))).await;
    client.send_text(with("content", Some(&nested(101)))).await;
    assert_error(
        &client.error().await,
        &["invalid_field"],
        Some("content"),
        "101 levels",
    );
    client.close().await;

    // What was accepted stays readable.
    server.change(Options::new());
    server.restart().await;
    let kept = server.user("victim").await.message().await;
    assert_eq!(kept["content"].to_string(), nested(100));
    let mut client = server.user("u1").await;
    let objects = |depth| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for content in [nested(60), objects(60), r#""\ud83d\ude00""#.to_owned()] {
        client.send_text(with("content", Some(&content))).await;
    }
    let refused = [
        ("content", nested(61)),
        ("content", objects(61)),
        ("content", nested(120_000)),
        ("content", r#""\ud800""#.to_owned()),
        ("content", r#"{"\udc00":1}"#.to_owned()),
        ("toId", r#""\ud83d""#.to_owned()),
        ("toResource", r#""\ud83dx""#.to_owned()),
        ("clientMsgId", r#""\ude00""#.to_owned()),
    ];
    for (field, text) in &refused {
        client.send_text(with(field, Some(text))).await;
        let case: String = text.chars().take(200).collect();
        assert_error(
            &client.error().await,
            &["invalid_field"],
            Some(field),
            &case,
        );
    }
    for (field, text) in refused {
        let body = with(field, Some(&text)).replacen(
            '{',
            r#"{"domain":"demo","fromId":"u1","fromName":"A","#,
            1,
        );
        let answer = server.post("/messages", PROJECT_TOKEN, body).await;
        assert!(answer.problem(400).contains(field), "{field}");
    }
    client.nothing().await;
    assert_eq!(server.history("victim", "").await["total"], 4);
    client.send_text("[".repeat(200_000)).await;
    assert_error(
        &client.error().await,
        &["invalid_json"],
        None,
        "only opening brackets",
    );
    client.nothing().await;
}

async fn closed_by(server: &Server, message: Message, code: u16) {
    let mut client: Client = server.login(&Login::new("u1")).await;
    client.send_raw(message).await;
    client.closed(code).await;
    client.gone().await;
}

#[tokio::test]
async fn frames_that_break_the_websocket_protocol_close_it() {
    let server = Server::start().await;
    let text =
        |payload: &'static [u8], last| Frame::message(payload, OpCode::Data(Data::Text), last);
    closed_by(&server, Message::binary(&b"{}"[..]), 1003).await;
    closed_by(&server, Message::Frame(text(b"\xff\xfe", true)), 1007).await;
    closed_by(&server, Message::Frame(text(b"\"\xe4\xbd", true)), 1007).await;
    let continuation = Frame::message(&b"x"[..], OpCode::Data(Data::Continue), true);
    closed_by(&server, Message::Frame(continuation), 1002).await;
    let mut reserved = text(b"ping", true);
    reserved.header_mut().rsv1 = true;
    closed_by(&server, Message::Frame(reserved), 1002).await;
    let opcode = Frame::message(&b"x"[..], OpCode::Data(Data::Reserved(3)), true);
    closed_by(&server, Message::Frame(opcode), 1002).await;

    // A message may come in parts, with pings between them.
    let mut client = server.user("u1").await;
    client.send_raw(Message::Frame(text(b"pi", false))).await;
    client.send_raw(Message::Ping(Vec::new().into())).await;
    let rest = Frame::message(&b"ng"[..], OpCode::Data(Data::Continue), true);
    client.send_raw(Message::Frame(rest)).await;
    assert_eq!(client.text().await, "pong");
}

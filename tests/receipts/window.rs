//! The window: deliveries that are not confirmed yet do not hold up further ones, up to a bound.

use serde_json::{Value, json};

use crate::common::raw::{Frame, is_message};
use crate::common::{Login, Options, Raw, Stage};

/// Most unconfirmed deliveries.
const WINDOW_MESSAGES: usize = 8192;
/// Most bytes of unconfirmed deliveries.
const WINDOW_BYTES: usize = 2 << 20;
/// What is under way when the window is full still comes: an outbox of small messages.
const UNDER_WAY: usize = (256 << 10) / 150;

/// Keep-alives are what a test can wait for while nothing else comes.
fn options() -> Options {
    Options::new().args(&["--ping-interval", "500ms"])
}

/// Reads deliveries until the session is pinged twice without one in between: it pauses. A
/// keep-alive is answered with a `ping`, as a Pong may be a receipt.
async fn until_pause(raw: &mut Raw) -> Vec<Value> {
    let mut messages: Vec<Value> = raw.take_held();
    assert!(messages.iter().all(is_message));
    let mut silent = 0;
    while silent < 3 {
        match raw.frame().await {
            Frame::Text(text) if text == "pong" => {}
            Frame::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                assert!(is_message(&message), "{message}");
                messages.push(message);
                silent = 0;
            }
            Frame::Ping(payload) => {
                let last = messages.last().map(|m| m["msgId"].to_string());
                let is_last = last.is_none_or(|last| last.as_bytes() == payload);
                silent += usize::from(is_last);
                raw.text("ping").await;
            }
            other => panic!("{other:?}"),
        }
    }
    messages
}

fn id(message: &Value) -> u64 {
    message["msgId"].as_u64().unwrap()
}

/// What a session may still do while its deliveries pause.
async fn is_served(raw: &mut Raw) {
    raw.send(&json!({"toId": "u3", "type": 10, "content": "x", "clientMsgId": "in the pause"}))
        .await;
    raw.ack("in the pause").await;
    raw.text("no JSON").await;
    assert_eq!(raw.error().await["error"]["code"], "invalid_json");
    raw.settle().await;
    let held = raw.take_held();
    assert!(held.is_empty(), "deliveries go on: {} more", held.len());
}

#[tokio::test]
async fn a_client_that_confirms_nothing_gets_a_window_and_the_rest_later() {
    const BACKLOG: usize = 20_000;
    const LIVE: usize = 500;
    let stage = Stage::with(options()).await;
    stage.flood("u2", 0..BACKLOG).await;
    let manual = Login::new("u2").receipts("manual");
    let mut raw = Raw::login(&stage.server, &manual).await;
    let mut all = until_pause(&mut raw).await;
    let most = WINDOW_MESSAGES + UNDER_WAY;
    assert!(all.len() <= most, "{} came", all.len());
    assert!(all.len() >= WINDOW_MESSAGES / 2, "only {} came", all.len());
    is_served(&mut raw).await;

    // Meanwhile messages come in, for later.
    stage.flood("u2", BACKLOG..BACKLOG + LIVE).await;
    is_served(&mut raw).await;

    // A little confirmed is not yet room; and then it is.
    raw.received(id(&all[9])).await;
    is_served(&mut raw).await;
    let mut rounds = 0;
    while all.len() < BACKLOG + LIVE {
        raw.received(id(all.last().unwrap())).await;
        let more = until_pause(&mut raw).await;
        assert!(more.len() <= most, "{} came", more.len());
        assert!(!more.is_empty(), "after {} nothing more", all.len());
        all.extend(more);
        rounds += 1;
    }
    assert!(rounds >= 2, "{rounds}");
    for (n, message) in all.iter().enumerate() {
        assert_eq!(message["content"], json!(n), "{message}");
    }
    assert!(all.is_sorted_by(|a, b| id(a) < id(b)));
    is_served(&mut raw).await;
}

#[tokio::test]
async fn live_deliveries_fill_the_window_too() {
    const COUNT: usize = 12_000;
    let stage = Stage::with(options()).await;
    let manual = Login::new("u2").receipts("manual");
    let mut raw = Raw::login(&stage.server, &manual).await;
    // The session takes what comes while it comes.
    let reader = tokio::spawn(async move {
        let first = until_pause(&mut raw).await;
        (raw, first)
    });
    stage.flood("u2", 0..COUNT).await;
    let (mut raw, mut all) = reader.await.unwrap();
    let most = WINDOW_MESSAGES + UNDER_WAY;
    assert!(all.len() <= most, "{} came", all.len());
    while all.len() < COUNT {
        raw.received(id(all.last().unwrap())).await;
        all.extend(until_pause(&mut raw).await);
    }
    for (n, message) in all.iter().enumerate() {
        assert_eq!(message["content"], json!(n), "{message}");
    }
}

#[tokio::test]
async fn a_window_counts_bytes() {
    const COUNT: usize = 40;
    const BYTES: usize = 150_000;
    let mut stage = Stage::with(options()).await;
    let content = "x".repeat(BYTES);
    for _ in 0..COUNT {
        stage.sender().say("u2", &content).await;
    }
    let last = stage.send("u2", "end").await;
    // A Pong that never comes is the same as a receipt that never comes.
    let mut raw = Raw::login(&stage.server, &Login::new("u2")).await;
    let mut count = 0;
    loop {
        let messages = until_pause(&mut raw).await;
        let most = WINDOW_BYTES / BYTES + 1;
        assert!(messages.len() <= most, "{} came", messages.len());
        assert!(!messages.is_empty(), "nothing more after {count}");
        count += messages.len();
        is_served(&mut raw).await;
        let newest = id(messages.last().unwrap());
        // It has been asked for the last one, though the window was full.
        raw.confirm(newest).await;
        if newest == last {
            break;
        }
    }
    assert_eq!(count, COUNT + 1);
    drop(raw);
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn a_message_larger_than_the_window_comes_alone() {
    let options = options().args(&["--content-bytes-max", "4MiB"]);
    let mut stage = Stage::with(options).await;
    let content = "y".repeat(WINDOW_BYTES + 1000);
    for _ in 0..3 {
        stage.send("u2", &content).await;
    }
    let mut raw = Raw::login(&stage.server, &Login::new("u2").receipts("manual")).await;
    for n in 0..3 {
        let messages = until_pause(&mut raw).await;
        assert_eq!(messages.len(), 1, "window {n}");
        raw.received(id(&messages[0])).await;
    }
}

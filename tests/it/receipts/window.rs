//! The window: deliveries that are not confirmed yet do not hold up further ones, up to a bound.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::raw::is_message;
use crate::harness::stage::{Stage, flood_with};
use crate::support::raw::Frame;
use crate::support::{Login, Options, Raw};

/// Unconfirmed deliveries after which further ones wait.
const WINDOW_MESSAGES: usize = 8192;
/// Bytes of unconfirmed deliveries after which further ones wait.
const WINDOW_BYTES: usize = 2 << 20;
/// What is under way when the window is full still comes: an outbox of small messages.
const UNDER_WAY: usize = (256 << 10) / 150;

/// After so many answers without a delivery between them the deliveries pause.
const ANSWERS: usize = 5;

fn manual() -> Login {
    Login::new("u2").receipts("manual")
}

fn id(message: &Value) -> u64 {
    message["msgId"].as_u64().unwrap()
}

/// Reads `count` deliveries, and what comes beyond until they pause. A session whose deliveries
/// pause gets answers to all that it says: this is how the pause is known.
async fn until_pause(raw: &mut Raw, count: usize) -> Vec<Value> {
    let mut messages = raw.messages(count).await;
    let mut silent = 0;
    while silent < ANSWERS {
        is_served(raw).await;
        let more = raw.take_held();
        assert!(more.iter().all(is_message), "{more:?}");
        silent = if more.is_empty() { silent + 1 } else { 0 };
        messages.extend(more);
    }
    messages
}

/// What a session may do at any time: send, be told of an error, and ask for a sign of life.
async fn is_served(raw: &mut Raw) {
    raw.send(&json!({"toId": "u3", "type": 10, "content": "x", "clientMsgId": "served"}))
        .await;
    raw.ack("served").await;
    raw.text("no JSON").await;
    assert_eq!(raw.error().await["error"]["code"], "invalid_json");
    raw.settle().await;
}

/// Asserts that deliveries still pause.
async fn pauses(raw: &mut Raw) {
    let more = until_pause(raw, 0).await;
    assert!(more.is_empty(), "{} more came", more.len());
}

#[track_caller]
fn assert_all(messages: &[Value], count: usize) {
    assert_eq!(messages.len(), count);
    for (n, message) in messages.iter().enumerate() {
        assert_eq!(message["content"], json!(n), "{message}");
    }
    assert!(messages.is_sorted_by(|a, b| id(a) < id(b)));
}

#[tokio::test]
async fn a_client_that_confirms_nothing_gets_a_window_and_the_rest_later() {
    const BACKLOG: usize = 20_000;
    const LIVE: usize = 500;
    let stage = Stage::start().await;
    stage.flood("u2", 0..BACKLOG).await;
    let mut raw = Raw::login(&stage.server, &manual()).await;
    let most = WINDOW_MESSAGES + UNDER_WAY;
    let mut all = until_pause(&mut raw, WINDOW_MESSAGES).await;
    assert!(all.len() <= most, "{} came", all.len());

    // Meanwhile messages come in, for later.
    stage.flood("u2", BACKLOG..BACKLOG + LIVE).await;
    pauses(&mut raw).await;

    // A little confirmed is not yet room; half of it is.
    raw.received(id(&all[9])).await;
    pauses(&mut raw).await;
    raw.received(id(&all[all.len() - WINDOW_MESSAGES / 2]))
        .await;
    let more = until_pause(&mut raw, WINDOW_MESSAGES / 2).await;
    assert!(
        more.len() <= WINDOW_MESSAGES / 2 + UNDER_WAY,
        "{}",
        more.len()
    );
    all.extend(more);

    while all.len() < BACKLOG + LIVE {
        raw.received(id(all.last().unwrap())).await;
        let rest = BACKLOG + LIVE - all.len();
        let more = until_pause(&mut raw, rest.min(WINDOW_MESSAGES)).await;
        assert!(more.len() <= most, "{} came", more.len());
        all.extend(more);
    }
    assert_all(&all, BACKLOG + LIVE);
}

#[tokio::test]
async fn live_deliveries_fill_the_window_too() {
    const COUNT: usize = 12_000;
    let stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &manual()).await;
    // The session takes what comes while it comes.
    let reader = tokio::spawn(async move {
        let first = until_pause(&mut raw, WINDOW_MESSAGES).await;
        (raw, first)
    });
    stage.flood("u2", 0..COUNT).await;
    let (mut raw, mut all) = reader.await.unwrap();
    assert!(all.len() <= WINDOW_MESSAGES + UNDER_WAY, "{}", all.len());
    pauses(&mut raw).await;
    raw.received(id(all.last().unwrap())).await;
    all.extend(until_pause(&mut raw, COUNT - all.len()).await);
    assert_all(&all, COUNT);
}

#[tokio::test]
async fn a_window_counts_bytes() {
    const COUNT: usize = 40;
    const BYTES: usize = 150_000;
    let mut stage = Stage::start().await;
    let content = "x".repeat(BYTES);
    for _ in 0..COUNT {
        stage.sender().say("u2", &content).await;
    }
    let last = stage.send("u2", "end").await;
    // A Pong that never comes is the same as a receipt that never comes.
    let mut raw = Raw::login(&stage.server, &Login::new("u2")).await;
    let mut count = 0;
    let window = WINDOW_BYTES / BYTES;
    loop {
        let rest = COUNT + 1 - count;
        let messages = until_pause(&mut raw, rest.min(window)).await;
        assert!(messages.len() <= window + 2, "{} came", messages.len());
        count += messages.len();
        let newest = id(messages.last().unwrap());
        // It is asked about the last one, though the window is full.
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
    let options = Options::new().args(&["--content-bytes-max", "4MiB"]);
    let mut stage = Stage::with(options).await;
    let content = "y".repeat(WINDOW_BYTES + 1000);
    for _ in 0..3 {
        stage.send("u2", &content).await;
    }
    let mut raw = Raw::login(&stage.server, &manual()).await;
    for n in 0..3 {
        let messages = until_pause(&mut raw, 1).await;
        assert_eq!(messages.len(), 1, "window {n}");
        raw.received(id(&messages[0])).await;
    }
}

#[tokio::test]
async fn a_session_whose_deliveries_pause_is_kept_alive() {
    const COUNT: usize = 10_000;
    let options = Options::new().args(&["--ping-interval", "2s"]);
    let stage = Stage::with(options).await;
    stage.flood("u2", 0..COUNT).await;
    let mut raw = Raw::login(&stage.server, &manual()).await;
    let mut all = until_pause(&mut raw, WINDOW_MESSAGES).await;
    let last = id(all.last().unwrap());
    for _ in 0..3 {
        raw.pings.clear();
        assert_eq!(raw.asked().await, last.to_string());
        raw.pong(last.to_string()).await;
    }
    pauses(&mut raw).await;
    raw.received(last).await;
    all.extend(until_pause(&mut raw, COUNT - all.len()).await);
    assert_all(&all, COUNT);
}

#[tokio::test]
async fn pongs_without_the_payload_end_a_session_whose_window_is_full_and_it_is_said_why() {
    let interval = Duration::from_secs(1);
    let stage = Stage::with(Options::new().args(&["--ping-interval", "1s"])).await;
    let content = "x".repeat(200_000);
    flood_with(&stage.server, "u2", 0..12, |n| {
        json!(format!("{n}{content}"))
    })
    .await;
    let mut raw = Raw::login(&stage.server, &Login::new("u2")).await;
    raw.messages(WINDOW_BYTES / content.len()).await;
    let mut pongs = 0;
    let (code, reason) = loop {
        match raw.frame_within(interval / 4).await {
            Some(Frame::Close(code, reason)) => break (code, reason),
            Some(Frame::Ended) => panic!("no code, after {pongs} Pongs"),
            Some(_) => {}
            None => {
                assert!(pongs < 100, "it lives on");
                pongs += 1;
                raw.pong("").await;
            }
        }
    };
    assert_eq!(code, 4408);
    assert!(reason.contains("receipts=manual"), "{reason}");
    stage.server.says("it needs receipts=manual").await;
    let metrics = stage.server.get("/metrics", None).await;
    assert!(metrics.body.contains("code=\"4408\""), "{}", metrics.body);
    // What it says helps.
    let mut raw = Raw::login(&stage.server, &manual()).await;
    for message in raw.messages(10).await {
        raw.received(id(&message)).await;
    }
    raw.messages(2).await;
}

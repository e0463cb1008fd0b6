//! Confirmed by the application: `receipts=manual` and `received`.

use serde_json::{Value, json};

use crate::harness::stage::Stage;
use crate::support::raw::Frame;
use crate::support::{Login, Options, Raw, Server};

fn manual() -> Login {
    Login::new("u2").receipts("manual")
}

#[tokio::test]
async fn pongs_confirm_nothing_in_a_manual_session() {
    let options = Options::new().args(&["--ping-interval", "1s"]);
    let mut stage = Stage::with(options).await;
    let ids = stage.send_each("u2", &["one", "two"]).await;
    let mut raw = Raw::login(&stage.server, &manual()).await;
    raw.answers = true;
    let three = stage.send("u2", "three").await;
    raw.messages(3).await;
    for id in ids.into_iter().chain([three]) {
        raw.pong(id.to_string()).await;
    }
    // Keep-alives go on, and are answered.
    while raw.pings.len() < 3 {
        assert!(matches!(raw.frame().await, Frame::Ping(_)));
    }
    raw.settle().await;
    drop(raw);
    let all = ["one", "two", "three"];
    stage.login_gets("u2", "web", manual(), &all).await;
    stage.lacks("u2", &all).await;
}

#[tokio::test]
async fn received_is_cumulative_in_any_session() {
    for login in [
        manual(),
        Login::new("u2"),
        Login::new("u2").receipts("auto"),
    ] {
        let mut stage = Stage::start().await;
        stage.send("u2", "one").await;
        let two = stage.send("u2", "two").await;
        let mut raw = Raw::login(&stage.server, &login).await;
        let three = stage.send("u2", "three").await;
        raw.messages(3).await;
        raw.received(two).await;
        raw.settle().await;
        drop(raw);
        stage.lacks("u2", &["three"]).await;

        // Once more, lower, and higher, in this order.
        let mut raw = Raw::login(&stage.server, &login).await;
        while raw.message().await["msgId"] != three {}
        raw.received(two).await;
        raw.received(three).await;
        raw.received(three).await;
        raw.received(two).await;
        raw.settle().await;
        let held = raw.take_held();
        assert!(held.iter().all(|v| v["error"].is_null()), "{held:?}");
        drop(raw);
        stage.lacks("u2", &[]).await;
    }
}

#[tokio::test]
async fn pongs_and_received_go_together() {
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &Login::new("u2")).await;
    let ids = stage
        .send_each("u2", &["one", "two", "three", "four"])
        .await;
    raw.pinged(&ids[2].to_string()).await;
    // The application may say it sooner than the Pong does, and the Pong more than it.
    raw.received(ids[0]).await;
    raw.confirm(ids[3]).await;
    raw.received(ids[1]).await;
    raw.settle().await;
    drop(raw);
    stage.lacks("u2", &[]).await;
}

/// Asserts an error message that names `received`.
#[track_caller]
fn assert_refused(error: &Value, case: &str) {
    assert_eq!(error["error"]["code"], "invalid_field", "{case}: {error}");
    assert_eq!(error["error"]["field"], "received", "{case}: {error}");
    assert_eq!(error["fromId"], "system", "{case}: {error}");
    assert_eq!(error["type"], 100, "{case}: {error}");
    assert_eq!(error["toId"], "u2", "{case}: {error}");
    assert!(error.get("msgId").is_none(), "{case}: {error}");
    let sentence = error["content"].as_str().unwrap();
    assert!(sentence.contains("received"), "{case}: {sentence}");
    assert!(sentence.contains(' '), "{case}: no sentence: {sentence}");
}

#[tokio::test]
async fn a_wrong_receipt_is_an_error_and_moves_nothing() {
    let mut stage = Stage::start().await;
    let before = stage.send("u3", "to another user").await;
    let one = stage.send("u2", "one").await;
    let other = stage.send("u3", "to another user").await;
    let device = stage.send_to("u2", "phone", "to another device").await;
    let two = stage.send("u2", "two").await;
    let above = stage.send("u3", "to another user").await;
    let above_device = stage.send_to("u2", "phone", "to another device").await;
    for login in [manual(), Login::new("u2")] {
        let mut raw = Raw::login(&stage.server, &login).await;
        raw.messages(2).await;
        let cases = [
            json!(two + 1),
            json!(above),
            json!(above_device),
            json!((1u64 << 53) - 1),
            json!(1u64 << 53),
            json!(u64::MAX),
            json!(other),
            json!(device),
            json!(one + 1),
            json!(two - 1),
            json!(before),
            json!(-1),
            json!(-(i64::try_from(two).unwrap())),
            json!(1.5),
            json!(null),
            json!(format!("{two}.0")),
            json!(format!(" {two}")),
            json!("one"),
            json!(""),
            json!(true),
            json!(false),
            json!([two]),
            json!([]),
            json!({"msgId": two}),
        ];
        for case in cases {
            let text = json!({"received": case}).to_string();
            raw.text(&text).await;
            assert_refused(&raw.error().await, &text);
        }
        let more = [
            format!(r#"{{"received":{two}.5}}"#),
            format!(r#"{{"received":{two}e-1}}"#),
            r#"{"received":1e400}"#.to_owned(),
            format!(r#"{{"received":{two}00000000000000000000}}"#),
            format!(r#"{{"received":{one},"received":{two}}}"#),
            format!(r#"{{"received":{two},"toId":"u3","type":10,"content":"x"}}"#),
            format!(r#"{{"received":{two},"toId":"u3"}}"#),
            format!(r#"{{"received":{two},"type":10}}"#),
            format!(r#"{{"received":{two},"content":"x"}}"#),
        ];
        for text in more {
            raw.text(&text).await;
            assert_refused(&raw.error().await, &text);
        }
        // The session goes on, and what was refused sent nothing.
        raw.settle().await;
        drop(raw);
        stage.lacks("u2", &["one", "two"]).await;
    }
    assert_eq!(stage.server.history("u3", "").await["total"], 3);

    // Unknown fields beside it are ignored.
    let mut raw = Raw::login(&stage.server, &manual()).await;
    raw.message().await;
    raw.send(&json!({"received": one, "note": "processed"}))
        .await;
    raw.settle().await;
    drop(raw);
    stage.lacks("u2", &["two"]).await;
    let mine = ["to another device", "two", "to another device"];
    stage
        .login_gets(
            "u2",
            "phone",
            Login::new("u2").resource("phone").after(one),
            &mine,
        )
        .await;
}

#[tokio::test]
async fn a_receipt_counts_in_any_notation() {
    let mut stage = Stage::start().await;
    for (n, _) in super::exact_notations(0).iter().enumerate() {
        let user = format!("u{n}");
        let id = stage.send(&user, "one").await;
        let login = Login::new(&user).receipts("manual");
        let mut raw = Raw::login(&stage.server, &login).await;
        assert_eq!(raw.message().await["msgId"], id);
        let notation = &super::exact_notations(id)[n];
        raw.text(&format!(r#"{{"received":{notation}}}"#)).await;
        raw.settle().await;
        drop(raw);
        stage.lacks(&user, &[]).await;
    }
}

#[tokio::test]
async fn a_rounded_receipt_is_told_the_nearest_message() {
    let mut stage = Stage::start().await;
    let one = stage.send("u2", "one").await;
    let two = stage.send("u2", "two").await;
    let mut raw = Raw::connect(&stage.server, &manual()).await;
    let error = |sentence: &Value| sentence["content"].as_str().unwrap().to_owned();
    raw.messages(2).await;
    for (id, nearest) in [(two + 1, two), (one - 1, one)] {
        raw.received(id).await;
        let sentence = error(&raw.error().await);
        assert!(sentence.contains(&nearest.to_string()), "{sentence}");
        assert!(sentence.contains("14 or 15 digits"), "{sentence}");
    }
    // What is confirmed is near as well.
    raw.received(two).await;
    raw.received(two + 1).await;
    let sentence = error(&raw.error().await);
    assert!(sentence.contains(&two.to_string()), "{sentence}");
    drop(raw);

    let mut fresh = Raw::login(&stage.server, &manual()).await;
    fresh.received(two + 1).await;
    let sentence = error(&fresh.error().await);
    assert!(
        sentence.contains("nothing was delivered in this session"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_mode_that_is_unknown_is_refused() {
    let server = Server::start().await;
    for mode in ["", "Manual", "AUTO", "none", "manual ", "1", "auto,manual"] {
        let login = Login::new("u2").receipts(mode);
        let reason = server.refused(&login, 4400).await;
        assert!(reason.contains("receipts"), "{mode:?}: {reason}");
    }
    let twice = Login::new("u2").receipts("manual").receipts("manual");
    let reason = server.refused(&twice, 4400).await;
    assert!(reason.contains("receipts"), "{reason}");
}

#[tokio::test]
async fn each_session_has_its_own_mode() {
    let mut stage = Stage::start().await;
    let mut web = Raw::login(&stage.server, &manual()).await;
    let auto = Login::new("u2").resource("phone");
    let mut phone = Raw::login(&stage.server, &auto).await;
    let id = stage.send("u2", "one").await;
    web.message().await;
    web.pong(id.to_string()).await;
    web.settle().await;
    phone.confirm(id).await;
    drop((web, phone));
    stage.device_lacks("u2", "phone", &[]).await;
    stage.lacks("u2", &["one"]).await;

    // The next login of the same resource is free to choose.
    stage.catch_up("u2", "web").await;
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn a_receipt_may_come_before_its_message_comes_again() {
    const BACKLOG: usize = 3000;
    const KNOWN: usize = 2500;
    let stage = Stage::start().await;
    stage.flood("u2", 0..BACKLOG).await;
    let mut raw = Raw::login(&stage.server, &manual()).await;
    let ids: Vec<u64> = raw
        .messages(BACKLOG)
        .await
        .iter()
        .map(|m| m["msgId"].as_u64().unwrap())
        .collect();
    drop(raw);

    // The application had processed it when its connection broke, and says so at once.
    let mut raw = Raw::connect(&stage.server, &manual()).await;
    raw.received(ids[KNOWN]).await;
    raw.settle().await;
    while raw.message().await["msgId"] != ids[KNOWN] {}
    raw.settle().await;
    let held = raw.take_held();
    assert!(held.iter().all(|v| v["error"].is_null()), "an error");
    drop(raw);

    let mut raw = Raw::login(&stage.server, &manual()).await;
    assert_eq!(raw.message().await["msgId"], ids[KNOWN + 1]);
    // What came since this login was never delivered before it.
    raw.received(ids[BACKLOG - 1] + 1_000_000).await;
    assert_refused(&raw.error().await, "a message of the future");
}

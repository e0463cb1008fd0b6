//! Confirmed without any client code: the Pong that echoes a Ping, and no other.

use serde_json::json;

use crate::harness::stage::Stage;
use crate::support::raw::frame;
use crate::support::{Login, Raw};

fn u2() -> Login {
    Login::new("u2")
}

#[tokio::test]
async fn what_was_not_confirmed_comes_again() {
    let mut stage = Stage::start().await;
    stage.send_each("u2", &["one", "two"]).await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    stage.send("u2", "three").await;
    for (content, offline) in [("one", true), ("two", true), ("three", false)] {
        let message = raw.message().await;
        assert_eq!(
            (&message["content"], &message["offline"]),
            (&json!(content), &json!(offline))
        );
    }
    // Cut without a Pong: having written to a socket confirms nothing.
    drop(raw);
    for _ in 0..3 {
        stage.lacks("u2", &["one", "two", "three"]).await;
    }
}

#[tokio::test]
async fn an_orderly_close_confirms_nothing_either() {
    let mut stage = Stage::start().await;
    let id = stage.send("u2", "one").await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.pinged(&id.to_string()).await;
    raw.close(1000).await;
    assert_eq!(raw.closed().await.0, 1000);
    stage.lacks("u2", &["one"]).await;
}

#[tokio::test]
async fn a_pong_moves_the_cursor() {
    let mut stage = Stage::start().await;
    stage.send("u2", "one").await;
    let two = stage.send("u2", "two").await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.confirm(two).await;
    let three = stage.send("u2", "three").await;
    raw.pinged(&three.to_string()).await;
    drop(raw);
    stage.lacks("u2", &["three"]).await;

    stage.catch_up("u2", "web").await;
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn a_library_that_answers_pings_is_all_that_a_client_needs() {
    let mut stage = Stage::start().await;
    let mut client = stage.server.user("u2").await;
    for n in 0..3 {
        stage.send("u2", &format!("{n}")).await;
        client.message().await;
    }
    // Its Pongs leave with what it sends next.
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    loop {
        client.ready().await;
        drop(client);
        let lacking = stage.lacking("u2", "web", &u2()).await;
        if lacking.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{lacking:?}");
        client = stage.server.user("u2").await;
        client.contents(lacking.len()).await;
    }
}

/// What [`three_pings`] sends.
const SEVEN: [&str; 7] = ["one", "two", "three", "four", "five", "six", "seven"];

/// Seven messages: there is a Ping behind the first, one two later, and one four later.
async fn three_pings(stage: &mut Stage, raw: &mut Raw) -> [u64; 3] {
    let ids = stage.send_each("u2", &SEVEN).await;
    let asked = [ids[0], ids[2], ids[6]];
    raw.pinged(&ids[6].to_string()).await;
    assert_eq!(raw.pings, asked.map(|id| id.to_string()));
    asked
}

#[tokio::test]
async fn a_pong_is_cumulative() {
    // The answers to the three Pings, and what then comes again.
    let cases: [(&[usize], &[&str]); 7] = [
        (&[2], &[]),
        (&[0], &SEVEN[1..]),
        (&[1], &SEVEN[3..]),
        (&[0, 1, 2], &[]),
        (&[1, 0], &SEVEN[3..]),
        (&[2, 1, 0], &[]),
        (&[0, 0], &SEVEN[1..]),
    ];
    for (answered, lacking) in cases {
        let mut stage = Stage::start().await;
        let mut raw = Raw::login(&stage.server, &u2()).await;
        let ids = three_pings(&mut stage, &mut raw).await;
        for at in answered {
            raw.pong(ids[*at].to_string()).await;
        }
        raw.settle().await;
        drop(raw);
        stage.lacks("u2", lacking).await;
    }
}

#[tokio::test]
async fn a_pong_that_was_not_asked_for_is_ignored() {
    let mut stage = Stage::start().await;
    let other = stage.send("u3", "to another").await;
    let ids = stage
        .send_each("u2", &["one", "two", "three", "four", "five"])
        .await;
    let later = stage.send("u3", "to another").await;
    let last = ids[2];
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.pinged(&last.to_string()).await;
    // Delivered, and nobody was asked about it.
    let delivered = ids.iter().rev().map(u64::to_string);
    let unasked = delivered.filter(|id| !raw.pings.contains(id));
    let mut payloads: Vec<Vec<u8>> = unasked.map(String::into_bytes).collect();
    assert!(
        !payloads.is_empty(),
        "a batch has few Pings: {:?}",
        raw.pings
    );
    let texts = [
        String::new(),
        (last - 1).to_string(),
        (last + 1).to_string(),
        other.to_string(),
        later.to_string(),
        u64::MAX.to_string(),
        "99999999999999999999999999".into(),
        "0".into(),
        "-1".into(),
        format!("-{last}"),
        format!("+{last}"),
        format!("0{last}"),
        format!("{last}.0"),
        format!("{last}0"),
        format!(" {last}"),
        format!("{last} "),
        format!("{last}\n"),
        format!("{last}\0"),
        format!("{last},{last}"),
        format!("{last:x}"),
        format!("{last:e}"),
        format!("\"{last}\""),
        last.to_string()[1..].to_owned(),
        "last".into(),
        "NaN".into(),
    ];
    payloads.extend(texts.into_iter().map(String::into_bytes));
    payloads.push(last.to_be_bytes().to_vec());
    payloads.push(last.to_le_bytes().to_vec());
    payloads.push(vec![b'9'; 125]);
    payloads.push(vec![0xff; 125]);
    payloads.push((0..125).collect());
    for payload in &payloads {
        raw.pong(payload).await;
    }
    raw.settle().await;
    assert_eq!(raw.take_held().len(), 5, "nothing but the messages");
    drop(raw);
    let all = ["one", "two", "three", "four", "five"];
    stage.lacks("u2", &all).await;

    // Each for itself, so that none hides behind another that ended the session.
    for payload in payloads {
        let mut raw = Raw::login(&stage.server, &u2()).await;
        raw.messages(5).await;
        raw.asked().await;
        // In this session it may have been asked for.
        if raw.pings.iter().any(|ping| ping.as_bytes() == payload) {
            continue;
        }
        raw.pong(&payload).await;
        raw.settle().await;
        drop(raw);
        let lacking = stage.lacking("u2", "web", &u2()).await;
        assert_eq!(lacking.len(), 5, "after {}", payload.escape_ascii());
    }

    // What was asked for counts, also after all that.
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.pong([b'1'; 125]).await;
    let end = stage.send("u2", "end").await;
    raw.confirm(end).await;
    drop(raw);
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn a_pong_to_a_ping_of_another_session_is_ignored() {
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    // Live, the second is asked about; at the next login it comes between others and is not.
    let one = stage.send("u2", "one").await;
    raw.confirm(one).await;
    let two = stage.send("u2", "two").await;
    raw.pinged(&two.to_string()).await;
    drop(raw);
    let after = u2().after(0);
    let mut raw = Raw::login(&stage.server, &after).await;
    raw.messages(2).await;
    raw.pong(two.to_string()).await;
    raw.settle().await;
    assert_eq!(raw.pings, [one.to_string()]);
    drop(raw);
    stage.lacks("u2", &["one", "two"]).await;
}

#[tokio::test]
async fn another_session_of_the_user_is_not_confirmed_with_it() {
    let mut stage = Stage::start().await;
    let phone = u2().resource("phone");
    let mut web = Raw::login(&stage.server, &u2()).await;
    let mut mobile = Raw::login(&stage.server, &phone).await;
    let id = stage.send("u2", "one").await;
    web.pinged(&id.to_string()).await;
    mobile.confirm(id).await;
    drop((web, mobile));
    stage.lacks("u2", &["one"]).await;
    stage.device_lacks("u2", "phone", &[]).await;
}

#[tokio::test]
async fn frames_may_come_byte_by_byte() {
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    let id = stage.send("u2", "one").await;
    raw.pinged(&id.to_string()).await;
    let pong = frame(10, id.to_string().as_bytes());
    // Half a Pong is none.
    raw.write_slowly(&pong[..pong.len() - 1]).await;
    stage.lacks("u2", &["one"]).await;

    let mut raw = Raw::login(&stage.server, &u2()).await;
    let asked = raw.asked().await;
    raw.write_slowly(&frame(10, asked.as_bytes())).await;
    raw.settle().await;
    drop(raw);
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn cursors_outlive_a_restart() {
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    let [_, two, _] = three_pings(&mut stage, &mut raw).await;
    raw.pong(two.to_string()).await;
    raw.settle().await;
    let manual = u2().resource("phone").receipts("manual").after(0);
    let mut phone = Raw::login(&stage.server, &manual).await;
    let first = phone.message().await["msgId"].as_u64().unwrap();
    phone.received(first).await;
    phone.settle().await;
    drop((raw, phone));
    for _ in 0..2 {
        stage.restart().await;
        stage.lacks("u2", &SEVEN[3..]).await;
        stage.device_lacks("u2", "phone", &SEVEN[1..]).await;
    }
}

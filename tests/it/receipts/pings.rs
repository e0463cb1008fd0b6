//! The Pings that ask for receipts, and those that ask whether a peer lives.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::stage::Stage;
use crate::support::raw::{Frame, frame};
use crate::support::{Login, Options, Raw};

/// Within this time of a delivery it is asked about.
const PING_TIME_MAX: Duration = Duration::from_secs(1);

fn u2() -> Login {
    Login::new("u2")
}

fn frequent() -> Options {
    Options::new().args(&["--ping-interval", "1s"])
}

#[tokio::test]
async fn a_ping_tells_the_last_message_within_a_second() {
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.answers = true;
    for burst in [1, 1, 1, 5, 40, 1] {
        let mut last = 0;
        for n in 0..burst {
            last = stage.send("u2", &format!("{n}")).await;
        }
        raw.messages(burst).await;
        let delivered = Instant::now();
        raw.pinged(&last.to_string()).await;
        let waited = delivered.elapsed();
        assert!(waited < PING_TIME_MAX, "{waited:?}, a burst of {burst}");
    }
    // Ascii decimal, in the order of the messages.
    let ids: Vec<u64> = raw.pings.iter().map(|p| p.parse().unwrap()).collect();
    let texts: Vec<String> = ids.iter().map(u64::to_string).collect();
    assert_eq!(texts, raw.pings);
    assert!(ids.is_sorted(), "{ids:?}");
}

/// Behind how many messages the Pings stand that come up to the last of `count` messages.
async fn places_of_pings(raw: &mut Raw, count: usize) -> Vec<usize> {
    let (mut messages, mut places) = (0, Vec::new());
    while messages < count {
        match raw.frame().await {
            Frame::Text(_) => messages += 1,
            Frame::Ping(_) => places.push(messages),
            other => panic!("{other:?}"),
        }
    }
    places
}

#[tokio::test]
async fn pings_stand_at_growing_distance_whether_they_are_answered_or_not() {
    const COUNT: usize = 240;
    let stage = Stage::start().await;
    let mut live = Raw::login(&stage.server, &u2()).await;
    stage.flood("u2", 0..COUNT).await;
    let mut behind = Raw::connect(&stage.server, &u2().resource("phone").after(0)).await;
    for raw in [&mut live, &mut behind] {
        let places = places_of_pings(raw, COUNT).await;
        assert_eq!(places, [1, 3, 7, 15, 31, 63, 95, 127, 159, 191, 223]);
    }
}

#[tokio::test]
async fn while_a_ping_is_under_way_the_next_waits_for_its_pong() {
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    let [one, two] = stage.send_each("u2", &["one", "two"]).await[..] else {
        panic!("two were sent");
    };
    raw.messages(2).await;
    // Within this time it would have been asked about, were none under way.
    assert_eq!(raw.frame_within(PING_TIME_MAX).await, None);
    assert_eq!(raw.pings, [one.to_string()]);
    raw.pong(one.to_string()).await;
    let answered = Instant::now();
    raw.pinged(&two.to_string()).await;
    assert!(answered.elapsed() < PING_TIME_MAX);
}

#[tokio::test]
async fn a_ping_that_was_passed_over_is_repeated_whatever_else_arrives() {
    let mut stage = Stage::with(frequent()).await;
    // What a client may say all the time, and never be asked again for that.
    for case in 0..4 {
        let user = format!("u{case}");
        let mut raw = Raw::login(&stage.server, &Login::new(&user)).await;
        let ids = stage.send_each(&user, &["one", "two", "three"]).await;
        let last = ids[2].to_string();
        raw.pinged(&last).await;
        // Of two that wait together the first alone is answered, as libwebsockets does.
        raw.pong(ids[0].to_string()).await;
        raw.pings.clear();
        let began = Instant::now();
        while !raw.pings.contains(&last) {
            match case {
                0 => raw.text("ping").await,
                1 => raw.ping("its own").await,
                2 => raw.pong("").await,
                _ => raw.pong(ids[0].to_string()).await,
            }
            while raw.frame_within(Duration::from_millis(20)).await.is_some() {}
            assert!(began.elapsed() < crate::support::DEADLINE, "case {case}");
        }
        raw.pong(&last).await;
        raw.settle().await;
        drop(raw);
        stage.lacks(&user, &[]).await;
    }
}

/// Takes the next message, and answers each Ping on the way, as libraries do that read only when their
/// app asks; `None` once the connection is over.
async fn asks_for_a_message(raw: &mut Raw) -> Option<String> {
    loop {
        match raw.frame().await {
            Frame::Text(text) => {
                let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                return Some(message["content"].as_str().unwrap().to_owned());
            }
            // The server may be gone.
            Frame::Ping(payload) => drop(raw.try_write(&frame(10, &payload)).await),
            Frame::Pong(_) => {}
            Frame::Close(..) | Frame::Ended => return None,
        }
    }
}

#[tokio::test]
async fn an_app_that_works_long_on_each_message_gets_past_some_on_every_connection() {
    const CONTENTS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
    // Each gets past one at least, but for a machine that stalls.
    const CONNECTIONS_MAX: usize = 3 * CONTENTS.len();
    let mut stage = Stage::with(frequent()).await;
    stage.send_each("u2", &CONTENTS).await;
    // As a minute of work is to an interval of 25 s.
    let work = Duration::from_secs(1) * 60 / 25;
    let mut begins: Vec<String> = Vec::new();
    // The last one is not confirmed before the app asks for more, which it does until the end.
    while begins.last().is_none_or(|begin| begin != CONTENTS[5]) {
        assert!(begins.len() < CONNECTIONS_MAX, "no progress: {begins:?}");
        let mut raw = Raw::connect(&stage.server, &u2()).await;
        let mut given = Vec::new();
        while given.last().is_none_or(|last| last != CONTENTS[5]) {
            let Some(content) = asks_for_a_message(&mut raw).await else {
                break;
            };
            given.push(content);
            tokio::time::sleep(work).await;
        }
        begins.push(given[0].clone());
    }
    assert!(begins.is_sorted(), "{begins:?}");
}

#[tokio::test]
async fn a_ping_comes_behind_the_message_that_it_asks_about() {
    let stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.answers = true;
    stage.flood("u2", 0..300).await;
    let mut delivered = 0;
    let mut messages = 0;
    let mut asked = 0;
    while asked == 0 || asked < delivered || messages < 300 {
        match raw.frame().await {
            Frame::Text(text) => {
                let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                delivered = message["msgId"].as_u64().unwrap();
                messages += 1;
            }
            Frame::Ping(payload) => {
                asked = String::from_utf8(payload).unwrap().parse().unwrap();
                assert_eq!(asked, delivered, "the last message before it");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_burst_has_far_fewer_pings_than_messages_and_waits_for_none() {
    const BURST: usize = 1000;
    for answers in [false, true] {
        let stage = Stage::start().await;
        let mut live = Raw::login(&stage.server, &u2()).await;
        live.answers = answers;
        stage.flood("u2", 0..BURST).await;
        let mut behind = Raw::login(&stage.server, &u2().resource("phone").after(0)).await;
        behind.answers = answers;
        for raw in [&mut live, &mut behind] {
            let messages = raw.messages(BURST).await;
            let last = messages[BURST - 1]["msgId"].to_string();
            for (n, message) in messages.iter().enumerate() {
                assert_eq!(message["content"], json!(n));
            }
            if answers {
                raw.pinged(&last).await;
            }
            assert!(raw.pings.len() <= BURST / 10, "{} Pings", raw.pings.len());
        }
    }
}

#[tokio::test]
async fn messages_that_come_one_by_one_share_pings_too() {
    const COUNT: usize = 300;
    let mut stage = Stage::start().await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.answers = true;
    let began = Instant::now();
    for n in 0..COUNT {
        let id = stage.send("u2", &format!("{n}")).await;
        assert_eq!(raw.message().await["msgId"], id);
    }
    // One for each 32 messages, or each tenth of a second.
    let most = COUNT / 32 + usize::try_from(began.elapsed().as_millis() / 100).unwrap() + 3;
    assert!(raw.pings.len() <= most, "{} of {most}", raw.pings.len());
}

#[tokio::test]
async fn a_session_that_got_nothing_is_pinged_with_nothing() {
    let stage = Stage::with(frequent()).await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    raw.answers = true;
    for _ in 0..3 {
        assert_eq!(raw.frame().await, Frame::Ping(Vec::new()));
    }
    raw.settle().await;
}

#[tokio::test]
async fn an_idle_session_is_asked_again_and_lives_while_it_answers() {
    let mut stage = Stage::with(frequent()).await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    let id = stage.send("u2", "one").await;
    raw.pinged(&id.to_string()).await;
    // More than the two intervals after which a silent peer is dead.
    for _ in 0..4 {
        raw.pings.clear();
        // A keep-alive asks about the last message, too.
        assert_eq!(raw.asked().await, id.to_string());
        raw.text("ping").await;
    }
    raw.pong(id.to_string()).await;
    raw.settle().await;
    drop(raw);
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn a_peer_that_answers_nothing_is_closed_as_dead() {
    let mut stage = Stage::with(frequent()).await;
    for login in [u2(), Login::new("u3").receipts("manual")] {
        let mut raw = Raw::login(&stage.server, &login).await;
        let (code, waited) = raw.closed().await;
        assert_eq!(code, 1011);
        // A Ping after one interval, and two to answer it.
        assert!(waited > Duration::from_secs(2), "{waited:?}");
        assert!(waited < Duration::from_secs(8), "{waited:?}");
    }
    // Its user is offline: the history tells.
    stage.send("u2", "one").await;
    let list = stage.server.history("u2", "").await["list"].take();
    assert_eq!(list[0]["offline"], true);
    stage.lacks("u2", &["one"]).await;
}

#[tokio::test]
async fn a_peer_lives_by_whatever_it_sends() {
    let stage = Stage::with(frequent()).await;
    let mut raw = Raw::login(&stage.server, &u2()).await;
    let began = Instant::now();
    // Any Pong, and a Ping of its own, which is answered with the same payload.
    while began.elapsed() < Duration::from_secs(4) {
        match raw.frame().await {
            Frame::Ping(_) if raw.pings.len() % 2 == 0 => raw.ping("lives").await,
            Frame::Ping(_) => raw.pong("whatever").await,
            Frame::Pong(payload) => assert_eq!(payload, b"lives"),
            other => panic!("{other:?}"),
        }
    }
    raw.settle().await;
}

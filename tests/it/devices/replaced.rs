//! A login that replaces an earlier one of the same device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::raw::is_message;
use crate::harness::stage::Stage;
use crate::support::raw::{Frame, frame, text_frame};
use crate::support::{Client, Login, Options, Raw, Server};

fn u2() -> Login {
    Login::new("u2")
}

#[tokio::test]
async fn a_late_receipt_of_a_replaced_session_confirms_nothing() {
    let mut stage = Stage::start().await;
    let id = stage.send("u2", "one").await;
    // The replaced session has read the Close, or has not; it says it by a Pong, or by itself.
    for case in 0..4 {
        let mut old = Raw::login(&stage.server, &u2()).await;
        old.messages(1).await;
        let asked = old.asked().await;
        let mut new = Raw::login(&stage.server, &u2()).await;
        if case % 2 == 0 {
            assert_eq!(old.closed().await.0, 4409);
        }
        let receipt = json!({ "received": id }).to_string();
        let late = match case / 2 {
            0 => frame(10, asked.as_bytes()),
            _ => text_frame(&receipt),
        };
        // The server may have gone already; what matters is what it does not do.
        old.try_write(&late).await;
        new.settle().await;
        drop((old, new));
        stage.lacks("u2", &["one"]).await;
    }
    // The one that replaced it confirms as any other.
    stage.catch_up("u2", "web").await;
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn a_receipt_that_races_with_the_login_that_takes_it_back_loses() {
    const ROUNDS: usize = 100;
    let options = Options::new().args(&["--plain", "127.0.0.1:0"]);
    let mut stage = Stage::with(options).await;
    let id = stage.send("u2", "one").await;
    for round in 0..ROUNDS {
        let mut old = Raw::plain(&stage.server, &u2().after(0)).await;
        let asked = old.asked().await;
        // It has much to say before, so that it is busy when it is replaced.
        let mut late = text_frame("ping").repeat(round * 10);
        late.extend(frame(10, asked.as_bytes()));
        let again = u2().after(0);
        let (_, mut new) = tokio::join!(old.try_write(&late), Raw::plain(&stage.server, &again));
        new.settle().await;
        // Whichever came first: `after` was the last word, or the receipt was not heard.
        drop(new);
        let mut next = Raw::plain(&stage.server, &u2()).await;
        assert_eq!(next.message().await["msgId"], id, "round {round}");
    }
}

#[tokio::test]
async fn what_was_confirmed_before_counts_in_the_next_session() {
    let mut stage = Stage::start().await;
    let mut old = Raw::login(&stage.server, &u2()).await;
    for n in 0..20 {
        let id = stage.send("u2", &format!("{n}")).await;
        old.confirm(id).await;
        // While the old one lives on.
        let mut new = Raw::login(&stage.server, &u2()).await;
        let next = stage.send("u2", "next").await;
        let first = new.message().await;
        assert_eq!(first["msgId"], next, "{first}");
        new.confirm(next).await;
        assert_eq!(old.closed().await.0, 4409);
        old = new;
    }
}

#[tokio::test]
async fn a_device_at_the_limit_of_sessions_may_replace_itself() {
    let options = Options::new().args(&["--sessions-per-user-max", "2"]);
    let mut stage = Stage::with(options).await;
    let phone = u2().resource("phone");
    let mut web = Raw::login(&stage.server, &u2()).await;
    let mut mobile = Raw::login(&stage.server, &phone).await;
    for _ in 0..5 {
        let mut refused = Raw::connect(&stage.server, &u2().resource("tablet")).await;
        assert_eq!(refused.closed().await.0, 4529);
        assert!(refused.take_held().is_empty());
        let new = Raw::login(&stage.server, &u2()).await;
        assert_eq!(web.closed().await.0, 4409);
        web = new;
    }
    let id = stage.send("u2", "one").await;
    for raw in [&mut web, &mut mobile] {
        assert_eq!(raw.message().await["msgId"], id);
    }
}

/// Sends numbers to `u2` until told to end; how many.
async fn send_until(mut sender: Client, done: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let frame = json!({"toId": "u2", "type": 10, "content": count});
            sender.send(&frame).await;
            count += 1;
        }
        // No faster than the disk, so that the mailbox grows with the test.
        sender.say_acked("u3", "pace").await;
    }
    sender.say_acked("u3", "end").await;
    count
}

/// What one session got.
struct Got {
    raw: Raw,
    contents: Vec<u64>,
    /// Everything below this was confirmed, and the server has said that it knows.
    confirmed: u64,
}

impl Got {
    async fn begin(server: &Server, login: &Login) -> Self {
        Self {
            raw: Raw::connect(server, login).await,
            contents: Vec::new(),
            confirmed: 0,
        }
    }

    fn take(&mut self, message: &Value) {
        assert!(is_message(message), "{message}");
        self.contents.push(message["content"].as_u64().unwrap());
    }

    async fn read(&mut self, count: usize) {
        for _ in 0..count {
            let message = self.raw.message().await;
            self.take(&message);
        }
    }

    /// Confirms what was read.
    async fn confirm(&mut self, manual: bool) {
        if manual {
            let id = self.raw.message().await;
            self.take(&id);
            self.raw.received(id["msgId"].as_u64().unwrap()).await;
            let last = *self.contents.last().unwrap();
            self.raw.settle().await;
            self.confirmed = last + 1;
        } else {
            let asked = self.raw.asked().await;
            self.raw.pong(asked).await;
            self.raw.settle().await;
        }
    }

    /// Reads up to the Close of a session that was replaced.
    async fn end(&mut self) {
        for message in self.raw.take_held() {
            self.take(&message);
        }
        loop {
            match self.raw.frame().await {
                Frame::Text(text) if text == "pong" => {}
                Frame::Text(text) => self.take(&serde_json::from_str(&text).unwrap()),
                Frame::Close(code, _) => return assert_eq!(code, 4409),
                Frame::Ended => panic!("no Close"),
                Frame::Ping(_) | Frame::Pong(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_between_a_session_and_the_one_that_replaces_it() {
    const SESSIONS: usize = 60;
    for (manual, outbox) in [(false, "4KiB"), (true, "256KiB")] {
        let options = Options::new().args(&["--outbox-bytes-max", outbox]);
        let server = Arc::new(Server::with(options).await);
        let login = u2().receipts(if manual { "manual" } else { "auto" });
        let done = Arc::new(AtomicBool::new(false));
        let sending = tokio::spawn(send_until(server.user("u1").await, done.clone()));

        let mut sessions: Vec<Got> = vec![Got::begin(&server, &login).await];
        for n in 0..SESSIONS {
            let old = sessions.last_mut().unwrap();
            old.read(1 + n * 7 % 40).await;
            // Of four sessions one confirms nothing.
            if n % 4 != 3 {
                old.confirm(manual).await;
            }
            old.read(n % 3).await;
            sessions.push(Got::begin(&server, &login).await);
        }
        done.store(true, Ordering::Relaxed);
        let count = sending.await.unwrap() as u64;
        // The last one takes the rest.
        let last = sessions.last_mut().unwrap();
        last.raw.answers = true;
        while last.contents.last() != Some(&(count - 1)) {
            last.read(1).await;
        }
        for session in &mut sessions[..SESSIONS] {
            session.end().await;
        }

        let mut next = 0;
        let mut confirmed = 0;
        for (n, session) in sessions.iter().enumerate() {
            let Some(&first) = session.contents.first() else {
                continue;
            };
            let all: Vec<u64> = (first..).take(session.contents.len()).collect();
            assert_eq!(session.contents, all, "session {n} has a gap or a repeat");
            assert!(first <= next, "session {n} begins at {first} after {next}");
            assert!(
                first >= confirmed,
                "session {n} gets again what was confirmed"
            );
            next = next.max(first + session.contents.len() as u64);
            confirmed = confirmed.max(session.confirmed);
        }
        assert_eq!(next, count);
    }
}

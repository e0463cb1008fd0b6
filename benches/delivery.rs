//! What receipts cost: processor time of the server per delivered message, with receipts by
//! Ping and Pong and, as the comparison, with `receipts=manual`, which sends no Ping.
//!
//! Three shapes of load, over TLS:
//! - sparse: many users, each of whom gets a message now and then, none close to another;
//! - stream: one user gets messages as fast as one sender sends them;
//! - drain: a backlog is delivered at login.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Server, Session};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

/// Who confirms deliveries.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    parameter: &'static str,
    manual: bool,
}

const MODES: [Mode; 2] = [
    Mode {
        name: "auto",
        parameter: "",
        manual: false,
    },
    Mode {
        name: "manual",
        parameter: "&receipts=manual",
        manual: true,
    },
];
const ROUNDS: usize = 2;
const SPARSE_USERS: usize = 200;
const SPARSE_ROUNDS: usize = 40;
/// Longer than the pause between two Pings of a session.
const SPARSE_PAUSE: Duration = Duration::from_millis(150);
const MESSAGES: usize = 100_000;
/// Sends under way at once, and messages confirmed at once.
const WINDOW: usize = 2_000;
const DEADLINE: Duration = Duration::from_secs(120);

fn frame(to: usize, ack: Option<usize>) -> Message {
    let content = "x".repeat(100);
    let ack = ack.map_or(String::new(), |id| format!(r#","clientMsgId":"{id}""#));
    Message::text(format!(
        r#"{{"toId":"user-{to}","type":10,"content":"{content}"{ack}}}"#
    ))
}

/// Reads so many text frames. The library answers Pings; where the application has to confirm,
/// it does so now and then.
async fn receive(session: &mut Session, count: usize, manual: bool) {
    let mut received = 0;
    while received < count {
        let message = tokio::time::timeout(DEADLINE, session.next()).await;
        let Message::Text(text) = message.unwrap().unwrap().unwrap() else {
            continue;
        };
        received += 1;
        if manual && received.is_multiple_of(WINDOW) {
            let id = text
                .rsplit("\"msgId\":")
                .next()
                .unwrap()
                .trim_end_matches('}');
            let receipt = Message::text(format!("{{\"received\":{id}}}"));
            session.send(receipt).await.unwrap();
        }
    }
}

/// Sends so many messages, not more than a window ahead of the disk.
async fn send(session: &mut Session, to: usize, count: usize) {
    for n in 1..=count {
        let ack = n.is_multiple_of(WINDOW).then_some(n);
        session.feed(frame(to, ack)).await.unwrap();
        if ack.is_some() {
            session.flush().await.unwrap();
            receive(session, 1, false).await;
        }
    }
}

struct Row {
    cpu: Duration,
    took: Duration,
    messages: usize,
}

impl Row {
    fn print(&self, shape: &str, mode: &str) {
        let Self {
            cpu,
            took,
            messages,
        } = self;
        println!(
            "{shape:<8} {mode:<8} {:>8.1} µs of processor time a message   {:>9.0} messages/s",
            cpu.as_secs_f64() * 1e6 / *messages as f64,
            *messages as f64 / took.as_secs_f64()
        );
    }
}

/// Measures what the server uses while `work` goes on.
async fn measure(server: &Server, messages: usize, work: impl Future<Output = ()>) -> Row {
    let (cpu, clock) = (server.cpu(), Instant::now());
    work.await;
    Row {
        cpu: server.cpu() - cpu,
        took: clock.elapsed(),
        messages,
    }
}

async fn sparse(server: &Server, first: usize, mode: Mode) -> Row {
    let users = first..first + SPARSE_USERS;
    let mut sessions = server.open_all(users.clone(), mode.parameter).await;
    let mut sender = server.open(users.end, "").await;
    measure(server, SPARSE_USERS * SPARSE_ROUNDS, async {
        let receiving = sessions
            .iter_mut()
            .map(|session| receive(session, SPARSE_ROUNDS, mode.manual));
        let sending = async {
            let mut pause = tokio::time::interval(SPARSE_PAUSE);
            for _ in 0..SPARSE_ROUNDS {
                pause.tick().await;
                for to in users.clone() {
                    sender.feed(frame(to, None)).await.unwrap();
                }
                sender.flush().await.unwrap();
            }
        };
        tokio::join!(futures_util::future::join_all(receiving), sending);
    })
    .await
}

async fn stream(server: &Server, first: usize, mode: Mode) -> Row {
    let mut user = server.open(first, mode.parameter).await;
    let mut sender = server.open(first + 1, "").await;
    measure(server, MESSAGES, async {
        let receiving = receive(&mut user, MESSAGES, mode.manual);
        tokio::join!(receiving, send(&mut sender, first, MESSAGES));
    })
    .await
}

async fn drain(server: &Server, first: usize, mode: Mode) -> Row {
    let mut sender = server.open(first + 1, "").await;
    send(&mut sender, first, MESSAGES).await;
    measure(server, MESSAGES, async {
        let mut user = server.connect(first, mode.parameter).await;
        receive(&mut user, MESSAGES, mode.manual).await;
    })
    .await
}

#[tokio::main]
async fn main() {
    let server = Server::start(10 * SPARSE_USERS);
    for round in 0..ROUNDS {
        for (n, mode) in MODES.into_iter().enumerate() {
            // Users of their own, so that nothing of one run is left to the next.
            let first = 10_000 * (round * MODES.len() + n);
            let row = sparse(&server, first, mode).await;
            row.print("sparse", mode.name);
            let row = stream(&server, first + 1_000, mode).await;
            row.print("stream", mode.name);
            let row = drain(&server, first + 2_000, mode).await;
            row.print("drain", mode.name);
        }
    }
}

//! Messages that never come to their end: what they cost, whom they hold up, and how they end.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::raw::{Frame, frame, text_frame};
use common::{Login, Options, Raw, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Together far more than there is room for.
const SESSIONS: usize = 400;
/// Of each of the others: who is refused, and who has closed.
const OTHERS: usize = 100;
const MESSAGE_BYTES: usize = 500 << 10;

/// What there is room for, what each may have besides, and what so many connections cost anyway, with what an
/// allocator keeps.
const GROWTH_KIB_MAX: usize = (64 << 10) + SESSIONS * 16 + (64 << 10);

/// How long a message may take, and how much later a busy machine may notice that it took longer.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(55);

/// A client that begins a message, says so, sends most of it, and then a byte each second if it `trickles`; what the
/// server said to its end, and when that was.
async fn half_said(
    address: String,
    query: String,
    message: Parts,
    trickles: bool,
    begun: mpsc::Sender<()>,
) -> (String, Duration) {
    let head = format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let since = Instant::now();
    stream.write_all(&message.begin).await.unwrap();
    begun.send(()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    // What the server does not read stays here, until it has closed.
    let writer = tokio::spawn(async move {
        let _ = writing.write_all(&message.rest).await;
        for byte in message.end {
            sleep(Duration::from_secs(1)).await;
            if !trickles || writing.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        writing
    });
    let mut said = Vec::new();
    let end = timeout(PATIENCE, reading.read_to_end(&mut said)).await;
    assert!(end.is_ok(), "it goes on: {}", said.escape_ascii());
    let took = since.elapsed();
    writer.abort();
    (said.escape_ascii().to_string(), took)
}

/// A long message.
struct Parts {
    begin: Vec<u8>,
    rest: Vec<u8>,
    end: Vec<u8>,
}

fn long_message() -> Parts {
    let mut begin = text_frame(&"x".repeat(MESSAGE_BYTES));
    let end = begin.split_off(MESSAGE_BYTES - 1000);
    let rest = begin.split_off(1000);
    Parts { begin, rest, end }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_messages_share_a_room_and_end_in_time_while_others_talk() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let address = server.plain.clone().unwrap();
    let before = server.peak_kib();
    let (begun, mut beginnings) = mpsc::channel(SESSIONS + 2 * OTHERS);
    let mut unfinished = JoinSet::new();
    for n in 0..SESSIONS {
        let query = Login::new(&format!("u{n}")).query();
        let message = long_message();
        unfinished.spawn(half_said(
            address.clone(),
            query,
            message,
            n % 2 == 0,
            begun.clone(),
        ));
    }
    let mut others = JoinSet::new();
    for n in 0..OTHERS {
        let refused = Login::new("stranger").token("wrong").query();
        let message = long_message();
        others.spawn(half_said(
            address.clone(),
            refused,
            message,
            true,
            begun.clone(),
        ));
        let leaves = Login::new(&format!("leaver{n}")).query();
        let mut message = long_message();
        message.begin.splice(..0, frame(8, &1000u16.to_be_bytes()));
        others.spawn(half_said(
            address.clone(),
            leaves,
            message,
            true,
            begun.clone(),
        ));
    }
    for _ in 0..SESSIONS + 2 * OTHERS {
        beginnings.recv().await.unwrap();
    }
    let (mut one, mut other) = (server.user("quiet1").await, server.user("quiet2").await);
    for n in 0..20 {
        one.say("quiet2", &n.to_string()).await;
        assert_eq!(other.message().await["content"], n.to_string());
    }
    // A long message has to wait, at most until those that came before it are over.
    let mut long = Raw::plain(&server, &Login::new("quiet3")).await;
    let content = "y".repeat(200 << 10);
    let send = json!({"clientMsgId": "long", "toId": "quiet4", "type": 10, "content": content});
    long.answers = true;
    let sending = tokio::spawn(async move {
        // The server reads it when it can.
        let answered = async {
            long.send(&send).await;
            loop {
                match long.frame_within(PATIENCE).await {
                    Some(Frame::Text(text)) => return text,
                    Some(Frame::Ping(_) | Frame::Pong(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        timeout(PATIENCE, answered).await.expect("an answer")
    });
    for (said, _) in others.join_all().await {
        let codes = [
            "\\x88\\x02\\x03\\xe8",
            "\\x111the token or the domain is unknown",
        ];
        assert!(codes.iter().any(|code| said.ends_with(code)), "{said}");
    }
    for (said, took) in unfinished.join_all().await {
        let text = "\\x03\\xf1message not complete within 30 s: send a smaller one";
        assert!(said.ends_with(text), "{said}");
        assert!(took >= MESSAGE_TIMEOUT, "after {took:?}");
    }
    let acknowledged = sending.await.unwrap();
    assert!(
        acknowledged.starts_with("{\"ack\":\"long\""),
        "{acknowledged}"
    );
    let growth = server.peak_kib() - before;
    println!("by {growth} KiB");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

//! The floods: what each of them writes, on how many connections, and how it goes on.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// Where a flood goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Plain,
    /// The TLS listener, without TLS: what is written is the beginning of a handshake.
    Tls,
}

/// What one connection of a flood does after its opening.
pub enum Then {
    /// Nothing but read, until the peer closes.
    Read,
    /// Nothing, not even read, for so long.
    Hold(Duration),
    /// Writes this again and again, and reads what is answered.
    Push(Vec<u8>),
    /// Writes this after each pause, for so long.
    Trickle(Vec<u8>, Duration, Duration),
}

/// A flood, as its generator needs it. A connection that has ended is opened anew at once.
pub struct Flood {
    pub door: Door,
    pub connections: usize,
    /// Begins a connection; `{n}` in it stands for the connection's number.
    pub head: String,
    /// Whether it goes on only once its head was answered.
    pub waits: bool,
    /// What follows the head.
    pub begin: Vec<u8>,
    pub then: Then,
    /// How many messages of how many bytes wait in the flooder's mailbox.
    pub mailbox: Option<(usize, usize)>,
}

/// Who floods, and with what.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flooder {
    pub id: String,
    /// A user token.
    pub token: String,
    /// The beginning of a TLS handshake.
    pub hello: Vec<u8>,
}

/// All of them, in the order of the table.
pub const NAMES: [&str; 13] = [
    "bad-tokens",
    "bad-frames",
    "pings",
    "ping-texts",
    "large-sends",
    "large-sends-to-100",
    "unfinished-messages",
    "half-open-handshakes",
    "slow-bodies",
    "unread-histories",
    "histories",
    "metrics",
    "small-sends-to-100",
];

/// Content of a large message: with its names less than `content_bytes_max`.
const LARGE_BYTES: usize = 250 << 10;

/// Small things that are written at once.
const BATCH: usize = 1000;
const SENDS_BATCH: usize = 10;
/// Requests on one connection before an answer is awaited.
const PIPELINED: usize = 16;
/// Connections of those who write as fast as they can.
const WRITERS: usize = 4;
const TRICKLE_PAUSE: Duration = Duration::from_millis(100);
/// A user's sessions: more are refused.
const SESSIONS: usize = 32;

impl Flood {
    /// One of [`NAMES`].
    pub fn named(name: &str, flooder: &Flooder) -> Self {
        let Flooder { id, token, hello } = flooder;
        let flood = |connections, head: String, begin: Vec<u8>, then| Self {
            door: Door::Plain,
            connections,
            waits: head.contains("Upgrade"),
            head,
            begin,
            then,
            mailbox: None,
        };
        let session = |then| flood(WRITERS, upgrade(id, token), Vec::new(), then);
        let sending = |to: usize, bytes: usize, times: usize| {
            session(Then::Push(text(&message(to, bytes)).repeat(times)))
        };
        let asking = |target: &str| {
            let request = get(target, token).into_bytes();
            let push = Then::Push(request.repeat(PIPELINED));
            flood(WRITERS, String::new(), Vec::new(), push)
        };
        match name {
            "bad-tokens" => flood(16, upgrade(id, "wrong"), Vec::new(), Then::Read),
            "bad-frames" => session(Then::Push(text("{}").repeat(BATCH))),
            "pings" => session(Then::Push(frame(PING, b"").repeat(BATCH))),
            "ping-texts" => session(Then::Push(text("ping").repeat(BATCH))),
            "large-sends" => sending(1, LARGE_BYTES, 1),
            "large-sends-to-100" => sending(100, LARGE_BYTES, 1),
            "unfinished-messages" => {
                let mut begin = text(&"x".repeat(500 << 10));
                begin.truncate(499 << 10);
                let then = Then::Trickle(vec![b'x'], TRICKLE_PAUSE, Duration::from_secs(2));
                flood(SESSIONS, upgrade(id, token), begin, then)
            }
            "half-open-handshakes" => Self {
                door: Door::Tls,
                ..flood(
                    256,
                    String::new(),
                    hello.clone(),
                    Then::Hold(Duration::from_millis(250)),
                )
            },
            "slow-bodies" => {
                let head = format!(
                    "POST /messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                     Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n"
                );
                let then = Then::Trickle(vec![b' '], TRICKLE_PAUSE, Duration::from_secs(10));
                flood(200, head, vec![b' '; 16 << 10], then)
            }
            "unread-histories" => Self {
                mailbox: Some((30, LARGE_BYTES)),
                ..flood(
                    300,
                    get(&history(id), token),
                    Vec::new(),
                    Then::Hold(Duration::from_secs(1)),
                )
            },
            "histories" => Self {
                mailbox: Some((100, 100)),
                ..asking(&history(id))
            },
            "metrics" => asking("/metrics"),
            "small-sends-to-100" => sending(100, 1, SENDS_BATCH),
            other => panic!("no flood is called {other}"),
        }
    }
}

/// A message of the flooder to so many, none of whom is there.
fn message(to: usize, bytes: usize) -> String {
    let to: Vec<_> = (0..to).map(|n| format!("nobody-{n}")).collect();
    json!({"toId": to, "type": 10, "content": "x".repeat(bytes)}).to_string()
}

/// All of a mailbox, where it has a hundred messages.
fn history(id: &str) -> String {
    format!("/message-log?domain=demo&toId={id}&size=100")
}

fn get(target: &str, token: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
}

fn upgrade(id: &str, token: &str) -> String {
    format!(
        "GET /ws?id={id}&name=F&domain=demo&resource=r{{n}}&token={token} HTTP/1.1\r\n\
         Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

const TEXT: u8 = 1;
const PING: u8 = 9;

fn text(text: &str) -> Vec<u8> {
    frame(TEXT, text.as_bytes())
}

/// A frame of a client, masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

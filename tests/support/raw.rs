//! A WebSocket client that does nothing by itself: it writes the frames it is told to, byte by
//! byte where that is asked for, and reads a frame only when somebody wants one. It answers no
//! Ping unless told, so that a test decides what is confirmed, and it can stop reading, which
//! fills the server's side.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tls::Stream;
use super::{Login, Server, soon};

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
const PONG: u8 = 10;

/// Not zero, so that a server that forgets to unmask is found.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Most bytes taken from the stream at once.
const READ_BYTES_MAX: usize = 16 << 10;

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The stream ended, or broke, without a further frame.
    Ended,
}

/// A masked frame, as a client sends it.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![FIN | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(MASKED | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            bytes.push(MASKED | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(MASKED | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    bytes
}

/// A masked text frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    frame(TEXT, text.as_bytes())
}

/// One WebSocket, worked by hand.
pub struct Raw {
    io: Stream,
    /// Read, and not yet taken as a frame.
    buffer: Vec<u8>,
    /// Text frames read on the way to something else, in order.
    pub held: VecDeque<Value>,
    /// The payloads of all Pings read so far, in order.
    pub pings: Vec<String>,
    /// Answer each Ping as it is read.
    pub answers: bool,
}

impl Raw {
    /// Upgrades the stream.
    pub async fn open(io: Stream, login: &Login) -> Self {
        Self::by_query(io, login.query().as_bytes()).await
    }

    /// Upgrades the stream by a query that may hold anything.
    pub async fn by_query(mut io: Stream, query: &[u8]) -> Self {
        let rest = " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let head = [b"GET /ws?", query, rest.as_bytes()].concat();
        let mut answer = Vec::new();
        soon("an upgrade", async {
            io.write_all(&head).await.unwrap();
            io.flush().await.unwrap();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(io.read_u8().await.unwrap());
            }
        })
        .await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        Self {
            io,
            buffer: Vec::new(),
            held: VecDeque::new(),
            pings: Vec::new(),
            answers: false,
        }
    }

    /// On the plain listener.
    pub async fn plain(server: &Server, login: &Login) -> Self {
        let address = server.plain.as_ref().expect("started with --plain");
        let tcp = soon("a connection", TcpStream::connect(address)).await;
        let tcp = tcp.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self::open(Box::new(tcp), login).await
    }

    /// Writes these bytes at once.
    pub async fn write(&mut self, bytes: &[u8]) {
        assert!(self.try_write(bytes).await, "the server is gone");
    }

    /// Writes where the server may be gone already; whether it was not.
    pub async fn try_write(&mut self, bytes: &[u8]) -> bool {
        soon("room to write", async {
            self.io.write_all(bytes).await.is_ok() && self.io.flush().await.is_ok()
        })
        .await
    }

    pub async fn text(&mut self, text: &str) {
        self.write(&text_frame(text)).await;
    }

    pub async fn pong(&mut self, payload: impl AsRef<[u8]>) {
        self.write(&frame(PONG, payload.as_ref())).await;
    }

    /// Some more bytes. A broken stream has ended. Loses nothing when it is cancelled.
    async fn read(&mut self, most: usize) -> usize {
        let mut io = (&mut self.io).take(most.min(READ_BYTES_MAX) as u64);
        io.read_buf(&mut self.buffer).await.unwrap_or(0)
    }

    /// The next frame, whatever it is. A Ping is answered only where that is switched on.
    pub async fn frame(&mut self) -> Frame {
        soon("a frame", self.next_frame()).await
    }

    /// The next frame, however long it takes.
    pub async fn next_frame(&mut self) -> Frame {
        let frame = loop {
            if let Some(frame) = self.parse() {
                break frame;
            }
            if self.read(READ_BYTES_MAX).await == 0 {
                return Frame::Ended;
            }
        };
        if let Frame::Ping(payload) = &frame {
            self.pings.push(String::from_utf8(payload.clone()).unwrap());
            if self.answers {
                self.pong(payload).await;
            }
        }
        frame
    }

    /// Takes the frame that the buffer begins with, if it is whole.
    fn parse(&mut self) -> Option<Frame> {
        let [first, second, ref rest @ ..] = self.buffer[..] else {
            return None;
        };
        assert_eq!(first & 0xf0, FIN, "a fragment, or reserved bits");
        assert_eq!(second & MASKED, 0, "a server's frame is not masked");
        let (len, header) = match second {
            126 => {
                let bytes = rest.get(..2)?.try_into().unwrap();
                (u64::from(u16::from_be_bytes(bytes)), 4)
            }
            127 => (u64::from_be_bytes(rest.get(..8)?.try_into().unwrap()), 10),
            len => (u64::from(len), 2),
        };
        let end = header + usize::try_from(len).unwrap();
        let payload = self.buffer.get(header..end)?.to_vec();
        let frame = match first & 0x0f {
            TEXT => Frame::Text(String::from_utf8(payload).unwrap()),
            PING => Frame::Ping(payload),
            PONG => Frame::Pong(payload),
            CLOSE if payload.is_empty() => Frame::Close(1005, String::new()),
            CLOSE => {
                let (code, reason) = payload.split_at(2);
                let code = u16::from_be_bytes(code.try_into().unwrap());
                Frame::Close(code, String::from_utf8(reason.to_vec()).unwrap())
            }
            opcode => panic!("a frame with opcode {opcode}"),
        };
        self.buffer.drain(..end);
        Some(frame)
    }

    /// Reads until a text frame `wanted` accepts; other text frames stay held.
    pub async fn find(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.held.iter().position(&wanted) {
            return self.held.remove(at).unwrap();
        }
        soon(what, async {
            loop {
                match self.next_frame().await {
                    Frame::Text(text) => match value(text) {
                        value if wanted(&value) => return value,
                        value => self.held.push_back(value),
                    },
                    Frame::Ping(_) | Frame::Pong(_) => {}
                    end => panic!("instead of {what}: {end:?}"),
                }
            }
        })
        .await
    }

    /// Waits for a `pong` to a `ping`: all frames sent before have been handled.
    pub async fn settle(&mut self) {
        self.text("ping").await;
        self.find("pong", |v| v == "pong").await;
    }

    /// What came and was not asked for; held no longer.
    pub fn take_held(&mut self) -> Vec<Value> {
        self.held.drain(..).collect()
    }
}

/// A text frame as JSON; `pong` as a string.
pub fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

//! A server's end of one WebSocket, spoken by hand (RFC 6455): what a library does on the wire.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::program::PATIENCE;

pub(crate) const TEXT: u8 = 1;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
const PONG: u8 = 10;

/// One connection, from its handshake on.
pub(crate) struct Peer {
    stream: TcpStream,
    /// The target that the client asked for, as it came.
    pub(crate) target: String,
}

impl Peer {
    /// The next client, once it is greeted.
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = timeout(PATIENCE, listener.accept())
            .await
            .expect("a client")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let key = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let accept = derive_accept_key(key.unwrap().1.as_bytes());
        let greeting = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let line = head.lines().next().unwrap();
        let target = line.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1");
        Self {
            stream,
            target: target.unwrap().to_owned(),
        }
    }

    /// Sends a short frame.
    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode, u8::try_from(payload.len()).unwrap()];
        frame.extend(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Sends a Close frame with this payload, and nothing after it.
    pub(crate) async fn close(&mut self, payload: &[u8]) {
        self.send(CLOSE, payload).await;
        self.stream.shutdown().await.unwrap();
    }

    /// Whether the Pong with this payload comes within that time.
    pub(crate) async fn is_answered(&mut self, ping: &[u8], within: Duration) -> bool {
        let answered = async {
            loop {
                let (opcode, payload) = self.frame().await;
                if opcode == PONG && payload == ping {
                    break;
                }
            }
        };
        timeout(within, answered).await.is_ok()
    }

    /// Of a client: a short one, masked. Nothing is lost where this is given up before it begins.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 6];
        self.stream.readable().await.unwrap();
        self.stream.read_exact(&mut start).await.unwrap();
        let [first, length, mask @ ..] = start;
        let mut payload = vec![0; usize::from(length & 0x7f)];
        self.stream.read_exact(&mut payload).await.unwrap();
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
        (first & 0x0f, payload)
    }
}

//! What a test does by hand over a [`Raw`] WebSocket: frames of every kind, receipts, waits for Pings.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::raw::{CLOSE, Frame, PING, Raw, frame, value};
use crate::support::{Login, Server, soon};

impl Raw {
    /// Over TLS, whatever the server then says to the login.
    pub async fn connect(server: &Server, login: &Login) -> Self {
        Self::open(server.stream().await, login).await
    }

    /// A session over TLS: the login was accepted.
    pub async fn login(server: &Server, login: &Login) -> Self {
        let mut raw = Self::connect(server, login).await;
        raw.settle().await;
        raw
    }

    /// On the plain listener, with next to no room for what it has not read.
    pub async fn narrow(server: &Server, login: &Login) -> Self {
        let address = server.plain.as_ref().expect("started with --plain");
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address: SocketAddr = address.parse().unwrap();
        let tcp = soon("a connection", socket.connect(address)).await;
        Self::open(Box::new(tcp.unwrap()), login).await
    }

    /// Writes these bytes one by one, each on its way before the next.
    pub async fn write_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write(&[*byte]).await;
        }
    }

    pub async fn send(&mut self, value: &Value) {
        self.text(&value.to_string()).await;
    }

    pub async fn ping(&mut self, payload: impl AsRef<[u8]>) {
        self.write(&frame(PING, payload.as_ref())).await;
    }

    /// A receipt of the application.
    pub async fn received(&mut self, id: u64) {
        self.send(&json!({ "received": id })).await;
    }

    pub async fn close(&mut self, code: u16) {
        self.write(&frame(CLOSE, &code.to_be_bytes())).await;
    }

    /// The next frame, or nothing within this time.
    pub async fn frame_within(&mut self, time: Duration) -> Option<Frame> {
        tokio::time::timeout(time, self.next_frame()).await.ok()
    }

    /// The next delivered message. Pings on the way to it are collected.
    pub async fn message(&mut self) -> Value {
        self.find("a message", is_message).await
    }

    /// The next `count` delivered messages.
    pub async fn messages(&mut self, count: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(self.message().await);
        }
        messages
    }

    /// The acknowledgement of `client_msg_id`.
    pub async fn ack(&mut self, client_msg_id: &str) -> Value {
        self.find("an acknowledgement", |v| v["ack"] == client_msg_id)
            .await
    }

    /// The next error message.
    pub async fn error(&mut self) -> Value {
        self.find("an error", |v| v["error"].is_object()).await
    }

    /// Reads up to a Ping with this payload, unless it has come already.
    pub async fn pinged(&mut self, payload: &str) {
        soon(&format!("a Ping {payload:?}"), async {
            while self.pings.last().is_none_or(|last| last != payload) {
                self.hold().await;
            }
        })
        .await;
    }

    /// The payload of the newest Ping read so far; waits for one where there was none.
    pub async fn asked(&mut self) -> String {
        soon("a Ping", async {
            while self.pings.is_empty() {
                self.hold().await;
            }
        })
        .await;
        self.pings.last().unwrap().clone()
    }

    /// Reads one frame and holds it, if it is a text.
    async fn hold(&mut self) {
        match self.next_frame().await {
            Frame::Text(text) => self.held.push_back(value(text)),
            Frame::Ping(_) | Frame::Pong(_) => {}
            end => panic!("the session ends: {end:?}"),
        }
    }

    /// Reads up to the Ping of this message and answers it, and those before it, as no other comes while
    /// one is under way; the server has handled it then.
    pub async fn confirm(&mut self, id: u64) {
        if let Some(asked) = self.pings.last().cloned() {
            self.pong(asked).await;
        }
        let answers = std::mem::replace(&mut self.answers, true);
        self.pinged(&id.to_string()).await;
        self.answers = answers;
        self.settle().await;
    }

    /// Reads up to the server's Close frame; its code and the time that it took. Texts before it
    /// stay held.
    pub async fn closed(&mut self) -> (u16, Duration) {
        let began = Instant::now();
        soon("a Close frame", async {
            loop {
                match self.next_frame().await {
                    Frame::Text(text) => self.held.push_back(value(text)),
                    Frame::Close(code, _) => return (code, began.elapsed()),
                    Frame::Ended => panic!("no Close frame"),
                    Frame::Ping(_) | Frame::Pong(_) => {}
                }
            }
        })
        .await
    }
}

/// Whether a text frame is a delivery.
pub fn is_message(value: &Value) -> bool {
    value["msgId"].is_u64() && value["fromId"].is_string()
}

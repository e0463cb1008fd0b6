//! A WebSocket client that reads all the time and remembers what came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::tls::Stream;
use super::{DEADLINE, soon};

#[derive(Debug)]
pub enum Event {
    Text(String),
    Close(u16, String),
    Ended(String),
}

/// One WebSocket. What it is not asked for yet, it holds, in order.
pub struct Client {
    sink: SplitSink<WebSocketStream<Stream>, Message>,
    events: mpsc::UnboundedReceiver<Event>,
    pub held: VecDeque<String>,
    reader: JoinHandle<()>,
    /// The last message that came, and the last that a Ping has named.
    delivered: u64,
    pinged: Arc<AtomicU64>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The `msgId` of a message, or zero.
fn id_of(text: &str) -> u64 {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    let id = message["fromId"].as_str().and(message["msgId"].as_u64());
    id.unwrap_or_default()
}

/// The `msgId` that a Ping carries, or zero.
fn id_of_ping(payload: &[u8]) -> u64 {
    let text = std::str::from_utf8(payload).unwrap_or_default();
    text.parse().unwrap_or_default()
}

static SENDS: AtomicU64 = AtomicU64::new(1);

impl Client {
    /// Upgrades the stream.
    pub async fn open(io: Stream, request: Request) -> Self {
        Self::answered(io, request).await.0
    }

    /// The same with the headers of the answer.
    pub async fn answered(io: Stream, request: Request) -> (Self, HeaderMap) {
        let opening = tokio_tungstenite::client_async(request, io);
        let (socket, answer) = soon("a WebSocket handshake", opening).await.unwrap();
        let (sink, mut source) = socket.split();
        let (events_in, events) = mpsc::unbounded_channel();
        let pinged = Arc::new(AtomicU64::new(0));
        let pings_in = pinged.clone();
        let reader = tokio::spawn(async move {
            loop {
                let event = match source.next().await {
                    Some(Ok(Message::Text(text))) => Event::Text(text.to_string()),
                    Some(Ok(Message::Close(frame))) => {
                        let frame = frame.map(|f| (f.code.into(), f.reason.to_string()));
                        let (code, reason) = frame.unwrap_or((1005, String::new()));
                        Event::Close(code, reason)
                    }
                    Some(Ok(Message::Ping(payload))) => {
                        // The library answers it.
                        pings_in.fetch_max(id_of_ping(&payload), Ordering::Relaxed);
                        continue;
                    }
                    Some(Ok(Message::Binary(_))) => Event::Ended("a binary frame came".into()),
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => Event::Ended(error.to_string()),
                    None => Event::Ended("closed".into()),
                };
                let ended = matches!(event, Event::Ended(_));
                if events_in.send(event).is_err() || ended {
                    break;
                }
            }
        });
        let client = Self {
            sink,
            events,
            held: VecDeque::new(),
            reader,
            delivered: 0,
            pinged,
        };
        (client, answer.headers().clone())
    }

    pub async fn event(&mut self, what: &str) -> Event {
        let event = soon(what, self.events.recv()).await;
        let event = event.unwrap_or_else(|| Event::Ended("ended before".into()));
        if let Event::Text(text) = &event {
            self.delivered = self.delivered.max(id_of(text));
        }
        event
    }

    /// Waits until the server has the receipts of everything that was delivered so far.
    pub async fn confirmed(&mut self) {
        let end = Instant::now() + DEADLINE;
        self.ready().await;
        while self.pinged.load(Ordering::Relaxed) < self.delivered {
            assert!(
                Instant::now() < end,
                "no Ping for what came: manual receipts?"
            );
            self.ready().await;
        }
        // The library sends its Pong at the latest with what is sent next.
        self.ready().await;
        self.ready().await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        let sent = soon("room to send", self.sink.send(message)).await;
        sent.unwrap();
    }

    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.send_raw(Message::text(text.into())).await;
    }

    /// Sends where the server may have closed already.
    pub async fn try_send_text(&mut self, text: &str) -> bool {
        soon("room to send", self.sink.send(Message::text(text)))
            .await
            .is_ok()
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    /// A plain text message, without an acknowledgement.
    pub async fn say(&mut self, to: &str, content: &str) {
        self.send(&json!({"toId": to, "type": 10, "content": content}))
            .await;
    }

    /// A text message that is durable when this returns; its `msgId`.
    pub async fn say_acked(&mut self, to: &str, content: &str) -> u64 {
        let id = format!("auto-{}", SENDS.fetch_add(1, Ordering::Relaxed));
        let frame = json!({"toId": to, "type": 10, "content": content, "clientMsgId": id});
        self.send(&frame).await;
        self.ack(&id).await["msgId"].as_u64().unwrap()
    }

    /// The next text frame that `wanted` accepts; the others stay held.
    pub async fn find(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let parse = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let held = self.held.iter().position(|text| wanted(&parse(text)));
        if let Some(text) = held.and_then(|at| self.held.remove(at)) {
            return parse(&text);
        }
        loop {
            match self.event(what).await {
                Event::Text(text) if wanted(&parse(&text)) => return parse(&text),
                Event::Text(text) => self.held.push_back(text),
                other => panic!("instead of {what}: {other:?}; held: {:?}", self.held),
            }
        }
    }

    /// The next delivered message.
    pub async fn message(&mut self) -> Value {
        self.find("a message", |v| {
            v["msgId"].is_u64() && v["fromId"].is_string()
        })
        .await
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

    /// The acknowledgement of `client_msg_id`, or the error that names it.
    pub async fn answer(&mut self, client_msg_id: &str) -> Value {
        self.find("an answer", |v| {
            v["ack"] == client_msg_id || v["error"]["clientMsgId"] == client_msg_id
        })
        .await
    }

    /// Waits for a `pong`: the login has been accepted and all frames before were handled.
    pub async fn ready(&mut self) {
        self.send_text("ping").await;
        loop {
            match self.event("pong").await {
                Event::Text(text) if text == "pong" => return,
                Event::Text(text) => self.held.push_back(text),
                other => panic!("instead of pong: {other:?}"),
            }
        }
    }

    /// The next text frame, or the code with which the server closes instead.
    pub async fn text_or_code(&mut self) -> Result<String, Option<u16>> {
        match self.event("a text or Close frame").await {
            Event::Text(text) => Ok(text),
            Event::Close(code, _) => Err(Some(code)),
            Event::Ended(_) => Err(None),
        }
    }

    /// Asserts that nothing has come that was not asked for.
    pub async fn nothing(&mut self) {
        self.ready().await;
        assert!(self.held.is_empty(), "unexpected: {:?}", self.held);
    }

    /// Reads up to the server's Close frame; its reason. Texts before it stay held.
    pub async fn closed(&mut self, wanted: u16) -> String {
        loop {
            match self.event("a Close frame").await {
                Event::Text(text) => self.held.push_back(text),
                Event::Close(code, reason) => {
                    assert_eq!(code, wanted, "{reason}");
                    return reason;
                }
                Event::Ended(why) => panic!("no Close frame with {wanted}: {why}"),
            }
        }
    }

    /// Closes; the texts that came up to the end and were not asked for.
    pub async fn rest(mut self) -> Vec<String> {
        self.send_raw(Message::Close(None)).await;
        loop {
            match self.event("the end").await {
                Event::Text(text) => self.held.push_back(text),
                Event::Close(..) => {}
                Event::Ended(_) => return std::mem::take(&mut self.held).into(),
            }
        }
    }

    /// Closes as a browser does once all that came is confirmed, and waits for the server's side.
    pub async fn close(mut self) {
        self.confirmed().await;
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        self.send_raw(Message::Close(Some(frame))).await;
        while !matches!(self.event("the end").await, Event::Ended(_)) {}
    }
}

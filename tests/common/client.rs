//! A WebSocket client that reads all the time and remembers what came.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::tls::Stream;
use super::{DEMO, PROJECT_TOKEN, soon};

/// Percent-encodes all but ASCII letters and digits.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// How the token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Query,
    Header,
    Subprotocol,
}

/// The parameters of a login.
#[derive(Debug, Clone)]
pub struct Login {
    id: String,
    name: String,
    domain: String,
    resource: String,
    token: String,
    way: Way,
    more: Vec<(&'static str, String)>,
}

impl Login {
    /// User `id` of the domain `demo`, on the resource `web`, by project token in the query.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            name: format!("Name of {id}"),
            domain: DEMO.into(),
            resource: "web".into(),
            token: PROJECT_TOKEN.into(),
            way: Way::Query,
            more: Vec::new(),
        }
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn domain(mut self, domain: &str) -> Self {
        self.domain = domain.into();
        self
    }

    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = resource.into();
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.token = token.into();
        self
    }

    pub fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// Another parameter of the query.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// `receipts=…`
    pub fn receipts(self, mode: &str) -> Self {
        self.with("receipts", mode)
    }

    /// `after=…`
    pub fn after(self, id: u64) -> Self {
        self.with("after", &id.to_string())
    }

    /// The parameters, encoded.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("id", encode(&self.id)),
            ("name", encode(&self.name)),
            ("domain", encode(&self.domain)),
            ("resource", encode(&self.resource)),
        ];
        if self.way == Way::Query {
            pairs.push(("token", encode(&self.token)));
        }
        pairs.extend(self.more.iter().map(|(name, value)| (*name, encode(value))));
        pairs
    }

    pub fn query(&self) -> String {
        let pairs = self.pairs();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join("&")
    }

    pub fn request(&self) -> Request {
        let mut request = upgrade_request(&self.query());
        let (name, value) = match self.way {
            Way::Query => return request,
            Way::Header => ("authorization", format!("Bearer {}", self.token)),
            Way::Subprotocol => (
                "sec-websocket-protocol",
                format!("relaybox, {}", self.token),
            ),
        };
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    }
}

/// An upgrade of `/ws` with this query, encoded already.
pub fn upgrade_request(query: &str) -> Request {
    let url = format!("wss://localhost/ws?{query}");
    url.into_client_request().unwrap()
}

#[derive(Debug)]
enum Event {
    Text(String),
    Close(u16, String),
    Ended(String),
}

/// One WebSocket. What it is not asked for yet, it holds, in order.
pub struct Client {
    sink: SplitSink<WebSocketStream<Stream>, Message>,
    events: mpsc::UnboundedReceiver<Event>,
    held: VecDeque<String>,
    reader: JoinHandle<()>,
    /// Headers of the answer to the upgrade.
    pub headers: HeaderMap,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

static SENDS: AtomicU64 = AtomicU64::new(1);

impl Client {
    /// Upgrades the stream.
    pub async fn open(io: Stream, request: Request) -> Self {
        let opening = tokio_tungstenite::client_async(request, io);
        let (socket, answer) = soon("a WebSocket handshake", opening).await.unwrap();
        let (sink, mut source) = socket.split();
        let (events_in, events) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            loop {
                let event = match source.next().await {
                    Some(Ok(Message::Text(text))) => Event::Text(text.to_string()),
                    Some(Ok(Message::Close(frame))) => {
                        let frame = frame.map(|f| (f.code.into(), f.reason.to_string()));
                        let (code, reason) = frame.unwrap_or((1005, String::new()));
                        Event::Close(code, reason)
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
        Self {
            sink,
            events,
            held: VecDeque::new(),
            reader,
            headers: answer.headers().clone(),
        }
    }

    async fn event(&mut self, what: &str) -> Event {
        let event = soon(what, self.events.recv()).await;
        event.unwrap_or_else(|| Event::Ended("ended before".into()))
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

    /// The next text frame.
    pub async fn text(&mut self) -> String {
        if let Some(text) = self.held.pop_front() {
            return text;
        }
        match self.event("a text frame").await {
            Event::Text(text) => text,
            other => panic!("instead of a text frame: {other:?}"),
        }
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

    /// The contents of the next `count` delivered messages.
    pub async fn contents(&mut self, count: usize) -> Vec<Value> {
        let mut contents = Vec::new();
        for _ in 0..count {
            contents.push(self.message().await["content"].take());
        }
        contents
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

    /// The next text frame, or nothing where the server closes instead.
    pub async fn text_or_close(&mut self) -> Option<String> {
        self.text_or_code().await.ok()
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

    /// Text frames that came and were not asked for.
    pub fn held(&self) -> &VecDeque<String> {
        &self.held
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

    /// Closes as a browser does, and waits for the server's side.
    pub async fn close(mut self) {
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        self.send_raw(Message::Close(Some(frame))).await;
        while !matches!(self.event("the end").await, Event::Ended(_)) {}
    }

    /// Waits until the connection is gone, however it ends.
    pub async fn gone(mut self) {
        while !matches!(self.event("the end").await, Event::Ended(_)) {}
    }
}

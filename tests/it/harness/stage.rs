//! A server with one sender, and the question that most tests of deliveries end with: what does
//! a device still lack?

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::raw::{Raw, text_frame};
use crate::support::{Client, Login, Options, Server};

/// Who sends in [`Stage`].
pub const SENDER: &str = "sender";

/// How many bytes of sends are written at once.
const FLOOD_BYTES: usize = 64 << 10;

/// A server and a session that writes to others.
pub struct Stage {
    pub server: Server,
    sender: Option<Client>,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(Options::new()).await
    }

    pub async fn with(options: Options) -> Self {
        Self::on(Server::with(options).await).await
    }

    pub async fn on(server: Server) -> Self {
        let sender = server.user(SENDER).await;
        Self {
            server,
            sender: Some(sender),
        }
    }

    /// The session that sends.
    pub fn sender(&mut self) -> &mut Client {
        self.sender.as_mut().unwrap()
    }

    /// Stops the server (SIGTERM), starts it again, and logs the sender in.
    pub async fn restart(&mut self) {
        self.sender = None;
        self.server.restart().await;
        self.sender = Some(self.server.user(SENDER).await);
    }

    /// A durable message; its `msgId`.
    pub async fn send(&mut self, to: &str, content: &str) -> u64 {
        self.sender().say_acked(to, content).await
    }

    /// Durable messages, one for each of `contents`; their `msgId`s.
    pub async fn send_each(&mut self, to: &str, contents: &[&str]) -> Vec<u64> {
        let mut ids = Vec::new();
        for content in contents {
            ids.push(self.send(to, content).await);
        }
        ids
    }

    /// A durable message for one resource; its `msgId`.
    pub async fn send_to(&mut self, to: &str, resource: &str, content: &str) -> u64 {
        let id = format!("to-{}", number());
        let sender = self.sender();
        sender
            .send(
                &json!({"toId": to, "toResource": resource, "type": 10, "content": content,
                "clientMsgId": id}),
            )
            .await;
        sender.ack(&id).await["msgId"].as_u64().unwrap()
    }

    /// Many messages with the contents `range`, durable when this returns.
    pub async fn flood(&self, to: &str, range: std::ops::Range<usize>) {
        flood(&self.server, to, range).await;
    }

    /// What a new session of this login gets before anything else, in full. It confirms nothing,
    /// so that the next one gets the same.
    pub async fn lacking(&mut self, user: &str, resource: &str, login: &Login) -> Vec<Value> {
        let mut raw = Raw::login(&self.server, login).await;
        let marker = format!("marker {}", number());
        self.send_to(user, resource, &marker).await;
        let mut lacking = Vec::new();
        let mut last = 0;
        loop {
            let message = raw.message().await;
            let id = message["msgId"].as_u64().unwrap();
            assert!(id > last, "{id} after {last}");
            last = id;
            if message["content"] == marker {
                assert_eq!(message["offline"], false, "{message}");
                return lacking;
            }
            assert_eq!(message["offline"], true, "{message}");
            let content = message["content"].as_str().unwrap_or_default();
            if !content.starts_with("marker ") {
                lacking.push(message);
            }
        }
    }

    /// A session on this resource that takes all it lacks and confirms it.
    pub async fn catch_up(&mut self, user: &str, resource: &str) {
        let login = Login::new(user).resource(resource);
        let mut raw = Raw::login(&self.server, &login).await;
        let last = self.send_to(user, resource, "marker of the end").await;
        raw.confirm(last).await;
    }

    /// Asserts that a new session of `user` on the resource `web` gets exactly these contents.
    #[track_caller]
    pub fn lacks<'a>(
        &'a mut self,
        user: &'a str,
        contents: &'a [&str],
    ) -> impl Future<Output = ()> + 'a {
        self.login_gets(user, "web", Login::new(user), contents)
    }

    /// Asserts that a new session of `user` on this resource gets exactly these contents.
    #[track_caller]
    pub fn device_lacks<'a>(
        &'a mut self,
        user: &'a str,
        resource: &'a str,
        contents: &'a [&str],
    ) -> impl Future<Output = ()> + 'a {
        let login = Login::new(user).resource(resource);
        self.login_gets(user, resource, login, contents)
    }

    /// Asserts that a new session by this login gets exactly these contents, all of them
    /// `offline`, and that those are asserted to be at the line of the caller.
    #[track_caller]
    pub fn login_gets<'a>(
        &'a mut self,
        user: &'a str,
        resource: &'a str,
        login: Login,
        contents: &'a [&str],
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let lacking = self.lacking(user, resource, &login).await;
            let lacking: Vec<_> = lacking.iter().map(|m| &m["content"]).collect();
            assert_eq!(lacking, contents, "{resource} of {user}, asked at {caller}");
        }
    }
}

/// A number of its own for each message and session that needs one.
fn number() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Sends the contents `range` to a user from a session of its own, as fast as the server takes
/// them; all are durable when this returns.
pub async fn flood(server: &Server, to: &str, range: std::ops::Range<usize>) {
    flood_with(server, to, range, |n| json!(n)).await;
}

/// As [`flood`], with the contents that `content` makes of the numbers.
pub async fn flood_with(
    server: &Server,
    to: &str,
    range: std::ops::Range<usize>,
    content: impl Fn(usize) -> Value,
) {
    let id = format!("flood-{}", number());
    let login = Login::new(SENDER).resource(&id);
    let mut raw = Raw::login(server, &login).await;
    let mut bytes = Vec::new();
    for n in range {
        let frame = json!({"toId": to, "type": 10, "content": content(n)});
        bytes.extend(text_frame(&frame.to_string()));
        if bytes.len() >= FLOOD_BYTES {
            raw.write(&bytes).await;
            bytes.clear();
        }
    }
    raw.write(&bytes).await;
    let frame = json!({"toId": "nobody", "type": 10, "content": "end", "clientMsgId": id});
    raw.send(&frame).await;
    raw.ack(&id).await;
}

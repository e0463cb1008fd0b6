//! A service without sockets, asked as [`Server`](crate::support::Server) is.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::{Request, header};
use relaybox::clock::ManualClock;
use relaybox::command::domains;
use relaybox::command::send::{self, Sender};
use relaybox::config::{self, FileText};
use relaybox::http::origin::Transport;
use relaybox::limits::Visitor;
use relaybox::model::{Device, Domain, Mailbox, Resource, UserId, UserName};
use relaybox::protocol::client_frame::{self, ClientFrame};
use relaybox::server::Embedded;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::http::Answer;
use crate::support::{DEMO, PROJECT_TOKEN, encode, soon};

/// A time in 2025.
const NOW_US: u64 = 1_764_000_000_000_000;

/// Between two sends: some are of one millisecond, and some are not.
const BETWEEN_SENDS_US: u64 = 700;

/// Of user tokens, where the test is not about it.
pub(crate) const TTL: Duration = Duration::from_secs(3600);

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The domain `demo` on a temporary directory, at a time that stands still.
pub(crate) struct Service {
    embedded: Embedded,
    pub(crate) clock: Arc<ManualClock>,
    secrets: Mutex<Vec<String>>,
    log: Log,
    _logging: DefaultGuard,
    _directory: tempfile::TempDir,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// `settings` is the text of a `relaybox.toml`.
    pub(crate) fn with(settings: &str) -> Self {
        let log = Log::default();
        let writer = log.clone();
        let logging = tracing_subscriber::fmt()
            .with_ansi(false)
            // The most that an operator would ever log.
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone());
        let logging = logging.finish().set_default();
        let directory = tempfile::tempdir().unwrap();
        let text = format!("token = [\"{DEMO}={PROJECT_TOKEN}\"]\n{settings}");
        let path = directory.path().join("relaybox.toml");
        let flags = [("data", vec![directory.path().to_str().unwrap().to_owned()])];
        let file = FileText { path, text };
        let loaded = config::resolve(&flags.into(), &[].into(), Some(&file), None).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let clock = Arc::new(ManualClock::new(NOW_US));
        let embedded = Embedded::open(&loaded.config, clock.clone()).unwrap();
        Self {
            embedded,
            clock,
            secrets: Mutex::new(vec![PROJECT_TOKEN.into()]),
            log,
            _logging: logging,
            _directory: directory,
        }
    }

    /// What this thread has logged, up to the start of another service in it. Other threads' lines are not here: the
    /// tests of the real server look at all of them.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap()).into_owned()
    }

    /// A text that must never be logged.
    pub(crate) fn secret(&self, text: &str) {
        self.secrets.lock().unwrap().push(text.into());
    }

    /// Adds a domain and gives its project token.
    pub(crate) fn add_domain(&self, name: &str) -> String {
        let token = self.embedded.domains.add(&domain(name)).unwrap();
        self.secret(&token);
        token
    }

    pub(crate) fn remove_domain(&self, name: &str) {
        self.embedded.domains.remove(&domain(name)).unwrap();
    }

    /// Mints a user token of the domain `demo`, for an hour.
    pub(crate) fn mint(&self, id: &str) -> String {
        self.mint_for(DEMO, id, TTL, false)
    }

    pub(crate) fn mint_for(&self, name: &str, id: &str, ttl: Duration, system: bool) -> String {
        let auth = self.embedded.domains.auth();
        let minted = domains::mint(auth, &domain(name), &user(id), None, ttl, system);
        let (token, _) = minted.unwrap();
        self.secret(&token);
        token
    }

    /// A text message of a session of `from` that is durable when this returns; its `msgId`.
    pub(crate) async fn say(&self, from: &str, to: &str, content: &str) -> u64 {
        self.clock.advance_us(BETWEEN_SENDS_US);
        let state = &self.embedded.state;
        let frame = json!({"toId": to, "type": 10, "content": content}).to_string();
        let frame = client_frame::parse(&frame, &state.settings.rules);
        let Ok(ClientFrame::Send(message)) = frame else {
            panic!("no message: {frame:?}");
        };
        let sender = Sender {
            device: Device {
                mailbox: Mailbox {
                    domain: domain(DEMO),
                    user: user(from),
                },
                resource: Resource::parse("web").unwrap(),
            },
            name: UserName::parse(&format!("Name of {from}")).unwrap(),
            may_system: true,
            is_trusted: true,
        };
        let (answer, answered) = oneshot::channel();
        send::send(state.send_path(), &sender, message, |outcome| {
            answer.send(outcome).unwrap();
        });
        let accepted = soon("the message to be durable", answered).await;
        accepted.unwrap().unwrap().ids[0].0
    }

    pub(crate) async fn get(&self, target: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("authorization", b.as_str()))
            .collect();
        self.request("GET", target, &headers).await
    }

    /// POSTs JSON with a bearer token.
    pub(crate) async fn post(&self, target: &str, token: &str, json: impl ToString) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        self.request_with("POST", target, &headers, json.to_string())
            .await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.request_with(method, target, headers, "").await
    }

    /// A request with a body.
    pub(crate) async fn request_with(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Answer {
        // A listener with TLS takes no proxy's word.
        let forwarded = headers.iter().any(|(name, _)| *name == "x-forwarded-for");
        let transport = if forwarded {
            Transport::Plain
        } else {
            Transport::Tls
        };
        self.request_over(transport, method, target, headers, body.into())
            .await
    }

    /// A GET as from the address without TLS.
    pub(crate) async fn get_plain(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.request_over(Transport::Plain, "GET", target, headers, String::new())
            .await
    }

    async fn request_over(
        &self,
        transport: Transport,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, "localhost");
        }
        if !body.is_empty() || method == "POST" {
            request = request.header(header::CONTENT_LENGTH, body.len());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        let visitor = self.visitor(headers);
        request.extensions_mut().insert(visitor);
        let answer = async {
            let answer = self
                .embedded
                .router(transport)
                .oneshot(request)
                .await
                .unwrap();
            let (head, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            (head, body)
        };
        let (head, body) = soon("an answer", answer).await;
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Somebody on this machine, or whom a trusted proxy there names.
    fn visitor(&self, headers: &[(&str, &str)]) -> Visitor {
        let peer = Visitor::direct(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let forwarded = headers
            .iter()
            .filter(|(name, _)| *name == "x-forwarded-for");
        let limits = &self.embedded.state.limits;
        limits.visitor(&peer, forwarded.map(|(_, value)| *value))
    }

    /// A page of the mailbox `to` in the domain `demo`, read by project token.
    pub(crate) async fn history(&self, to: &str, more: &str) -> Value {
        let target = format!("/message-log?domain={DEMO}&toId={}{more}", encode(to));
        let answer = self.get(&target, Some(PROJECT_TOKEN)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Everything in the mailbox `to` of the domain `demo`, oldest first. One page has it all.
    pub(crate) async fn mailbox(&self, to: &str) -> Vec<Value> {
        let answer = self.history(to, "&size=100&order=asc").await;
        let list = answer["list"].as_array().unwrap();
        assert_eq!(answer["total"], list.len());
        list.clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- the log of this thread:\n{log}");
            return;
        }
        self.embedded.state.store.writable().unwrap();
        for secret in self.secrets.lock().unwrap().iter() {
            assert!(
                !log.contains(secret.as_str()),
                "a token is in the log:\n{log}"
            );
        }
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

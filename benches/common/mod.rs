//! The server as a child process, so that only it is measured, and sessions of it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::request;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Handshakes under way at once.
const OPENING_MAX: usize = 32;
/// For opening one session, and for the server to start.
const DEADLINE: Duration = Duration::from_secs(30);
const TOKEN: &str = "bench-token";

pub type Session = WebSocketStream<TlsStream<TcpStream>>;

/// The server; killed on drop.
pub struct Server {
    child: Child,
    address: String,
    plain: Option<String>,
    connector: TlsConnector,
    _home: tempfile::TempDir,
}

/// One HTTP/1.1 connection.
pub struct Http(SendRequest<Full<Bytes>>);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A server for so many sessions.
    pub fn start(sessions: usize) -> Self {
        Self::start_with(sessions, &[])
    }

    /// The same with further flags.
    pub fn start_with(sessions: usize, flags: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        Self::with(home, &data, sessions, "demo", flags)
    }

    /// The same on a data directory that exists, with a token for this domain.
    pub fn on(data: &Path, sessions: usize, domain: &str) -> Self {
        Self::with(tempfile::tempdir().unwrap(), data, sessions, domain, &[])
    }

    fn with(
        home: tempfile::TempDir,
        data: &Path,
        sessions: usize,
        domain: &str,
        flags: &[&str],
    ) -> Self {
        let certs = home.path().join("certs");
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaybox"));
        // The settings of the benchmark are none of the server's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RELAYBOX_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--token", &format!("{domain}={TOKEN}")])
            .args(["--sessions-max", &(sessions + 100).to_string()])
            .arg("--data")
            .arg(data)
            .arg("--certs")
            .arg(&certs)
            .args(flags)
            .env("RELAYBOX_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let mut ready = |scheme: &str| {
            lines
                .find_map(|line| line.strip_prefix(scheme).map(str::to_owned))
                .expect("the server says that it is ready")
        };
        let address = ready("ready https://");
        let plain = flags.contains(&"--plain").then(|| ready("ready http://"));
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(certs.join("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            child,
            address,
            plain,
            connector: TlsConnector::from(Arc::new(config)),
            _home: home,
        }
    }

    /// Address and port of the TLS service.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Those without TLS, where `--plain` was among the flags.
    pub fn plain(&self) -> &str {
        self.plain.as_deref().expect("started with --plain")
    }

    /// What a client trusts that knows the server's certificate authority alone.
    pub fn client_config(&self) -> &Arc<ClientConfig> {
        self.connector.config()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// A login of `user-n` with further parameters, such as `&receipts=manual`.
    pub async fn connect(&self, n: usize, more: &str) -> Session {
        let query = format!("id=user-{n}&name=User+{n}&domain=demo&resource=web{more}");
        self.login(&query).await
    }

    /// A connection over TLS.
    pub async fn stream(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        self.connector.connect(name, tcp).await.unwrap()
    }

    /// A login by these parameters, and the token.
    pub async fn login(&self, query: &str) -> Session {
        let url = format!("wss://localhost/ws?{query}&token={TOKEN}");
        let opening = async {
            let tls = self.stream().await;
            // Small buffers on this side: a machine has to carry both.
            let config = WebSocketConfig::default().read_buffer_size(1024);
            let config = Some(config.write_buffer_size(0));
            let opened = tokio_tungstenite::client_async_with_config(url, tls, config).await;
            opened.unwrap().0
        };
        tokio::time::timeout(DEADLINE, opening).await.unwrap()
    }

    /// Takes so many messages, and confirms them; how many came.
    pub async fn drain(session: &mut Session, count: u64) -> u64 {
        let mut messages = 0;
        while messages < count {
            let frame = tokio::time::timeout(DEADLINE, session.next())
                .await
                .unwrap();
            messages += u64::from(matches!(frame, Some(Ok(Message::Text(_)))));
        }
        messages
    }

    /// A connection for requests.
    pub async fn http(&self) -> Http {
        let io = TokioIo::new(self.stream().await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Http(sender)
    }

    /// A session, logged in, of a user for whom nothing waits.
    pub async fn open(&self, n: usize, more: &str) -> Session {
        let mut session = self.connect(n, more).await;
        session.send(Message::text("ping")).await.unwrap();
        let answer = tokio::time::timeout(DEADLINE, session.next()).await;
        let answer = answer.unwrap().unwrap().unwrap();
        assert_eq!(answer, Message::text("pong"), "session {n}");
        session
    }

    /// Sessions of these users.
    pub async fn open_all(&self, range: std::ops::Range<usize>, more: &str) -> Vec<Session> {
        let opening = futures_util::stream::iter(range).map(|n| self.open(n, more));
        opening.buffer_unordered(OPENING_MAX).collect().await
    }

    /// Processor time that the server has used.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        // utime and stime, in ticks of 10 ms (proc_pid_stat(5)).
        let ticks: u64 = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(10 * ticks)
    }
}

impl Http {
    /// The JSON of a page that the token may read.
    pub async fn get(&mut self, target: &str) -> serde_json::Value {
        self.request(Request::get(target), Bytes::new()).await
    }

    /// POSTs JSON by the token; the answer's JSON.
    pub async fn post(&mut self, target: &str, json: &serde_json::Value) -> serde_json::Value {
        let head = Request::post(target).header("content-type", "application/json");
        self.request(head, json.to_string().into()).await
    }

    async fn request(&mut self, head: request::Builder, body: Bytes) -> serde_json::Value {
        let request = head
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::new(body))
            .unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}

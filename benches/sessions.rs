//! How much memory an idle session costs the server.
//!
//! Starts the server as a child process, opens idle TLS WebSocket sessions to it (5,000, or
//! the number given: `cargo bench --bench sessions -- 2000`) and reads the child's resident
//! memory before and after. The clients live in this process, so that only the server is
//! measured. Each side needs a file descriptor a session: `ulimit -n 20000`.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const SESSIONS: usize = 5_000;
const SESSIONS_MAX: usize = 100_000;
/// Sessions opened before the first reading, so that what is paid once is not counted.
const WARM_UP: usize = 50;
/// Handshakes under way at once.
const OPENING_MAX: usize = 32;
/// For opening one session, and for the server to start.
const DEADLINE: Duration = Duration::from_secs(30);
const TOKEN: &str = "bench-token";

type Session = WebSocketStream<TlsStream<TcpStream>>;

/// The server; killed on drop.
struct Server {
    child: Child,
    address: String,
    connector: TlsConnector,
    _home: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(sessions: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (data, certs) = (home.path().join("data"), home.path().join("certs"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_relaybox"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--token", &format!("demo={TOKEN}")])
            .args(["--sessions-max", &(sessions + 100).to_string()])
            .arg("--data")
            .arg(&data)
            .arg("--certs")
            .arg(&certs)
            .env("RELAYBOX_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ready https://").map(str::to_owned))
            .expect("the server says that it is ready");
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
            connector: TlsConnector::from(Arc::new(config)),
            _home: home,
        }
    }

    /// Resident memory in bytes.
    fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    async fn open(&self, n: usize) -> Session {
        let url = format!(
            "wss://localhost/ws?id=user-{n}&name=User+{n}&domain=demo&resource=web&token={TOKEN}"
        );
        let opening = async {
            let tcp = TcpStream::connect(&self.address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let tls = self.connector.connect(name, tcp).await.unwrap();
            // Small buffers on this side: a machine has to carry both.
            let config = WebSocketConfig::default().read_buffer_size(1024);
            let config = Some(config.write_buffer_size(0));
            let opened = tokio_tungstenite::client_async_with_config(url, tls, config).await;
            let (mut session, _) = opened.unwrap();
            // The answer shows that the login is done.
            session.send(Message::text("ping")).await.unwrap();
            let answer = session.next().await.unwrap().unwrap();
            assert_eq!(answer, Message::text("pong"), "session {n}");
            session
        };
        tokio::time::timeout(DEADLINE, opening).await.unwrap()
    }

    async fn open_all(&self, range: std::ops::Range<usize>) -> Vec<Session> {
        let opening = futures_util::stream::iter(range).map(|n| self.open(n));
        opening.buffer_unordered(OPENING_MAX).collect().await
    }

    /// The resident memory once it no longer changes, or after a few seconds.
    async fn settled(&self) -> u64 {
        let mut last = self.resident();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.resident();
            if now == last {
                break;
            }
            last = now;
        }
        last
    }
}

/// How many files a process may have open.
fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX)
}

#[tokio::main]
async fn main() {
    let given = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let wanted: usize = given.unwrap_or(SESSIONS).clamp(1, SESSIONS_MAX);
    let room = descriptors_max().saturating_sub(WARM_UP + 200);
    let sessions = wanted.min(room);
    if sessions < wanted {
        println!("{sessions} instead of {wanted}: raise the open-file limit (ulimit -n)");
    }
    let server = Server::start(sessions + WARM_UP);
    let started = server.resident();
    let warm = server.open_all(0..WARM_UP).await;
    let before = server.settled().await;
    let clock = Instant::now();
    let open = server.open_all(WARM_UP..WARM_UP + sessions).await;
    let took = clock.elapsed();
    let after = server.settled().await;
    println!("resident at the start      {:>12} bytes", started);
    println!("with {WARM_UP} sessions           {before:>12} bytes");
    println!("with {sessions} more          {after:>12} bytes");
    println!(
        "per idle session           {:>12} bytes",
        after.saturating_sub(before) / open.len() as u64
    );
    println!(
        "logins per second          {:>12.0}",
        open.len() as f64 / took.as_secs_f64()
    );
    drop((warm, open));
}

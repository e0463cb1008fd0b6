//! What a server does before it is ready: it answers that it is starting, and obeys.
//!
//! The file `VERSION` is a pipe here: the start stands still when it reads it, for as long as the test wants.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::bare::{Bare, free_port};
use crate::support::http::Answer;
use crate::support::{Client, Home, Login, Options, Server, until};

/// A data directory with one message, whose opening stands still.
struct Still {
    home: std::sync::Arc<Home>,
}

impl Still {
    async fn new() -> Self {
        let mut server = Server::start().await;
        let mut sender = server.user("u1").await;
        sender
            .send(&json!({"toId": "u2", "type": 10, "content": "before", "clientMsgId": "1"}))
            .await;
        sender.ack("1").await;
        server.stop().await;
        let still = Self {
            home: server.home.clone(),
        };
        still.stand_still();
        still
    }

    fn stand_still(&self) {
        let version = self.home.data().join("VERSION");
        std::fs::remove_file(&version).unwrap();
        mknodat(CWD, &version, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    /// Lets the opening that has come there go on.
    fn go_on(&self) {
        let mut version = std::fs::OpenOptions::new();
        let version = version.write(true).open(self.home.data().join("VERSION"));
        version.unwrap().write_all(b"1\n").unwrap();
    }

    /// Puts the file back.
    fn mend(&self) {
        std::fs::remove_file(self.home.data().join("VERSION")).unwrap();
        self.home.write("data/VERSION", "1\n");
    }

    /// A server that stands still, once it answers.
    async fn serve(&self, stderr: Stdio) -> Bare {
        let plain = free_port();
        let options = Options::new().args(&["--plain", &plain]);
        let mut command = self.home.serve_command(&options);
        let bare = Bare::spawn(command.stderr(stderr), plain);
        bare.says_yes("/healthz").await;
        bare
    }
}

/// Asks on a connection that stays open.
async fn ask_on(stream: &mut tokio::net::TcpStream, expected: &str) {
    let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    until("an answer", || {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let is_whole = text.contains(expected);
        assert!(is_whole || text.len() < 4096, "{text}");
        let mut piece = [0; 512];
        let read = stream.try_read(&mut piece).unwrap_or_default();
        answer.extend_from_slice(&piece[..read]);
        async move { is_whole.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_starts_answers_that_it_does_until_it_is_ready() {
    let still = Still::new().await;
    let mut bare = still.serve(Stdio::null()).await;
    assert_eq!(bare.get("/healthz").await, "ok\n");
    for (method, target) in [
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("GET", "/message-log?domain=demo&toId=u2"),
        ("DELETE", "/message-log?domain=demo&toId=u2"),
        ("POST", "/messages"),
        ("POST", "/ws"),
        ("POST", "/healthz"),
    ] {
        let answer = bare.ask(method, target).await;
        let detail = answer.problem(503);
        assert!(detail.starts_with("the server is starting"), "{detail}");
        assert_eq!(answer.json()["code"], "starting", "{method} {target}");
        assert_eq!(answer.header("retry-after"), "1", "{method} {target}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    assert_eq!(bare.ask("GET", "/ws").await.status, 426);
    let (stream, two) = (bare.stream().await, [("host", "a"), ("host", "b")]);
    let answer = Answer::of(Box::new(stream), "GET", "/healthz", &two).await;
    answer.problem(400);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let stream = Box::new(bare.stream().await);
        let mut client = Client::open(stream, Login::new("u2").request()).await;
        let reason = client.closed(1013).await;
        let pause = reason.strip_prefix("retry in ");
        let pause = pause.and_then(|rest| rest.strip_suffix(" ms: the server is starting"));
        let pause: u64 = pause.and_then(|ms| ms.parse().ok()).expect(&reason);
        assert!((1000..5000).contains(&pause), "{reason}");
        assert!(!pauses.contains(&pause), "they come back at once");
        pauses.push(pause);
    }
    // A connection that was made meanwhile is as good as any other.
    let mut early = bare.stream().await;
    ask_on(&mut early, "the server is starting").await;
    still.go_on();
    bare.says_yes("/readyz").await;
    ask_on(&mut early, "ready\n").await;
    let stream = Box::new(bare.stream().await);
    let mut client = Client::open(stream, Login::new("u2").request()).await;
    assert_eq!(client.message().await["content"], "before");
    let mut stdout = bare.child.stdout.take().unwrap();
    bare.ends().await;
    let mut said = String::new();
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said.matches("ready http").count(), 2, "{said}");
}

#[tokio::test]
async fn nothing_is_printed_before_it_is_ready_and_a_signal_ends_it_before() {
    let still = Still::new().await;
    for signal in [Signal::TERM, Signal::INT] {
        let mut bare = still.serve(Stdio::null()).await;
        // The connection of a client that just rests does not hold it up.
        let _resting = bare.stream().await;
        bare.signal(signal);
        let mut stdout = bare.child.stdout.take().unwrap();
        assert_eq!(bare.code().await, Some(0), "{signal:?}");
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }
    still.mend();
    let mut server = Server::at(still.home.clone(), Options::new()).await;
    assert_eq!(server.mailbox("u2").await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_reload_that_is_asked_for_meanwhile_comes_after() {
    let still = Still::new().await;
    let log = still.home.path("log");
    let bare = still
        .serve(std::fs::File::create(&log).unwrap().into())
        .await;
    bare.signal(Signal::HUP);
    still.go_on();
    until("the reload", || async {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("the settings have been read again")
            .then_some(())
    })
    .await;
    bare.ends().await;
}

#[tokio::test]
async fn ports_and_certificates_are_judged_before_the_store() {
    let still = Still::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for setting in ["--listen", "--plain", "--metrics-listen"] {
        let options = Options::new().without_defaults();
        let (data, certs) = (still.home.data(), still.home.certs());
        let (data, certs) = (data.to_str().unwrap(), certs.to_str().unwrap());
        let mut args = vec!["--data", data, "--certs", certs, setting, &taken];
        if setting != "--listen" {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        let outcome = still.home.serve_fails(&options.args(&args)).await;
        outcome.failure(1, &[&taken]);
    }
    still.home.write("certs/cert.pem", "no certificate");
    let outcome = still.home.serve_fails(&Options::new()).await;
    outcome.failure(1, &["cert.pem"]);
    // The directory that somebody else has is told of first.
    let other = Server::start().await;
    let address = other.address.clone();
    let again = Options::new().args(&["--listen", &address]);
    let data = other.home.data();
    let args = ["--data", data.to_str().unwrap(), "--certs", "nowhere"];
    let outcome = other
        .home
        .serve_fails(&again.without_defaults().args(&args))
        .await;
    outcome.failure(1, &["in use"]);
    assert!(!other.home.path("nowhere").exists(), "it made certificates");
}

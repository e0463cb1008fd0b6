//! One running server process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::Answer;
use super::tls::{self, Stream};
use super::{Client, DEADLINE, DEMO, Home, Login, PROJECT_TOKEN, soon, until, until_within};

/// Where the index panics.
const INDEX: &str = "sled-0.34";

/// What a server is started with.
#[derive(Clone)]
pub struct Options {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub file: Option<String>,
    /// Declare the domain `demo` with the token that tests know.
    pub declare: bool,
    /// Give `--data`, `--certs` and, where it is not among `args`, `--listen`.
    pub defaults: bool,
}

impl Options {
    pub fn new() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            file: None,
            declare: true,
            defaults: true,
        }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The text of `relaybox.toml` in the data directory.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.into());
        self
    }
}

#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<String>>);

impl Captured {
    fn read(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let text = self.0.clone();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                text.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        })
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// A server process on a home; killed on drop.
pub struct Server {
    pub home: Arc<Home>,
    /// Of the next start.
    pub options: Options,
    child: Option<Child>,
    readers: Vec<JoinHandle<()>>,
    pub stdout: Captured,
    stderr: Captured,
    secrets: Vec<String>,
    excused: bool,
    /// How long a start may take: an index of some size may have to be rebuilt.
    pub start_within: Duration,
    /// `127.0.0.1:PORT` of the TLS listener, empty where that is off, and of the plain one.
    pub address: String,
    pub plain: Option<String>,
}

impl Server {
    /// A fresh server with the domain `demo`.
    pub async fn start() -> Self {
        Self::with(Options::new()).await
    }

    pub async fn with(options: Options) -> Self {
        Self::at(Arc::new(Home::new()), options).await
    }

    pub async fn at(home: Arc<Home>, options: Options) -> Self {
        let mut server = Self::down(home, options);
        server.spawn().await;
        server
    }

    /// One that may refuse to start: its exit code and what it said then.
    pub async fn attempt(home: Arc<Home>, options: Options) -> Result<Self, (Option<i32>, String)> {
        let mut server = Self::down(home, options);
        match server.try_spawn().await {
            Ok(()) => Ok(server),
            Err(status) => {
                server.child = None;
                server.readers.drain(..).for_each(|r| r.join().unwrap());
                Err((status.code(), server.stderr()))
            }
        }
    }

    fn down(home: Arc<Home>, options: Options) -> Self {
        Self {
            home,
            options,
            child: None,
            readers: Vec::new(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            secrets: vec![PROJECT_TOKEN.into()],
            excused: false,
            start_within: DEADLINE,
            address: String::new(),
            plain: None,
        }
    }

    /// Starts the process again after it was stopped or killed.
    pub async fn spawn(&mut self) {
        if let Err(status) = self.try_spawn().await {
            panic!("ended at its start, {status}: {}", self.stderr.text());
        }
    }

    /// As [`Server::spawn`], by another command.
    pub async fn spawn_as(&mut self, command: Command) {
        if let Err(status) = self.try_spawn_as(command).await {
            panic!("ended at its start, {status}: {}", self.stderr.text());
        }
    }

    async fn try_spawn(&mut self) -> Result<(), ExitStatus> {
        self.try_spawn_as(self.home.serve_command(&self.options))
            .await
    }

    async fn try_spawn_as(&mut self, mut command: Command) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "the server still runs");
        let plain = self.options.args.iter().any(|arg| arg == "--plain");
        let is_off = |args: &[String]| args == ["--listen", "off"];
        let tls = !self.options.args.windows(2).any(is_off);
        let wanted = usize::from(tls) + usize::from(plain);
        self.stdout.0.lock().unwrap().clear();
        let mut child = command.spawn().unwrap();
        self.readers = vec![
            self.stdout.read(child.stdout.take().unwrap()),
            self.stderr.read(child.stderr.take().unwrap()),
        ];
        self.child = Some(child);
        let ready = until_within(self.start_within, "the ready line", || {
            let exited = self.exited();
            let out = self.stdout.text();
            let lines = out.lines().filter_map(|line| line.strip_prefix("ready "));
            let lines: Vec<_> = lines.map(|line| line.trim().to_owned()).collect();
            async move {
                match exited {
                    Some(status) => Some(Err(status)),
                    None => (lines.len() >= wanted).then_some(Ok(lines)),
                }
            }
        })
        .await?;
        for url in ready {
            if let Some(address) = url.strip_prefix("https://") {
                self.address = address.into();
            } else if let Some(address) = url.strip_prefix("http://") {
                self.plain = Some(address.into());
            }
        }
        Ok(())
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the process to end by itself; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let status = until("the end of the server", || {
            let status = self.exited();
            async move { status }
        })
        .await;
        self.child = None;
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status.code()
    }

    /// SIGTERM; asserts a clean end that leaves nothing behind.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let code = self.ended().await;
        assert_eq!(code, Some(0), "{}", self.stderr.text());
        let socket = self.home.data().join("relaybox.sock");
        assert!(!socket.exists(), "its socket is left behind");
    }

    /// SIGKILL, as the kernel or a power cut of the process would.
    pub async fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.spawn().await;
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A text that must never be logged.
    pub fn secret(&mut self, text: &str) {
        self.secrets.push(text.into());
    }

    /// A torn index may panic from now on: that is caught, and the index made anew.
    pub fn excuse_index(&mut self) {
        self.excused = true;
    }

    /// Runs a subcommand beside the server and gives its output.
    pub async fn cli(&self, args: &[&str]) -> String {
        self.home.cli(args).await.success()
    }

    /// Adds a domain and gives its project token.
    pub async fn add_domain(&mut self, name: &str) -> String {
        let token = self.cli(&["domain", "add", name]).await;
        assert!(
            !token.is_empty() && !token.contains(char::is_whitespace),
            "{token:?}"
        );
        self.secret(&token);
        token
    }

    /// Mints a user token of the domain `demo`.
    pub async fn mint(&mut self, id: &str, more: &[&str]) -> String {
        self.mint_for(DEMO, id, more).await
    }

    pub async fn mint_for(&mut self, domain: &str, id: &str, more: &[&str]) -> String {
        let mut args = vec!["token", "--domain", domain, "--id", id];
        args.extend(more);
        let token = self.cli(&args).await;
        assert_eq!(token.split('.').count(), 3, "no JWT: {token:?}");
        self.secret(&token);
        token
    }

    /// An encrypted stream that trusts only the generated CA; where TLS is off a bare one.
    pub async fn stream(&self) -> Stream {
        if self.address.is_empty() {
            let plain = self.plain.as_ref().unwrap();
            return Box::new(tokio::net::TcpStream::connect(plain).await.unwrap());
        }
        let roots = tls::roots(&self.home.ca());
        let tls = tls::connect(&self.address, "localhost", &roots, None);
        Box::new(soon("a TLS handshake", tls).await.unwrap())
    }

    /// A WebSocket, whatever the server then says to the login.
    pub async fn connect(&self, login: &Login) -> Client {
        Client::open(self.stream().await, login.request()).await
    }

    /// A session: the login was accepted.
    pub async fn login(&self, login: &Login) -> Client {
        let mut client = self.connect(login).await;
        client.ready().await;
        client
    }

    /// A session of this user, by project token and with the resource `web`.
    pub async fn user(&self, id: &str) -> Client {
        self.login(&Login::new(id)).await
    }

    /// A login that must be refused; the reason.
    pub async fn refused(&self, login: &Login, code: u16) -> String {
        self.connect(login).await.closed(code).await
    }

    pub async fn get(&self, target: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("authorization", b.as_str()))
            .collect();
        self.request("GET", target, &headers).await
    }

    pub async fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        Answer::of(self.stream().await, method, target, headers).await
    }

    /// POSTs JSON with a bearer token.
    pub async fn post(&self, target: &str, token: &str, json: impl ToString) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let stream = self.stream().await;
        Answer::to(stream, "POST", target, &headers, json.to_string()).await
    }

    /// A page of the mailbox `to` in the domain `demo`, read by project token.
    pub async fn history(&self, to: &str, more: &str) -> Value {
        let target = format!(
            "/message-log?domain={DEMO}&toId={}{more}",
            super::encode(to)
        );
        let answer = self.get(&target, Some(PROJECT_TOKEN)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Everything in the mailbox `to` of the domain `demo`, oldest first.
    pub async fn mailbox(&self, to: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        for page in 1..10_000 {
            let answer = self.history(to, &format!("&size=100&page={page}")).await;
            let list = answer["list"].as_array().unwrap();
            if list.is_empty() {
                assert_eq!(answer["total"], all.len());
                break;
            }
            all.extend(list.iter().cloned());
        }
        all.reverse();
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let exited = self.exited();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let log = self.stderr.text();
        if std::thread::panicking() {
            let mut tail: Vec<_> = log.lines().rev().take(60).collect();
            tail.reverse();
            let ended = exited.map_or(String::new(), |status| format!(" ({status})"));
            eprintln!("--- the server's log{ended} ends:\n{}", tail.join("\n"));
            return;
        }
        assert!(exited.is_none(), "it ended by itself, {exited:?}: {log}");
        let mut panics = log.lines().filter(|line| line.contains("panicked at"));
        let excused = |line: &str| self.excused && line.contains(INDEX);
        assert!(panics.all(excused), "{log}");
        for secret in &self.secrets {
            assert!(
                !log.contains(secret.as_str()),
                "a token is in the log:\n{log}"
            );
        }
    }
}

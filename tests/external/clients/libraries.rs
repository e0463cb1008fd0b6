//! What docs/CLIENTS.md says of libraries: whether they answer Pings while the app is busy, how they show a close, and
//! what they make of a space in the URL; and that the lines given for each of them work.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;

use super::language::Language;
use super::peer::{PING, Peer, TEXT};
use super::program::{PATIENCE, Program};
use super::tungstenite;
use crate::support::{DEMO, Login, Options, Server, until_within};

pub(crate) const DOCUMENT: &str = include_str!("../../../docs/CLIENTS.md");

/// The words of the table for who answers: while the handler blocks, and while only the next message is not asked for.
const ANSWERS: [(&str, [bool; 2]); 3] = [
    ("by itself", [true, true]),
    ("while the loop runs", [false, true]),
    ("while asked", [false, false]),
];

/// Long enough to see that no Pong comes; on a slow machine nothing fails that should not.
const NO_PONG_WITHIN: Duration = Duration::from_secs(1);

/// A library's row in the document, the probe's name for the library, and how it shows a close.
pub(crate) struct Row(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) &'static str,
);

pub(crate) const SHOWN: &str = "4401 the token has expired";

const PYTHON: [Row; 10] = [
    Row(
        "Python websockets, asyncio 17.4",
        "websockets_asyncio",
        SHOWN,
    ),
    Row("Python websockets, sync 17.4", "websockets_sync", SHOWN),
    Row(
        "websocket-client 1.9.2",
        "websocket_client",
        "without a code",
    ),
    Row("websocket-client 1.9.2", "websocket_client_app", SHOWN),
    Row("aiohttp 3.14.5", "aiohttp", "4401"),
    Row("tornado 6.6.1", "tornado", SHOWN),
    Row("httpx-ws, async 0.9.0", "httpx_ws", SHOWN),
    Row("httpx-ws, sync 0.9.0", "httpx_ws_sync", SHOWN),
    Row("trio-websocket 0.12.2", "trio_websocket", SHOWN),
    Row("picows 2.3.1", "picows", SHOWN),
];

const NODE: [Row; 4] = [
    Row("Node ws 8.23.0", "ws", SHOWN),
    Row("undici 7.30.2", "undici", SHOWN),
    Row("npm websocket 1.0.35", "websocket", SHOWN),
    Row("npm faye-websocket 0.11.4", "faye_websocket", SHOWN),
];

const JAVA: [Row; 1] = [Row("java.net.http, JDK 17", "java_net_http", SHOWN)];

impl Row {
    /// The cells of the document behind the name.
    fn cells(&self) -> Vec<&'static str> {
        let start = format!("| {} |", self.0);
        let mut rows = DOCUMENT.lines().filter_map(|row| row.strip_prefix(&start));
        let row = rows.next().unwrap_or_else(|| panic!("no row {start}"));
        row.split('|').map(str::trim).collect()
    }

    /// For each way to be busy whether Pings are answered.
    fn answers(&self) -> [bool; 2] {
        let cell = self.cells()[0];
        let mut known = ANSWERS.iter().filter(|(words, _)| cell.starts_with(words));
        known.next().unwrap_or_else(|| panic!("{cell}")).1
    }

    /// What it sends in place of a space, if anything.
    fn space(&self) -> Option<&'static str> {
        match self.cells()[2] {
            "refused" => None,
            "raw" => Some(" "),
            encoded => Some(encoded.trim_matches('`')),
        }
    }
}

pub(crate) async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws?name=", listener.local_addr().unwrap());
    (listener, url)
}

/// A close frame's payload (RFC 6455, 5.5.1).
pub(crate) fn expired() -> Vec<u8> {
    let code = 4401_u16.to_be_bytes();
    code.iter()
        .chain(b"the token has expired")
        .copied()
        .collect()
}

/// An app that is busy in this way with its first message, until the end.
async fn is_as_said(language: &Language, row: &Row, how: &str, answers: bool) {
    let (listener, url) = listener().await;
    let dir = tempfile::tempdir().unwrap();
    let name = row.space().map_or("Ann%20Lee", |_| "Ann Lee");
    let probe = language.probe(dir.path(), row.1, &format!("{url}{name}"), how);
    let Some(mut program) = probe else { return };
    let mut peer = Peer::accept(&listener).await;
    if let Some(space) = row.space() {
        assert_eq!(peer.target, format!("/ws?name=Ann{space}Lee"), "{}", row.1);
    }
    peer.send(TEXT, b"m1").await;
    program.prints("message m1").await;
    peer.send(TEXT, b"m2").await;
    peer.send(TEXT, b"m3").await;
    peer.send(PING, b"behind m3").await;
    let within = if answers { PATIENCE } else { NO_PONG_WITHIN };
    let is_answered = peer.is_answered(b"behind m3", within).await;
    assert_eq!(is_answered, answers, "{}, {how}", row.1);
    program.tell("go on");
    program.prints("message m3").await;
    assert!(
        answers || peer.is_answered(b"behind m3", PATIENCE).await,
        "{}",
        row.1
    );
    peer.close(&expired()).await;
    program.prints(&format!("closed {}", row.2)).await;
}

/// A URL with a space is turned down before anything is sent.
async fn is_refused(language: &Language, row: &Row) {
    let (listener, url) = listener().await;
    let dir = tempfile::tempdir().unwrap();
    let probe = language.probe(dir.path(), row.1, &format!("{url}Ann Lee"), "idle");
    let Some(mut program) = probe else { return };
    let sends = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        if stream.read(&mut [0]).await.unwrap_or(0) == 0 {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = program.ended() => {}
        () = sends => panic!("{} sends something", row.1),
    }
}

/// Of one library, the answers in both ways to be busy, the close and the URL.
pub(crate) async fn row_is_as_said(language: &Language, row: &Row) {
    let [blocked, idle] = row.answers();
    is_as_said(language, row, "blocked", blocked).await;
    is_as_said(language, row, "idle", idle).await;
    if row.space().is_none() {
        is_refused(language, row).await;
    }
}

async fn are_as_said(language: Option<Language>, rows: &[Row]) {
    let Some(language) = language else { return };
    for row in rows {
        row_is_as_said(&language, row).await;
    }
}

#[tokio::test]
async fn python_libraries_are_as_said() {
    are_as_said(Language::python(), &PYTHON).await;
}

#[tokio::test]
async fn node_libraries_are_as_said() {
    are_as_said(Language::node(), &NODE).await;
}

#[tokio::test]
async fn the_client_of_java_is_as_said() {
    are_as_said(Language::java(), &JAVA).await;
}

#[tokio::test]
async fn tokio_tungstenite_is_as_said() {
    let row = Row("tokio-tungstenite 0.30", "tokio_tungstenite", SHOWN);
    assert_eq!((row.answers(), row.space()), ([false, false], None));
    let (listener, url) = listener().await;
    assert!(connect_async(format!("{url}Ann Lee")).await.is_err());
    let connecting = async { connect_async(format!("{url}Ann")).await.unwrap() };
    let (mut peer, (mut socket, _)) = tokio::join!(Peer::accept(&listener), connecting);
    peer.send(TEXT, b"m1").await;
    socket.next().await.unwrap().unwrap();
    peer.send(PING, b"behind m1").await;
    assert!(!peer.is_answered(b"behind m1", NO_PONG_WITHIN).await);
    peer.close(&expired()).await;
    let mut last = None;
    while let Some(Ok(message)) = socket.next().await {
        last = Some(message);
    }
    let close = last.unwrap().to_text().unwrap().to_owned();
    assert_eq!(close, "the token has expired");
    assert!(peer.is_answered(b"behind m1", PATIENCE).await);
}

/// The code that the document gives for each library, by its heading.
fn lines_that_work(language: &str) -> Vec<(&'static str, String)> {
    let (_, part) = DOCUMENT.split_once("### Lines that work").unwrap();
    let blocks = part.split("\n#### ").skip(1).filter_map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        let code = rest.split_once(&format!("```{language}\n"))?.1;
        Some((name, code.split_once("```").unwrap().0.to_owned()))
    });
    let blocks: Vec<_> = blocks.collect();
    assert!(!blocks.is_empty(), "no lines for {language}");
    blocks
}

/// A server, a user's token, and the URL to log in with.
pub(crate) async fn scene() -> (Server, String) {
    let mut server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let token = server.mint("u2", &[]).await;
    (server, token)
}

pub(crate) fn query() -> String {
    format!("/ws?domain={DEMO}&id=u2&name=Bob&resource=bot&receipts=manual")
}

/// Waits until this user is there, or until it has confirmed everything.
pub(crate) async fn until_session(server: &Server, what: &str, is: impl Fn(&Value) -> bool) {
    until_within(PATIENCE, what, async || {
        let listed: Value =
            serde_json::from_str(&server.cli(&["sessions", "--json"]).await).unwrap();
        let listed = listed["list"].as_array().unwrap();
        listed
            .iter()
            .any(|session| session["id"] == "u2" && is(session))
            .then_some(())
    })
    .await;
}

/// The lines in that kind of fence, between a prologue that has `url` and `token` from the environment, and an epilogue.
pub(crate) async fn lines_work(language: &Language, fence: &str, [prologue, epilogue]: [&str; 2]) {
    for (library, code) in lines_that_work(fence) {
        let (server, token) = scene().await;
        let dir = tempfile::tempdir().unwrap();
        let mut command = language.command(dir.path(), &format!("{prologue}{code}{epilogue}"));
        command.env("URL", format!("wss://{}{}", server.address, query()));
        command.env("TOKEN", token);
        command.env("SSL_CERT_FILE", server.home.ca());
        command.env("NODE_EXTRA_CA_CERTS", server.home.ca());
        let program = Program::start(command);
        until_session(&server, library, |_| true).await;
        let mut author = server.login(&Login::new("u1")).await;
        for text in ["hello", "goodbye"] {
            author.say_acked("u2", text).await;
            program.prints(text).await;
        }
        until_session(&server, library, |session| session["unconfirmed"] == 0).await;
    }
}

#[tokio::test]
async fn the_lines_for_python_work() {
    let prologue = "import os; url, token = os.environ['URL'], os.environ['TOKEN']\n";
    if let Some(python) = Language::python() {
        lines_work(&python, "python", [prologue, ""]).await;
    }
}

#[tokio::test]
async fn the_lines_for_node_work() {
    let prologue = "const { URL: url, TOKEN: token } = process.env;\n";
    if let Some(node) = Language::node() {
        lines_work(&node, "js", [prologue, ""]).await;
    }
}

#[tokio::test]
async fn the_lines_for_rust_work() {
    let (server, token) = scene().await;
    let code = &lines_that_work("rust")[0].1;
    let indented: Vec<_> = code.lines().map(|line| format!("    {line}\n")).collect();
    let tested = include_str!("tungstenite.rs");
    assert!(
        tested.contains(&indented.concat()),
        "other lines are tested"
    );
    let url = format!("ws://{}{}", server.plain.as_ref().unwrap(), query());
    let listening = tokio::spawn(async move { tungstenite::listen(&url, &token).await });
    until_session(&server, "the login", |_| true).await;
    let mut author = server.login(&Login::new("u1")).await;
    author.say_acked("u2", "hello").await;
    until_session(&server, "the receipt", |session| {
        session["unconfirmed"] == 0
    })
    .await;
    server.cli(&["kick", "--domain", DEMO, "--id", "u2"]).await;
    listening.await.unwrap().unwrap();
}

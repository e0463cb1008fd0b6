//! `relaybox send` and `relaybox listen`: the client in the terminal, PROTOCOL section 8.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{DEADLINE, Home, Login, Options, Outcome, PROJECT_TOKEN, Raw, Server, soon};
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The client's command for a user, with the server's token.
fn client(server: &Server, command: &str, id: &str) -> Command {
    let url = format!("wss://localhost:{}", server.port());
    client_at(server, command, id, &url)
}

fn client_at(server: &Server, command: &str, id: &str, url: &str) -> Command {
    let args = [command, "--domain", "demo", "--id", id, "--url", url];
    let mut command = server.home.bare_command(args);
    command.env("RELAYBOX_CLIENT_TOKEN", PROJECT_TOKEN);
    command
}

async fn run(server: &Server, mut command: Command, args: &[&str]) -> Outcome {
    command.args(args);
    let outcome = server.home.run(command).await;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!said.contains(PROJECT_TOKEN), "a token is shown: {said}");
    outcome
}

/// Sends as `u1`; the ids of what was stored.
async fn send(server: &Server, args: &[&str]) -> Vec<u64> {
    let sent = run(server, client(server, "send", "u1"), args).await;
    let ids = sent.success();
    ids.lines().map(|id| id.parse().unwrap()).collect()
}

/// What `listen --count` prints, each line as JSON.
async fn messages(server: &Server, id: &str, count: usize, args: &[&str]) -> Vec<Value> {
    let count = count.to_string();
    let args = [&["--json", "--count", &count], args].concat();
    let listened = run(server, client(server, "listen", id), &args).await;
    let text = listened.success();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn contents(messages: &[Value]) -> Vec<&Value> {
    messages.iter().map(|message| &message["content"]).collect()
}

/// A `listen` that goes on until it is told to end.
struct Listening {
    child: Child,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Listening {
    fn spawn(mut command: Command, args: &[&str]) -> Self {
        command.args(args);
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            stdout: Some(stdout),
            stderr,
            said: String::new(),
        }
    }

    /// One that has logged in.
    async fn start(server: &Server, id: &str, args: &[&str]) -> Self {
        let mut listening = Self::spawn(client(server, "listen", id), args);
        listening.says("listening as").await;
        listening
    }

    /// Waits until standard error says it.
    async fn says(&mut self, words: &str) -> String {
        loop {
            let line = soon(words, self.stderr.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("no {words:?} in {:?}", self.said));
            self.said.push_str(&line);
            if line.contains(words) {
                return line;
            }
        }
    }

    async fn line(&mut self) -> String {
        let stdout = self.stdout.as_mut().unwrap();
        let line = soon("a message", stdout.next_line()).await.unwrap();
        line.expect("a message")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Its exit code, and all that it said on standard error.
    async fn ended(mut self) -> (Option<i32>, String) {
        let status = soon("the end of it", self.child.wait()).await.unwrap();
        let mut rest = String::new();
        let mut stderr = self.stderr.into_inner();
        stderr.read_to_string(&mut rest).await.unwrap();
        self.said.push_str(&rest);
        assert!(!self.said.contains(PROJECT_TOKEN), "{}", self.said);
        (status.code(), self.said)
    }
}

/// Has the server listen where it does now from its next start on.
fn stay(server: &mut Server) {
    let (data, certs) = (server.home.data(), server.home.certs());
    let places = [
        ("--listen", server.address.as_str()),
        ("--data", data.to_str().unwrap()),
        ("--certs", certs.to_str().unwrap()),
    ];
    let options = Options::new().without_defaults();
    let options = places.iter().fold(options, |options, (flag, value)| {
        options.args(&[flag, value])
    });
    server.change(options);
}

/// Stores more than a pipe holds, each message with its number; how many.
async fn fill(server: &Server, to: &str) -> usize {
    let mut sender = server.user("filler").await;
    let text = "x".repeat(8 * 1024);
    for number in 0..64 {
        sender.say_acked(to, &format!("{number} {text}")).await;
    }
    64
}

/// The number of such a message.
fn number(line: &str) -> usize {
    let message: Value = serde_json::from_str(line).unwrap();
    let content = message["content"].as_str().unwrap();
    content.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_sent_is_listened_to() {
    let server = Server::start().await;
    let mut listening = Listening::start(&server, "u2", &[]).await;
    let ids = send(&server, &["u2", "hello"]).await;
    let line = listening.line().await;
    assert!(line.ends_with("Z u1/cli-send: hello"), "{line}");

    // Neither its pages nor its terminal are moved by what others write.
    send(&server, &["u2", "\u{1b}[2J\nnext \u{9b}1m"]).await;
    let line = listening.line().await;
    assert!(line.ends_with(r": \u{1b}[2J\nnext \u{9b}1m"), "{line}");
    send(&server, &["u2", "{\"n\":\n1.0 }", "--json", "--type", "20"]).await;
    let line = listening.line().await;
    assert!(line.ends_with(r#": [20] {"n": 1.0 }"#), "{line}");
    listening.signal(Signal::INT);
    let (code, said) = listening.ended().await;
    assert_eq!(code, Some(0), "{said}");

    let stored = server.mailbox("u2").await;
    assert_eq!(stored[0]["msgId"], ids[0]);
    assert_eq!(stored[2]["content"], json!({"n": 1.0}));
    // It was confirmed, all of it: the device has nothing to get.
    let mut again = server.login(&Login::new("u2").resource("cli")).await;
    send(&server, &["u2", "the next"]).await;
    assert_eq!(again.contents(1).await, ["the next"]);
}

#[tokio::test]
async fn a_send_reaches_several_one_device_and_from_standard_input() {
    let server = Server::start().await;
    let ids = send(&server, &["u2", "for both", "--to", "u3"]).await;
    assert_eq!(ids.len(), 2);
    for (user, id) in [("u2", ids[0]), ("u3", ids[1])] {
        let stored = server.mailbox(user).await;
        assert_eq!(stored[0]["msgId"], id);
        assert_eq!(stored[0]["content"], "for both");
    }

    send(&server, &["u4", "for one", "--to-resource", "web"]).await;
    let mut other = server.login(&Login::new("u4").resource("phone")).await;
    let mut web = server.login(&Login::new("u4").resource("web")).await;
    assert_eq!(web.contents(1).await, ["for one"]);
    send(&server, &["u4", "for all"]).await;
    assert_eq!(other.contents(1).await, ["for all"]);

    for (text, args, content) in [
        ("a line\n", &["u5"][..], json!("a line")),
        ("two\n\n", &["u5", "-"], json!("two\n")),
        ("[1,\n2]\n", &["u5", "--json"], json!([1, 2])),
    ] {
        let mut command = client(&server, "send", "u1");
        let mut child = command.args(args).stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let stored = server.mailbox("u5").await;
        assert_eq!(stored.last().unwrap()["content"], content);
    }
}

#[tokio::test]
async fn a_repeated_send_is_stored_once() {
    let server = Server::start().await;
    let args = ["u2", "once", "--client-msg-id", "c-1"];
    let first = send(&server, &args).await;
    let repeat = run(&server, client(&server, "send", "u1"), &args).await;
    assert!(repeat.stderr.contains("stored before"), "{repeat:?}");
    assert_eq!(repeat.success(), first[0].to_string());
    assert_eq!(server.mailbox("u2").await.len(), 1);
}

#[tokio::test]
async fn sends_at_the_same_time_all_arrive() {
    let server = Server::start().await;
    let sends = (0..8).map(|number| {
        let text = number.to_string();
        let server = &server;
        async move { send(server, &["u2", &text]).await }
    });
    futures_util::future::join_all(sends).await;
    let stored = server.mailbox("u2").await;
    let mut texts: Vec<_> = contents(&stored).into_iter().cloned().collect();
    texts.sort_by_key(Value::to_string);
    let expected: Vec<_> = (0..8).map(|number| json!(number.to_string())).collect();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn who_was_away_listens_later_and_gets_each_message_once() {
    let server = Server::start().await;
    let ids = [
        send(&server, &["u2", "one"]).await[0],
        send(&server, &["u2", "two"]).await[0],
        send(&server, &["u2", "three"]).await[0],
    ];
    let first = messages(&server, "u2", 1, &[]).await;
    assert_eq!(contents(&first), ["one"]);
    assert_eq!(first[0]["offline"], true);
    let rest = messages(&server, "u2", 2, &[]).await;
    assert_eq!(contents(&rest), ["two", "three"]);
    // From wherever it says.
    let after = ids[0].to_string();
    let again = messages(&server, "u2", 2, &["--after", &after]).await;
    assert_eq!(contents(&again), ["two", "three"]);
    let all = messages(&server, "u2", 3, &["--after", "0"]).await;
    assert_eq!(contents(&all), ["one", "two", "three"]);
    // Sending shows the sender nothing, and confirms nothing of its own mailbox.
    send(&server, &["u1", "to myself"]).await;
    send(&server, &["u2", "four"]).await;
    assert_eq!(
        contents(&messages(&server, "u1", 1, &[]).await),
        ["to myself"]
    );
}

#[tokio::test]
async fn json_is_what_was_delivered() {
    let server = Server::start().await;
    let content = r#"{"n":1.00, "é":"\u00e9"}"#;
    send(&server, &["u2", content, "--json"]).await;
    let args = ["--json", "--count", "1"];
    let line = run(&server, client(&server, "listen", "u2"), &args).await;
    let line = line.success();
    assert!(line.contains(&format!("\"content\":{content},")), "{line}");
    let mut delivered = server.login(&Login::new("u2").after(0)).await;
    assert_eq!(delivered.text().await, line);
}

#[tokio::test]
async fn a_refusal_is_a_sentence_and_an_exit_code() {
    let server = Server::start().await;
    let token = |command: &str, token: &str| {
        let mut command = client(&server, command, "u2");
        command.env("RELAYBOX_CLIENT_TOKEN", token);
        command
    };
    for command in ["listen", "send"] {
        let args: &[&str] = if command == "send" { &["u1", "x"] } else { &[] };
        let outcome = run(&server, token(command, "wrong-3f9a"), args).await;
        outcome.failure(1, &["the token or the domain is unknown (4401)"]);
        assert!(!outcome.stderr.contains("wrong-3f9a"), "{outcome:?}");
        let outcome = run(&server, token(command, ""), args).await;
        outcome.failure(2, &["there is no token", "--token-file"]);
        let outcome = run(&server, client(&server, command, "system"), args).await;
        outcome.failure(1, &["reserved", "4400"]);
    }
    for (args, code, words) in [
        (&["u2", "x", "--type", "77"][..], 1, "`type` must be one of"),
        (&["u2", "x", "--to", "u2"], 1, "same recipient twice"),
        (&["u2", "{", "--json"], 2, "is not JSON"),
        (&["u2", "null", "--json"], 2, "must not be null"),
        (&["", "x"], 2, "must not be empty"),
        (&["u2", "x", "--ca", "nowhere.pem"], 1, "nowhere.pem"),
    ] {
        let outcome = run(&server, client(&server, "send", "u1"), args).await;
        outcome.failure(code, &[words]);
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
    let outcome = run(&server, client_at(&server, "listen", "u1", "ftp://a"), &[]).await;
    outcome.failure(2, &["(--url) must begin with wss://"]);
    assert!(server.mailbox("u2").await.is_empty());
}

#[tokio::test]
async fn the_token_comes_from_a_file_standard_input_or_a_login_url() {
    let mut server = Server::start().await;
    let token = server.mint("u2", &[]).await;
    let file = server.home.write("token", format!("{token}\n"));
    let bare = |args: &[&str]| {
        let mut command = client(&server, "send", "u2");
        command.env_remove("RELAYBOX_CLIENT_TOKEN").args(args);
        command
    };
    let from_file = bare(&["u3", "1", "--token-file", file.to_str().unwrap()]);
    server.home.run(from_file).await.success();
    let mut from_stdin = bare(&["u3", "2", "--token-file", "-"]);
    from_stdin.stdin(std::fs::File::open(&file).unwrap());
    server.home.run(from_stdin).await.success();
    let mut from_variable = bare(&["u3", "3"]);
    from_variable.env("RELAYBOX_CLIENT_TOKEN_FILE", &file);
    server.home.run(from_variable).await.success();
    let mut both = bare(&["u3", "--token-file", "-"]);
    both.stdin(std::fs::File::open(&file).unwrap());
    let both = server.home.run(both).await;
    both.failure(2, &["standard input holds the token"]);

    // As the first start prints it.
    let query = Login::new("u2").token(&token).query();
    let url = format!("wss://localhost:{}/ws?{query}", server.port());
    let mut command = server.home.bare_command(["send", "u3", "4"]);
    command.env("RELAYBOX_CLIENT_URL", url);
    server.home.run(command).await.success();
    let stored = server.mailbox("u3").await;
    assert_eq!(contents(&stored), ["1", "2", "3", "4"]);
    assert_eq!(stored[3]["fromResource"], "web");
}

#[tokio::test]
async fn a_user_token_says_who_sends_and_nothing_on_standard_input_is_no_message() {
    let mut server = Server::start().await;
    let token = server.mint("u1", &[]).await;
    let with = |token: &str, args: &[&str]| {
        let url = format!("wss://localhost:{}", server.port());
        let mut command = server.home.bare_command(["send", "--url", &url]);
        command.args(args).env("RELAYBOX_CLIENT_TOKEN", token);
        command
    };
    let sent = server.home.run(with(&token, &["u2", "hello"])).await;
    sent.success();
    let kept = server.mailbox("u2").await;
    assert_eq!(
        (&kept[0]["fromId"], &kept[0]["domain"]),
        (&json!("u1"), &json!("demo"))
    );
    // What is said counts, and a project token says nothing.
    let other = server
        .home
        .run(with(&token, &["--id", "u3", "u2", "hello"]))
        .await;
    other.failure(1, &["4403"]);
    let nobody = server.home.run(with(PROJECT_TOKEN, &["u2", "hello"])).await;
    nobody.failure(2, &["--id is missing"]);
    // The harness gives an empty standard input.
    for args in [&["u2"][..], &["u2", "-"]] {
        let empty = server.home.run(with(&token, args)).await;
        empty.failure(2, &["standard input holds no message"]);
    }
    server.home.run(with(&token, &["u2", ""])).await.success();
    assert_eq!(server.mailbox("u2").await.len(), 2);
}

#[tokio::test]
async fn only_a_server_that_is_vouched_for_gets_the_token() {
    let server = Server::start().await;
    // Elsewhere, the server's authority is neither beside nor known to the system.
    let elsewhere = Home::new();
    let strange = Server::at(Arc::new(Home::new()), Options::new()).await;
    let strange_ca = strange.home.ca();
    let strange_ca = strange_ca.to_str().unwrap();
    for args in [&[][..], &["--ca", strange_ca]] {
        for command in ["listen", "send"] {
            let mut command = client(&server, command, "u1");
            command.args(args).current_dir(elsewhere.path(""));
            if command.get_args().next().unwrap() == "send" {
                command.args(["u2", "x"]);
            }
            let outcome = elsewhere.run(command).await;
            outcome.failure(1, &["no authority that is trusted here", "--ca FILE"]);
        }
    }
    let ca = server.home.ca();
    let mut command = client(&server, "send", "u1");
    command.args(["u2", "x", "--ca", ca.to_str().unwrap()]);
    command.current_dir(elsewhere.path(""));
    elsewhere.run(command).await.success();

    // Vouched for, but as somebody else.
    let url = format!("wss://0.0.0.0:{}", server.port());
    let outcome = run(&server, client_at(&server, "listen", "u1", &url), &[]).await;
    outcome.failure(
        1,
        &["the certificate of 0.0.0.0 is made out to other names"],
    );
    assert_eq!(server.mailbox("u2").await.len(), 1);
}

#[tokio::test]
async fn a_plain_server_is_spoken_to_without_tls() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let url = format!("ws://{}", server.plain.as_ref().unwrap());
    let command = client_at(&server, "send", "u1", &url);
    run(&server, command, &["u2", "in plain"]).await.success();
    let outcome = run(
        &server,
        client_at(&server, "listen", "u1", &url),
        &["--ca", "x"],
    )
    .await;
    outcome.failure(2, &["--ca", "ws://"]);
    let url = format!("wss://{}", server.plain.as_ref().unwrap());
    let outcome = run(&server, client_at(&server, "listen", "u1", &url), &[]).await;
    outcome.failure(1, &["does not speak TLS", "ws://"]);
    assert_eq!(server.mailbox("u2").await.len(), 1);
}

#[tokio::test]
async fn a_listener_comes_back_after_a_restart_and_repeats_nothing() {
    let mut server = Server::start().await;
    stay(&mut server);
    let mut listening = Listening::start(&server, "u2", &["--json"]).await;
    send(&server, &["u2", "before"]).await;
    assert!(listening.line().await.contains("\"before\""));
    for (text, kill) in [("after a stop", false), ("after a kill", true)] {
        match kill {
            true => server.kill9().await,
            false => server.stop().await,
        }
        listening.says("; again in").await;
        server.spawn().await;
        listening.says("listening as").await;
        send(&server, &["u2", text]).await;
        let line = listening.line().await;
        assert!(line.contains(&format!("{text:?}")), "{line}");
    }
    // An end that is for good.
    let newer = server.login(&Login::new("u2").resource("cli")).await;
    let (code, said) = listening.ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("the server ended the session: replaced by a newer login"),
        "{said}"
    );
    drop(newer);
}

#[tokio::test]
async fn what_waits_for_a_reader_is_not_written_twice() {
    let mut server = Server::start().await;
    stay(&mut server);
    let count = fill(&server, "u2").await;
    let mut listening = Listening::start(&server, "u2", &["--json"]).await;
    let mut seen = vec![number(&listening.line().await)];
    // The pipe is full: most are delivered, not written, and not confirmed.
    server.kill9().await;
    listening.says("; again in").await;
    server.spawn().await;
    listening.says("listening as").await;
    while seen.len() < count {
        seen.push(number(&listening.line().await));
    }
    send(&server, &["u2", "next"]).await;
    assert!(listening.line().await.contains("\"next\""));
    assert_eq!(seen, (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_quiet_listener_stays() {
    let options = Options::new().args(&["--ping-interval", "1s"]);
    let server = Server::with(options).await;
    let mut listening = Listening::start(&server, "u2", &[]).await;
    // Who answers no ping is closed; it logged in later.
    let mut mute = Raw::login(&server, &Login::new("u3")).await;
    let (code, _) = mute.closed().await;
    assert_eq!(code, 1011);
    send(&server, &["u2", "still there?"]).await;
    assert!(listening.line().await.ends_with(": still there?"));
    listening.signal(Signal::TERM);
    let (code, said) = listening.ended().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("again in"), "{said}");
}

#[tokio::test]
async fn who_is_asked_to_come_back_later_does() {
    let options = Options::new().args(&["--sessions-per-user-max", "1"]);
    let server = Server::with(options).await;
    // The user has all the sessions that it may have.
    let (other, another) = (server.user("u1").await, server.user("u2").await);
    let args = ["u3", "late", "--timeout", "1s", "--client-msg-id", "c-1"];
    let outcome = run(&server, client(&server, "send", "u1"), &args).await;
    outcome.failure(1, &["no acknowledgement within 1s", "--client-msg-id c-1"]);
    let mut listening = Listening::spawn(client(&server, "listen", "u2"), &[]);
    let said = listening.says("; again in").await;
    assert!(
        said.contains("sessions already") && said.contains("(4529)"),
        "{said}"
    );
    drop((other, another));
    listening.says("listening as").await;
    send(&server, &["u3", "at last"]).await;
    assert_eq!(contents(&server.mailbox("u3").await), ["at last"]);
}

/// A server, or what stands before one, that closes each session with this code once it got a text; how many
/// sessions it has had.
async fn closing_with(code: u16, reason: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let sessions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sessions);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut socket = accept_async(stream).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            while !matches!(socket.next().await, Some(Ok(Message::Text(_))) | None) {}
            let frame = CloseFrame {
                code: code.into(),
                reason: reason.into(),
            };
            let _ = socket.close(Some(frame)).await;
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    (url, sessions)
}

#[tokio::test]
async fn what_the_server_does_not_take_is_not_sent_again() {
    let server = Server::with(Options::new().args(&["--content-bytes-max", "2000"])).await;
    // Too large to be stored, and too large to be read.
    for bytes in [2000, 100_000] {
        let args = ["u2", &"x".repeat(bytes), "--timeout", "1h"];
        let outcome = run(&server, client(&server, "send", "u1"), &args).await;
        outcome.failure(1, &["the server refused the message", "at most 2000 bytes"]);
    }
    // Each line's end is two bytes of JSON.
    let longest = server.home.write("text", "\n".repeat(5 << 20));
    let binary = server.home.write("binary", b"\xff");
    for (file, words) in [
        (longest, "longer than any server takes"),
        (binary, "is not UTF-8"),
    ] {
        let mut command = client(&server, "send", "u1");
        command.stdin(std::fs::File::open(file).unwrap());
        let outcome = run(&server, command, &["u2"]).await;
        outcome.failure(2, &[words]);
    }
    for code in [1002, 1003, 1007, 1009] {
        let (url, sessions) = closing_with(code, "that one").await;
        let command = client_at(&server, "send", "u1", &url);
        let outcome = run(&server, command, &["u2", "x", "--timeout", "1h"]).await;
        let words = format!("that one ({code})");
        outcome.failure(1, &["the server does not take the message", &words]);
        assert_eq!(sessions.load(Ordering::Relaxed), 1, "{code}");
    }
    assert!(server.mailbox("u2").await.is_empty());
}

#[tokio::test]
async fn a_send_that_was_in_vain_says_why() {
    let server = Server::start().await;
    let (url, _) = closing_with(1011, "out of order").await;
    let command = client_at(&server, "send", "u1", &url);
    let args = ["u2", "x", "--timeout", "5s", "--client-msg-id", "c-1"];
    let outcome = run(&server, command, &args).await;
    let words = [
        "no acknowledgement within 5s",
        "out of order (1011)",
        "--client-msg-id c-1",
    ];
    outcome.failure(1, &words);
}

#[tokio::test]
async fn a_large_message_may_take_long_to_leave() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let peer = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        // A small frame would have been given up by then.
        tokio::time::sleep(Duration::from_secs(12)).await;
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let frame: Value = serde_json::from_str(&text).unwrap();
        let ack = json!({"ack": frame["clientMsgId"], "msgId": 7, "sendAt": 0, "duplicate": false});
        socket.send(Message::text(ack.to_string())).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    };
    // More than the sockets' buffers hold.
    let file = server.home.write("text", "x".repeat(8_000_000));
    let mut command = client_at(&server, "send", "u1", &url);
    command.args(["u2", "--timeout", "10m"]);
    command.stdin(std::fs::File::open(file).unwrap());
    let mut command = tokio::process::Command::from(command);
    let sending = async { tokio::join!(command.kill_on_drop(true).output(), peer) };
    let sent = tokio::time::timeout(6 * DEADLINE, sending).await;
    let (output, ()) = sent.expect("it is sent in one go");
    assert_eq!(output.unwrap().stdout, b"7\n");
}

#[tokio::test]
async fn a_broken_pipe_loses_nothing() {
    let server = Server::start().await;
    let mut listening = Listening::start(&server, "u2", &["--json"]).await;
    send(&server, &["u2", "read"]).await;
    assert!(listening.line().await.contains("\"read\""));
    drop(listening.stdout.take());
    send(&server, &["u2", "unread"]).await;
    let (code, said) = listening.ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("standard output cannot be written"), "{said}");
    send(&server, &["u2", "later"]).await;
    let rest = messages(&server, "u2", 2, &[]).await;
    assert_eq!(contents(&rest), ["unread", "later"]);
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_nothing_and_can_be_left() {
    let server = Server::start().await;
    let count = fill(&server, "u2").await;
    let mut listening = Listening::start(&server, "u2", &["--json"]).await;
    let read = listening.line().await;
    assert!(read.contains("\"0 x"), "{read}");
    listening.signal(Signal::TERM);
    // It stays unread: the pipe is full.
    let stdout = listening.stdout.take();
    let (code, said) = listening.ended().await;
    assert_eq!(code, Some(0), "{said}");
    let mut got = 0;
    let mut lines = stdout.unwrap();
    // The last line may be cut; it is then delivered again.
    while let Some(line) = lines.next_line().await.unwrap() {
        got += usize::from(serde_json::from_str::<Value>(&line).is_ok());
    }
    let rest = messages(&server, "u2", 1, &[]).await;
    let next = number(&rest[0].to_string());
    assert!(next <= got + 1, "{next} follows {got}");
    assert!(got < count, "the pipe took it all: nothing was tested");
}

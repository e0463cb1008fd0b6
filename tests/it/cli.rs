//! Commands on a running and on a stopped server, and its end: PROTOCOL section 8.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::http::Answer;
use crate::support::login::upgrade_request;
use crate::support::{Client, Home, Login, Options, PROJECT_TOKEN, Server};
use rustix::process::{Pid, Signal, kill_process};

/// The domains that `list` shows: the first word of each line.
fn listed(text: &str, name: &str) -> bool {
    text.lines()
        .any(|line| line.split_whitespace().next() == Some(name))
}

/// The line behind the one that begins so.
fn line_after<'a>(text: &'a str, start: &str) -> &'a str {
    let mut lines = text.lines().map(str::trim);
    let found = lines.any(|line| line.starts_with(start));
    assert!(found, "no {start:?} in {text}");
    lines.next().unwrap()
}

#[tokio::test]
async fn a_first_start_gives_a_login_url_once() {
    let mut server = Server::with(Options::new().undeclared()).await;
    let stdout = server.stdout();
    let url = stdout
        .split_whitespace()
        .find(|word| word.starts_with("wss://"));
    let url = url.unwrap_or_else(|| panic!("no login URL: {stdout}"));
    let (_, query) = url.split_once("/ws?").unwrap();
    let (_, token) = query.split_once("token=").unwrap();
    let token = token.split('&').next().unwrap().to_owned();
    server.secret(&token);
    assert!(url.contains(&format!(":{}/", server.port())), "{url}");
    // The token also stands by itself, and all of it comes before `ready`.
    let words = stdout.split_whitespace().filter(|word| *word == token);
    assert_eq!(words.count(), 1, "{stdout}");
    let ready = stdout.find("ready https://").unwrap();
    assert!(stdout.rfind(&token).unwrap() < ready, "{stdout}");

    // As it is printed, it logs in.
    let query = query.to_owned();
    let mut client = Client::open(server.stream().await, upgrade_request(&query)).await;
    client.ready().await;
    drop(client);

    let console = format!("Console: https://{address}/\n", address = server.address);
    assert!(stdout.contains(&console), "{stdout}");
    let ca = server.home.ca();
    assert!(stdout.contains(&format!("trust {}\n", ca.display())));
    let command = line_after(&stdout, "A token for a user");
    let words: Vec<_> = command.split(' ').skip(1).collect();
    let token = server.home.cli_bare(&words).await.success();
    server.secret(&token);
    server.login(&Login::new("u1").token(&token)).await;

    server.restart().await;
    let lines: Vec<_> = server.stdout().lines().map(str::to_owned).collect();
    assert_eq!(lines, [format!("ready https://{}", server.address)]);
    let mut client = Client::open(server.stream().await, upgrade_request(&query)).await;
    client.ready().await;
}

/// As systemd does.
const TO_THE_JOURNAL: &str =
    "exec 3>&1; export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/3); exec 3>&-; exec \"$@\"";

#[tokio::test]
async fn a_first_start_shows_no_journal_the_project_token() {
    let home = Home::new();
    let serve = home.serve_command(&Options::new().undeclared());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", TO_THE_JOURNAL, "sh"])
        .arg(serve.get_program());
    shell
        .args(serve.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let shown = BufReader::new(child.stdout.take().unwrap()).lines();
    let shown: Vec<_> = shown
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("ready "))
        .collect();
    let shown = shown.join("\n");
    let command = line_after(&shown, "The domain demo was made. A project token");
    let words: Vec<_> = command.split(' ').skip(1).collect();
    let token = home.cli_bare(&words).await.success();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait().unwrap();
    assert!(
        token.starts_with("rb_") && !shown.contains("rb_"),
        "{shown}"
    );
    assert!(line_after(&shown, "Log in as u1").starts_with("wss://"));
}

#[tokio::test]
async fn a_declared_domain_makes_no_other() {
    let server = Server::start().await;
    let stdout = server.stdout();
    assert_eq!(stdout.trim(), format!("ready https://{}", server.address));
    let list = server.cli(&["domain", "list"]).await;
    assert!(listed(&list, "demo"), "{list}");
    assert!(!list.contains(PROJECT_TOKEN), "{list}");
}

#[tokio::test]
async fn domains_are_managed_while_the_server_runs() {
    let mut server = Server::start().await;
    let token = server.add_domain("acme").await;
    server
        .login(&Login::new("u1").domain("acme").token(&token))
        .await;
    let list = server.cli(&["domain", "list"]).await;
    assert!(listed(&list, "acme") && listed(&list, "demo"), "{list}");
    assert!(!list.contains(&token), "{list}");

    let again = server.home.cli(&["domain", "add", "acme"]).await;
    again.failure(1, &["acme"]);
    server
        .login(&Login::new("u1").domain("acme").token(&token))
        .await;
    server
        .home
        .cli(&["domain", "remove", "nowhere", "--yes"])
        .await
        .failure(1, &["nowhere"]);
    server
        .home
        .cli(&["domain", "rotate", "nowhere"])
        .await
        .failure(1, &["nowhere"]);
    let minted = server
        .home
        .cli(&["token", "--domain", "nowhere", "--id", "u1"])
        .await;
    minted.failure(1, &["nowhere"]);

    // Without a terminal to ask on, nothing is removed that was not said twice.
    let unasked = server.home.cli(&["domain", "remove", "acme"]).await;
    assert_ne!(unasked.code, Some(0), "{unasked:?}");
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    server
        .login(&Login::new("u1").domain("acme").token(&token))
        .await;
    server.cli(&["domain", "remove", "acme", "--yes"]).await;
    assert!(!listed(&server.cli(&["domain", "list"]).await, "acme"));
}

#[tokio::test]
async fn domains_are_managed_while_the_server_is_stopped() {
    let mut server = Server::start().await;
    let removed = server.add_domain("removed").await;
    let rotated = server.add_domain("rotated").await;
    server.stop().await;

    let added = server.add_domain("added").await;
    let renewed = server.cli(&["domain", "rotate", "rotated"]).await;
    server.secret(&renewed);
    server.cli(&["domain", "remove", "removed", "--yes"]).await;
    let user = server.mint_for("added", "u1", &[]).await;
    let list = server.cli(&["domain", "list"]).await;
    assert!(listed(&list, "added") && listed(&list, "rotated") && !listed(&list, "removed"));

    server.spawn().await;
    let login = |domain: &str, token: &str| Login::new("u1").domain(domain).token(token);
    server.login(&login("added", &added)).await;
    server
        .login(&login("added", &user).resource("by-user-token"))
        .await;
    server.login(&login("rotated", &renewed)).await;
    server.refused(&login("rotated", &rotated), 4401).await;
    server.refused(&login("removed", &removed), 4401).await;
}

#[tokio::test]
async fn a_stopped_server_s_declared_tokens_are_told() {
    let home = Home::new();
    home.cli(&["domain", "add", "shop"]).await.success();
    home.write("data/relaybox.toml", "token = [\"shop=declared-4b1d\"]\n");
    let list = home.cli(&["domain", "list"]).await.success();
    assert!(list.contains("declared"), "{list}");
    for args in [["rotate", "shop"].as_slice(), &["remove", "shop", "--yes"]] {
        let outcome = home.cli(&[&["domain"], args].concat()).await;
        assert!(outcome.stderr.contains("next start"), "{outcome:?}");
        assert!(!outcome.stderr.contains("declared-4b1d"), "{outcome:?}");
    }
}

#[tokio::test]
async fn domains_outlive_a_kill() {
    let mut server = Server::start().await;
    let token = server.add_domain("acme").await;
    let user = server.mint_for("acme", "u1", &[]).await;
    server.kill9().await;
    server.spawn().await;
    server
        .login(&Login::new("u1").domain("acme").token(&token))
        .await;
    server
        .login(&Login::new("u1").domain("acme").token(&user).resource("x"))
        .await;
}

#[tokio::test]
async fn a_stopped_server_is_managed_before_its_first_start() {
    let home = Arc::new(Home::new());
    let token = home.cli(&["domain", "add", "acme"]).await.success();
    let server = Server::at(home, Options::new().undeclared()).await;
    // There is a domain already: no `demo` is made.
    assert_eq!(server.stdout().lines().count(), 1, "{}", server.stdout());
    server
        .login(&Login::new("u1").domain("acme").token(&token))
        .await;
    server.refused(&Login::new("u1"), 4401).await;
}

#[tokio::test]
async fn bad_names_and_times_are_refused() {
    let server = Server::start().await;
    let long = "x".repeat(254);
    let cases: &[&[&str]] = &[
        &["domain", "add", ""],
        &["domain", "add", &long],
        &["domain", "add", "a\nb"],
        &["domain", "add"],
        &["domain", "rotate", "demo", "--grace", "soon"],
        &["domain"],
        &["token", "--domain", "demo", "--id", ""],
        &["token", "--domain", "demo", "--id", "a\tb"],
        &["token", "--domain", "demo", "--id", "system"],
        &["token", "--domain", "demo", "--id", "u1", "--ttl", "31days"],
        &["token", "--domain", "demo", "--id", "u1", "--ttl", "x"],
        &["token", "--domain", "demo", "--id", "u1", "--cap", "fly"],
        &["token", "--domain", "demo"],
    ];
    for args in cases {
        let outcome = server.home.cli(args).await;
        assert!(matches!(outcome.code, Some(1 | 2)), "{args:?}: {outcome:?}");
        assert!(!outcome.stderr.trim().is_empty(), "{args:?}");
        assert!(outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_signal_closes_sessions_and_ends_it_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start().await;
        let mut one = server.user("u1").await;
        let mut two = server.user("u2").await;
        one.say_acked("u3", "kept").await;
        server.signal(signal);
        one.closed(1001).await;
        two.closed(1001).await;
        assert_eq!(
            server.ended().await,
            Some(0),
            "{signal:?}: {}",
            server.stderr()
        );
        drop((one, two));
        server.spawn().await;
        assert_eq!(server.history("u3", "").await["total"], 1);
    }
}

#[tokio::test]
async fn it_ends_also_with_clients_that_do_not_answer() {
    let mut server = Server::start().await;
    // Connections in every state; none of them reads or writes any more.
    let raw = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    let encrypted = server.stream().await;
    let session = server.user("u1").await;
    server.stop().await;
    drop((raw, encrypted, session));
}

#[tokio::test]
async fn help_tells_the_commands_and_flags() {
    let home = Home::new();
    let help = home.run(home.bare_command(["--help"])).await.success();
    for word in ["serve", "domain", "token"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let help = home
        .run(home.bare_command(["serve", "--help"]))
        .await
        .success();
    for flag in [
        "--listen", "--plain", "--data", "--certs", "--host", "--token", "--config",
    ] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    for args in [
        &["domain", "--help"][..],
        &["token", "--help"],
        &["domain", "add", "--help"],
    ] {
        home.run(home.bare_command(args)).await.success();
    }
    assert!(
        !home.data().exists(),
        "asking for help made a data directory"
    );
}

#[tokio::test]
async fn plain_serves_the_same_without_tls() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let plain = server.plain.clone().unwrap();
    let connect = || async { Box::new(tokio::net::TcpStream::connect(&plain).await.unwrap()) };
    let mut client = Client::open(connect().await, Login::new("u1").request()).await;
    client.ready().await;
    let mut encrypted = server.user("u2").await;
    encrypted.say("u1", "across").await;
    assert_eq!(client.contents(1).await, ["across"]);
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let target = "/message-log?domain=demo&toId=u1";
    let headers = [("authorization", bearer.as_str())];
    let answer = Answer::of(connect().await, "GET", target, &headers).await;
    assert_eq!(answer.json()["total"], 1);
}

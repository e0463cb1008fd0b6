//! Tokens: in settings, on the command line, in URLs, requests and orders, rightly and wrongly.

use std::fmt::{Debug, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use relaybox::auth::Auth;
use relaybox::client::Address;
use relaybox::clock::SystemClock;
use relaybox::config::{self, Env, FileText, Flags, settings};
use relaybox::model::Domain;
use relaybox::protocol::given_token::GivenTokens;
use relaybox::protocol::login::Login;
use relaybox::protocol::query::Query;
use relaybox::protocol::request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::leak::Secret;
use super::spoil::{slip, spoiled};
use crate::support::{Home, Options, Server};

/// Letters and digits in turn: no word and no number has four of them in a row.
const TOKEN: &str = "Q7K2X9V4M8R3T6Z5B7N2H9D4W8F3P6J5";
/// What looks like a name: no sentence of ours has four letters of it in a row.
const PASSPHRASE: &str = "wyvern-skunk-zephyr";

const SECRETS: [&str; 2] = [TOKEN, PASSPHRASE];

fn secret() -> Secret {
    let mut secret = Secret::default();
    secret.add(TOKEN.as_bytes(), &[]);
    secret.add_passphrase(PASSPHRASE);
    secret
}

#[track_caller]
fn assert_hidden(said: &str) {
    assert_eq!(secret().shown_in(said), None, "of a token in: {said}");
}

fn tell<T>(said: &mut String, result: Result<T, impl Debug + ToString>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            writeln!(said, "{} {error:?}", error.to_string()).unwrap();
            None
        }
    }
}

/// What is said of settings from one origin, valid or not.
fn tell_settings(said: &mut String, flags: &Flags, env: &Env, file: Option<&FileText>) {
    let Some(loaded) = tell(said, config::resolve(flags, env, file, None)) else {
        return;
    };
    let mut told = format!("{:?} {:?}", loaded.warnings, loaded.config.token);
    // In `DOMAIN=TOKEN` the domain is no secret, also where a stray `=` makes it of a token's
    // beginning.
    for declared in &loaded.config.token {
        told = told.replace(declared.domain.as_str(), "DOMAIN");
    }
    writeln!(said, "{told}").unwrap();
}

/// Where a token may stand in a settings file.
fn lines() -> Vec<String> {
    let mut lines: Vec<_> = [
        "token = [\"demo=T\"]",
        "token = [\"demo=T\", \"shop=T\"]\nlisten = \"127.0.0.1:1\"",
        "token = \"demo=T\"\ntoken = \"demo=T\"",
        "token = demo=T",
        "token = [demo=T]",
        "token = [\"demo=T\"",
        "token = {demo = \"T\"}",
        "token = [[\"demo=T\"]]",
        "token.demo = \"T\"",
        "[token]\ndemo = \"T\"\ndemo = \"T\"",
        "[[token]]\ndemo = \"T\"",
        "token = \"\"\"\ndemo=T",
        "token = \"demo=\\T\"",
        "token = \"demo=\\uT\"",
        "T",
        "T = \"demo\"",
        "\"T\" = 1\n\"T\" = 2",
        "[T]\n[T]",
        "tokens = [\"demo=T\"]",
        "= T",
        "a.T = 1\na = 2",
    ]
    .map(str::to_owned)
    .into();
    for setting in settings() {
        for value in [
            "T",
            "\"T\"",
            "\"demo=T\"",
            "[\"demo=T\", \"T\"]",
            "0T",
            "1979-T",
        ] {
            lines.push(format!("{} = {value}", setting.name));
        }
    }
    lines
        .into_iter()
        .flat_map(|line| SECRETS.map(|secret| line.replace('T', secret)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_token_of_the_settings_is_in_what_is_said_of_them(
        text in select(lines()),
        slips in vec(slip(), 0..3),
        setting in 0..settings().len(),
        wrong in select(vec!["demo=", "", "=", "demo", "demo=x\u{7}"]),
        secret in select(SECRETS.to_vec()),
    ) {
        let mut said = String::new();
        let text = String::from_utf8_lossy(&spoiled(text.as_bytes(), &slips)).into_owned();
        let file = FileText { path: PathBuf::from("relaybox.toml"), text };
        let setting = &settings()[setting];
        let value = format!("{wrong}{secret}");
        let flags = Flags::from([(setting.name, vec![value.clone()])]);
        let env = Env::from([
            (setting.env.to_owned(), value),
            (format!("RELAYBOX_{secret}"), secret.to_owned()),
        ]);
        for (flags, env, file) in [
            (&Flags::new(), &Env::new(), Some(&file)),
            (&Flags::new(), &env, None),
            (&flags, &Env::new(), None),
        ] {
            tell_settings(&mut said, flags, env, file);
        }
        assert_hidden(&said);
    }

    #[test]
    fn no_token_of_a_login_or_a_request_is_in_what_is_said_of_it(
        text in select(vec![
            "wss://localhost:8443/ws?id=u1&name=A&domain=demo&resource=web&token=T",
            "wss://localhost:8443/ws?id=u1&T&token=T&token=T",
            "wss://user:T@localhost/",
            "wss://localhost:T/",
            "https://[T]/#T",
            "T://localhost",
            "id=u1&name=A&domain=demo&resource=web&token=T",
            "id=T&name=T&domain=T&resource=T&after=T&receipts=T",
            "Bearer T",
            "T.T.T",
            "{\"domain\":\"demo\",\"id\":\"u1\",\"ttl\":\"T\",\"caps\":[\"T\"]}",
            "{\"domain\":\"demo\",\"id\":\"u1\",\"ttl\":60,\"caps\":[\"T\"]}",
            "{\"domain\":T,\"T\":1}",
        ]),
        slips in vec(slip(), 0..3),
        secret in select(SECRETS.to_vec()),
    ) {
        let mut said = String::new();
        let text = spoiled(text.replace('T', secret).as_bytes(), &slips);
        let text = String::from_utf8_lossy(&text);
        tell(&mut said, Address::parse(&text));
        let query = text.split_once('?').map_or(&*text, |(_, query)| query);
        if let Some(query) = tell(&mut said, Query::parse(query)) {
            let offers = ["relaybox", &text];
            let given = tell(&mut said, GivenTokens::of(&query, Some(&text), &offers));
            // Both that none is of this server and that all are.
            for are_own in [false, true] {
                let chosen = given.as_ref().map(|given| given.choose(|_| are_own));
                let chosen = chosen.and_then(|chosen| tell(&mut said, chosen)).flatten();
                tell(&mut said, Login::parse(&query, chosen));
            }
        }
        tell(&mut said, request::token(&text));
        let auth = Auth::new(Arc::new(SystemClock));
        let domain = Domain::parse("demo").unwrap();
        auth.declare(&domain, &text);
        let verified = tell(&mut said, auth.verify(&domain, &text));
        tell(&mut said, auth.verify(&domain, &text.repeat(2)));
        writeln!(said, "{auth:?} {verified:?}").unwrap();
        assert_hidden(&said);
    }
}

#[test]
fn a_domain_that_looks_like_a_part_of_a_token_is_no_secret() {
    let file = FileText {
        path: PathBuf::from("relaybox.toml"),
        text: format!("token = [\"{}={}\"]", &TOKEN[..4], &TOKEN[4..]),
    };
    let mut said = String::new();
    tell_settings(&mut said, &Flags::new(), &Env::new(), Some(&file));
    assert!(said.contains("DOMAIN"), "{said}");
    assert_hidden(&said);
}

/// Every way to hand a token to the wrong place of the command line.
#[tokio::test]
async fn no_token_of_the_command_line_is_in_what_a_command_says() {
    let home = Home::new();
    let lines = [
        "T",
        "serve T",
        "serve demo=T",
        "serve --token T",
        "serve --tokens demo=T",
        "serve --T",
        "serve -T",
        "serve --history-open=T",
        "serve --history-open true demo=T",
        "serve --token -T",
        "serve --listen T",
        "domain add shop T",
        "domain T",
        "domain rotate shop --grace T",
        "token --domain demo --id u1 --ttl T",
        "token --domain demo --id u1 --cap T",
        "token --domain demo --id u1 --token T",
        "listen --token=T --token-file T",
        "listen --domain demo --id u1 --token-file T",
        "listen --domain demo --id u1 --after T",
        "listen --domain demo --id u1 --count T",
        "listen --domain demo --id u1 --json=T",
        "listen --url wss://localhost:1/ws?token=T&T=1",
        "listen --url wss://user:T@localhost:1",
        "send u2 hello --url ws://127.0.0.1:1/ws?id=u1&domain=demo&token=T",
        "send u2 hello T",
        "send u2 hello --type T",
        "send u2 hello --timeout 3T",
        "completions T",
        "help T",
        "domain help T",
        "token --T",
        "serve --T=1",
        "serve --listen=127.0.0.1:1 --token-T",
    ];
    let lines = lines
        .iter()
        .flat_map(|line| SECRETS.map(|secret| line.replace('T', secret)));
    for line in lines {
        let ended = home.cli_bare(&line.split(' ').collect::<Vec<_>>()).await;
        assert_ne!(ended.code, Some(0), "{line}");
        assert!(!ended.stderr.is_empty(), "{line}");
        assert_hidden(&format!("{}{}", ended.stdout, ended.stderr));
    }
    let in_both = |(name, value): (&'static str, &str)| {
        SECRETS.map(|secret| (name, value.replace('T', secret)))
    };
    for (name, value) in [
        ("RELAYBOX_CLIENT_TOKEN", "T"),
        ("RELAYBOX_CLIENT_TOKEN", "T\nT"),
        ("RELAYBOX_CLIENT_TOKEN", "\u{ff}T"),
        ("RELAYBOX_CLIENT_TOKEN_FILE", "T"),
        ("RELAYBOX_CLIENT_URL", "wss://user:T@localhost:1"),
        ("RELAYBOX_CLIENT_URL", "wss://localhost:1/ws?token=T&T=1"),
    ]
    .into_iter()
    .flat_map(in_both)
    {
        let url = "ws://127.0.0.1:1/ws?id=u1&domain=demo";
        let mut command = home.bare_command(["send", "u2", "hello", "--timeout", "3s"]);
        command.env("RELAYBOX_CLIENT_URL", url);
        command.env(name, &value);
        let ended = home.run(command).await;
        assert_ne!(ended.code, Some(0), "{name} {value:?}");
        assert!(!ended.stderr.is_empty(), "{name} {value:?}");
        assert_hidden(&format!("{}{}", ended.stdout, ended.stderr));
    }
    for (name, value) in [
        ("RELAYBOX_TOKEN", "T"),
        ("RELAYBOX_TOKEN", "demo=T,=T"),
        ("RELAYBOX_LISTEN", "demo=T"),
        ("RELAYBOX_TOKEN_FILE", "T"),
        ("RELAYBOX_TOKEN_FILE", "demo=T"),
    ]
    .into_iter()
    .flat_map(in_both)
    {
        let options = Options::new().without_defaults().undeclared();
        let refused = home.serve_fails(&options.env(name, &value)).await;
        refused.failure(2, &[name]);
        assert_hidden(&refused.stderr);
    }
    let wrong = [
        "token = demo=T",
        "token = [\"T\"]",
        "token.demo = \"T\"",
        "T = 1",
    ];
    let wrong = wrong.map(|text| SECRETS.map(|secret| text.replace('T', secret)));
    for text in wrong.as_flattened() {
        let options = Options::new().undeclared().file(text);
        let refused = home.serve_fails(&options).await;
        refused.failure(2, &["relaybox.toml:1"]);
        assert_hidden(&refused.stderr);
    }
}

/// A server that logs all it can is asked with tokens in all the wrong places.
#[tokio::test]
async fn no_token_of_a_request_is_in_the_log_or_an_answer() {
    // It is told of names that it does not know, too.
    let unknown = SECRETS.map(|secret| format!("RELAYBOX_{secret}"));
    let mut options = Options::new();
    for name in &unknown {
        options = options.env(name, "1");
    }
    let mut server = Server::with(options).await;
    let json = ("content-type", "application/json");
    let requests = [
        ("GET", "/message-log?domain=demo&toId=u1&token=T"),
        ("GET", "/message-log?domain=demo&toId=u1&T=1"),
        ("GET", "/message-log?domain=demo&toId=u1&token=T&token=T"),
        ("DELETE", "/message-log?domain=demo&toId=u1&T=%"),
        ("GET", "/presence?domain=demo&id=u1&token=T"),
        ("POST", "/tokens?token=T"),
        ("GET", "/T"),
        ("GET", "/ws?id=u1&token=T"),
    ];
    for ((method, target), secret) in requests
        .iter()
        .flat_map(|it| SECRETS.map(|secret| (it, secret)))
    {
        let target = target.replace('T', secret);
        let token = format!("Bearer {secret}");
        let answer = server
            .request(method, &target, &[("authorization", &token), json])
            .await;
        assert!(
            (400..500).contains(&answer.status),
            "{target}: {}",
            answer.status
        );
        assert_hidden(&answer.body);
    }
    let lines = [
        "T",
        "{\"order\":\"T\"}",
        "{\"order\":\"stats\",\"T\":1}",
        "{\"order\":\"token\",\"domain\":T}",
    ];
    for line in lines
        .iter()
        .flat_map(|line| SECRETS.map(|secret| line.replace('T', secret)))
    {
        let socket = server.home.data().join("relaybox.sock");
        let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let line = format!("{line}\n");
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("refused"), "{answer}");
        assert_hidden(&answer);
    }
    server.stop().await;
    assert_hidden(&server.stderr());
}

//! Where settings come from, and what is said about bad ones and bad
//! surroundings at the start: PROTOCOL section 8.

use std::sync::Arc;

use crate::support::{Client, Home, Login, Options, Server, tls, until};
use rustix::process::Signal;
use serde_json::json;

/// Whether the server takes a content of this many bytes.
async fn takes(server: &Server, bytes: usize) -> bool {
    let mut client = server.user("u1").await;
    client.say("u1", &"x".repeat(bytes - 2)).await;
    let answer = client.find("an answer", |v| v["fromId"].is_string()).await;
    // So that the next session of the user does not get it again.
    client.close().await;
    answer.get("error").is_none()
}

#[tokio::test]
async fn flags_win_over_environment_over_file() {
    let file = || Options::new().file("content_bytes_max = 2000\n");
    let environment = || file().env("RELAYBOX_CONTENT_BYTES_MAX", "3000");
    let flag = environment().args(&["--content-bytes-max", "4000"]);
    for (options, limit) in [(file(), 2000), (environment(), 3000), (flag, 4000)] {
        let server = Server::with(options).await;
        assert!(takes(&server, limit).await, "{limit}");
        assert!(!takes(&server, limit + 1).await, "{limit}");
    }
}

#[tokio::test]
async fn everything_can_come_from_the_environment() {
    let home = Arc::new(Home::new());
    let options = Options::new()
        .without_defaults()
        .undeclared()
        .env("RELAYBOX_LISTEN", "127.0.0.1:0")
        .env("RELAYBOX_DATA", home.data().to_str().unwrap())
        .env("RELAYBOX_CERTS", home.certs().to_str().unwrap())
        .env("RELAYBOX_HOST", "one.example,two.example")
        .env(
            "RELAYBOX_TOKEN",
            "demo=demo-project-token-5f0c1d,acme=acme-token-77b1",
        );
    let mut server = Server::at(home, options).await;
    server.secret("acme-token-77b1");
    server.user("u1").await;
    server
        .login(&Login::new("u1").domain("acme").token("acme-token-77b1"))
        .await;
    let roots = tls::roots(&server.home.ca());
    for name in ["one.example", "two.example"] {
        tls::connect(&server.address, name, &roots, None)
            .await
            .unwrap();
    }
}

/// The example of docs/SETTINGS.md in this language.
fn example(language: &str) -> &'static str {
    let document = include_str!("../../docs/SETTINGS.md");
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_examples_of_the_manual_are_taken_as_printed() {
    let variables = example("sh").lines();
    let variables = variables.map(|line| line.split_once('=').unwrap());
    let environment = variables.fold(Options::new(), |options, (name, value)| {
        options.env(name, value)
    });
    for options in [Options::new().file(example("toml")), environment] {
        let server = Server::with(options).await;
        let log = server.stderr();
        assert!(!log.contains("WARN"), "{log}");
        let limit = 64 * 1024;
        assert!(takes(&server, limit).await && !takes(&server, limit + 1).await);
        let mut client = server.user("u2").await;
        let frame = json!({"toId": "u2", "type": 60, "content": 1, "clientMsgId": "c"});
        client.send(&frame).await;
        client.ack("c").await;
        let roots = tls::roots(&server.home.ca());
        let second = "chat.example.org";
        tls::connect(&server.address, second, &roots, None)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn everything_can_come_from_a_named_file() {
    let home = Arc::new(Home::new());
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndata = {:?}\ncerts = {:?}\nhost = [\"one.example\"]\n\
         token = [\"demo=demo-project-token-5f0c1d\", \"acme=acme-token-77b1\"]\n",
        home.data(),
        home.certs(),
    );
    let path = home.write("settings.toml", text);
    let options = Options::new()
        .without_defaults()
        .undeclared()
        .args(&["--config", path.to_str().unwrap()]);
    let mut server = Server::at(home, options).await;
    server.secret("acme-token-77b1");
    server.user("u1").await;
    server
        .login(&Login::new("u1").domain("acme").token("acme-token-77b1"))
        .await;
}

#[tokio::test]
async fn relative_defaults_are_below_the_working_directory() {
    let home = Arc::new(Home::new());
    let options = Options::new()
        .without_defaults()
        .args(&["--listen", "127.0.0.1:0"]);
    let server = Server::at(home, options).await;
    assert!(server.home.data().is_dir() && server.home.certs().is_dir());
    server.user("u1").await;
}

#[tokio::test]
async fn unknown_settings_are_reported() {
    let home = Home::new();
    let options = Options::new()
        .file("history_opne = true\n\nbogus_key = 1\nplain = 7\n")
        .env("RELAYBOX_TOKEN_DEMO", "secret-5512")
        .env("RELAYBOX_PING_INTERVAL", "never");
    let outcome = home.serve_fails(&options).await;
    let all = [
        "relaybox.toml:1: the key in this line is unknown; did you mean `history_open`?",
        "relaybox.toml:3: the key in this line is unknown; `relaybox serve --help`",
        "an environment variable that begins with RELAYBOX_ is unknown; `relaybox serve",
        "setting plain (",
        "setting ping_interval (RELAYBOX_PING_INTERVAL)",
    ];
    outcome.failure(2, &all);
    assert!(!outcome.stderr.contains("secret-5512"), "{outcome:?}");
    assert!(!home.data().join("journal").exists(), "a domain was made");

    // Orchestrators set some of their own.
    let server = Server::with(Options::new().env("RELAYBOX_PORT_8443_TCP", "1")).await;
    let said = "an environment variable that begins with RELAYBOX_ is unknown and ignored; `relaybox serve";
    server.says(said).await;
}

#[tokio::test]
async fn a_declared_token_may_come_from_a_file_and_changes_with_it() {
    let home = Arc::new(Home::new());
    let tokens = home.write(
        "tokens",
        "demo=first-token-of-the-file\nacme=acme-token-77b1\n",
    );
    let options = Options::new()
        .undeclared()
        .env("RELAYBOX_TOKEN_FILE", tokens.to_str().unwrap());
    let mut server = Server::at(home, options).await;
    for secret in [
        "first-token-of-the-file",
        "acme-token-77b1",
        "second-token-of-the-file",
    ] {
        server.secret(secret);
    }
    let acme = Login::new("u1").domain("acme").token("acme-token-77b1");
    let mut first = server
        .login(&Login::new("u1").token("first-token-of-the-file"))
        .await;
    server.login(&acme).await;
    server
        .home
        .write("tokens", "demo=second-token-of-the-file\n");
    reload(&server, "").await;
    first.closed(4401).await;
    server
        .login(&Login::new("u1").token("second-token-of-the-file"))
        .await;
    server.refused(&acme, 4401).await;
    assert!(
        !server.stdout().contains("project token"),
        "{}",
        server.stdout()
    );
}

/// Has the server read this settings file.
async fn reload(server: &Server, file: &str) {
    let words = "the settings have been read again";
    let before = server.stderr().matches(words).count();
    server.home.write("data/relaybox.toml", file);
    server.signal(Signal::HUP);
    until(words, async || {
        (server.stderr().matches(words).count() > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sighup_takes_over_all_that_can_change() {
    let server = Server::start().await;
    let open = async || server.get("/message-log?domain=demo&toId=u1", None).await;
    let type_of_answer = async |kind: u32, content: &str| {
        let mut client = server.user("u1").await;
        let frame =
            format!(r#"{{"toId":"u2","type":{kind},"content":{content},"clientMsgId":"c"}}"#);
        client.send_text(frame).await;
        let answer = client.find("an answer", |v| {
            v["ack"].is_string() || v["error"].is_object()
        });
        answer.await["error"]["code"].as_str().map(str::to_owned)
    };
    open().await.problem(401);
    assert_eq!(
        type_of_answer(7, "1").await.as_deref(),
        Some("type_not_allowed")
    );

    let mut there = server.user("there").await;
    let file = "history_open = true\ntypes = [7]\ncontent_depth_max = 2\nsessions_per_user_max = 1\n\
                cors_origins = \"https://a.example\"\nws_origins = \"https://a.example\"\noutbox_bytes_max = \"8KiB\"\n";
    reload(&server, file).await;
    assert_eq!(open().await.status, 200);
    assert_eq!(type_of_answer(7, "[[]]").await, None);
    assert_eq!(
        type_of_answer(7, "[[[]]]").await.as_deref(),
        Some("invalid_field")
    );
    server
        .refused(&Login::new("there").resource("phone"), 4529)
        .await;
    let mut page = Login::new("page").request();
    let origin = "https://b.example".parse().unwrap();
    page.headers_mut().insert("origin", origin);
    let mut page = Client::open(server.stream().await, page).await;
    page.closed(4403).await;
    let page = [("origin", "https://b.example")];
    let answer = server.request("GET", "/healthz", &page).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert!(
        !server.stderr().contains("has changed"),
        "{}",
        server.stderr()
    );

    reload(&server, "").await;
    open().await.problem(401);
    assert_eq!(type_of_answer(10, "[[[]]]").await, None);
    server.login(&Login::new("there").resource("phone")).await;
    // Who was there has not noticed.
    there.ready().await;
}

#[tokio::test]
async fn sighup_names_the_settings_that_wait_for_a_restart() {
    let server = Server::start().await;
    reload(
        &server,
        "content_bytes_max = 2000\nlog = \"debug\"\ncache_bytes = \"5MiB\"\nping_interval = \"5s\"\n",
    )
    .await;
    for name in ["content_bytes_max", "cache_bytes", "ping_interval"] {
        server.says(&format!("setting {name} has changed")).await;
    }
    let told = server.stderr().matches("has changed").count();
    assert_eq!(told, 3, "{}", server.stderr());
    assert!(takes(&server, 2001).await, "what waits is not in force");
}

#[tokio::test]
async fn a_bad_setting_is_named() {
    let flag = |name: &str, value: &str| Options::new().args(&[name, value]);
    let cases = [
        ("cors_origins", flag("--cors-origins", "https://a/b")),
        ("ws_origins", flag("--ws-origins", "a.example")),
        ("listen", flag("--listen", "nonsense")),
        ("listen", flag("--listen", "127.0.0.1:99999")),
        ("plain", flag("--plain", "127.0.0.1")),
        ("token", flag("--token", "no-equals-sign")),
        ("token", flag("--token", "demo=")),
        ("token", flag("--token", "=secret-5512")),
        ("host", flag("--host", "")),
        ("content-bytes-max", flag("--content-bytes-max", "many")),
        ("content-bytes-max", flag("--content-bytes-max", "0")),
        ("ping-interval", flag("--ping-interval", "0s")),
        ("behind relaybox", flag("--bogus", "1")),
        (
            "RELAYBOX_LISTEN",
            Options::new().env("RELAYBOX_LISTEN", "x"),
        ),
        (
            "RELAYBOX_CONTENT_BYTES_MAX",
            Options::new().env("RELAYBOX_CONTENT_BYTES_MAX", "x"),
        ),
        (
            "RELAYBOX_TOKEN",
            Options::new()
                .undeclared()
                .env("RELAYBOX_TOKEN", "secret-5512"),
        ),
        (
            "content_bytes_max",
            Options::new().file("content_bytes_max = \"x\"\n"),
        ),
        (
            "history_open",
            Options::new().file("history_open = \"perhaps\"\n"),
        ),
        ("plain", Options::new().file("plain = 7\n")),
        (
            "certs",
            Options::new()
                .without_defaults()
                .file("certs = 5\nlisten = \"127.0.0.1:0\"\n"),
        ),
        (
            "RELAYBOX_TOKEN_FILE",
            Options::new().env("RELAYBOX_TOKEN_FILE", "secret-5512"),
        ),
        (
            "relaybox.toml",
            Options::new().file("this is = not = toml\n"),
        ),
        ("missing.toml", flag("--config", "missing.toml")),
    ];
    for (name, options) in cases {
        // `--listen` of the harness would hide a bad one from elsewhere.
        let home = Home::new();
        let by_flag = options.args.iter().any(|arg| arg == "--listen");
        let by_environment = options
            .env
            .iter()
            .any(|(name, _)| name == "RELAYBOX_LISTEN");
        let options = if by_flag || by_environment {
            options.without_defaults()
        } else {
            options
        };
        let outcome = home.serve_fails(&options).await;
        outcome.failure(2, &[]);
        let message = outcome.stderr.replace('_', "-").to_lowercase();
        let name = name.replace('_', "-").to_lowercase();
        assert!(message.contains(&name), "{name}: {outcome:?}");
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
        assert!(!outcome.stderr.contains("secret-5512"), "{outcome:?}");
    }
}

#[tokio::test]
async fn bad_usage_is_told_with_code_2() {
    let home = Home::new();
    for args in [&["fly"][..], &[], &["serve", "extra"], &["domain", "fly"]] {
        let outcome = home.run(home.bare_command(args)).await;
        assert_eq!(outcome.code, Some(2), "{args:?}: {outcome:?}");
        assert!(
            !outcome.stderr.is_empty() || !outcome.stdout.is_empty(),
            "{args:?}"
        );
    }
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new();
    let options = Options::new()
        .without_defaults()
        .args(&["--listen", &address]);
    let words = [
        &address,
        "another program has it; end that, or choose another port with --listen",
    ];
    home.serve_fails(&options).await.failure(1, &words);
    let options = Options::new().args(&["--plain", &address]);
    let words = [&address, "choose another port with --plain"];
    home.serve_fails(&options).await.failure(1, &words);
}

#[tokio::test]
async fn a_data_directory_serves_one_process() {
    let server = Server::start().await;
    let outcome = server.home.serve_fails(&Options::new()).await;
    let data = server.home.data();
    outcome.failure(1, &["in use", data.to_str().unwrap()]);
    server.user("u1").await;
    assert!(
        server.cli(&["domain", "list"]).await.contains("demo"),
        "its socket is gone"
    );
}

#[tokio::test]
async fn an_unusable_data_or_certificate_directory_is_told() {
    for name in ["data", "certs"] {
        let home = Home::new();
        let path = home.write(name, "a file, no directory");
        let outcome = home.serve_fails(&Options::new()).await;
        outcome.failure(1, &[path.to_str().unwrap()]);
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "a file, no directory"
        );
    }
    let home = Home::new();
    let above = home.write("file", "x").join("data");
    let options = Options::new().without_defaults().args(&[
        "--listen",
        "127.0.0.1:0",
        "--data",
        above.to_str().unwrap(),
    ]);
    home.serve_fails(&options)
        .await
        .failure(1, &[above.to_str().unwrap()]);
}

#[tokio::test]
async fn a_very_long_data_path_works() {
    let home = Arc::new(Home::new());
    // Longer than the address of a Unix socket may be.
    let data = home.path("d".repeat(100)).join("e".repeat(100));
    let options = Options::new().without_defaults().args(&[
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ]);
    let server = Server::at(home, options).await;
    server.user("u1").await;
}

#[tokio::test]
async fn a_damaged_journal_is_told_and_never_skipped() {
    let mut server = Server::start().await;
    let mut sender = server.user("u1").await;
    for n in 0..10 {
        sender.say_acked("u2", &format!("MARKER-{n}-END")).await;
    }
    drop(sender);
    server.stop().await;
    let marker = b"MARKER-4-END";
    let mut damaged = None;
    for entry in std::fs::read_dir(server.home.data().join("journal")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes
            .windows(marker.len())
            .position(|window| window == marker)
        {
            bytes[at] ^= 0xff;
            std::fs::write(&path, bytes).unwrap();
            damaged = Some(path);
        }
    }
    let damaged = damaged.expect("messages are in the journal in plain");
    // A clean stop has left an index that would do without the journal.
    std::fs::remove_dir_all(server.home.data().join("db")).unwrap();
    let outcome = server.home.serve_fails(&Options::new()).await;
    let name = damaged.file_name().unwrap().to_str().unwrap();
    outcome.failure(1, &[name, "damaged"]);
    assert!(!outcome.stdout.contains("ready"), "{outcome:?}");
}

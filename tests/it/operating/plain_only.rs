//! A server behind a proxy that does TLS: `--listen off`.

use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Home, Options, Server, until};

const PLAIN: [&str; 4] = ["--listen", "off", "--plain", "127.0.0.1:0"];

/// All that the log and `doctor` would say of certificates.
fn speaks_of_certificates(text: &str) -> bool {
    ["certificat", "ca.pem", "key.pem", "https"]
        .iter()
        .any(|word| text.contains(word))
}

#[tokio::test]
async fn only_plain_is_served_and_no_certificate_made_or_told_of() {
    let options = Options::new().args(&PLAIN).undeclared();
    let mut server = Server::with(options).await;
    let out = server.stdout();
    let plain = server.plain.clone().unwrap();
    let ready: Vec<_> = out.lines().filter(|l| l.starts_with("ready ")).collect();
    assert_eq!(ready, [format!("ready http://{plain}")]);
    assert!(
        out.contains(&format!("Console: http://{plain}/\n")),
        "{out}"
    );
    let is_url = |word: &&str| word.starts_with("ws://");
    let url = out.split_whitespace().find(is_url).unwrap().to_owned();
    server.secret(url.split("token=").nth(1).unwrap());
    let said = server
        .home
        .cli_bare(&["send", "--url", &url, "u2", "hello"])
        .await;
    said.success();

    // A reload reads none either.
    server.signal(Signal::HUP);
    server.says("the settings have been read again").await;
    let metrics = server.get("/metrics", None).await.body;
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    assert!(
        !samples
            .clone()
            .any(|line| line.contains("certificate_not_after"))
    );
    assert!(samples.count() > 50, "{metrics}");
    for text in [out, server.stderr()] {
        assert!(!speaks_of_certificates(&text), "{text}");
    }
    assert!(!server.home.certs().exists());

    let [data, certs] = [server.home.data(), server.home.certs()];
    let [data, certs] = [data.to_str().unwrap(), certs.to_str().unwrap()];
    let of = ["doctor", "--json", "--data", data, "--certs", certs];
    let args = [&of[..], &["--listen", "off", "--plain", &plain]].concat();
    let said = server.home.cli_bare(&args).await.success();
    let said: Value = serde_json::from_str(&said).unwrap();
    let checks = said["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| &check["check"]).collect();
    assert!(names.contains(&&"plain-port".into()), "{said}");
    for name in names.iter().map(|name| name.as_str().unwrap()) {
        let is_of_tls = ["port", "listen", "key-rights"].contains(&name);
        assert!(!is_of_tls && !name.starts_with("certificate"), "{said}");
    }
    server.stop().await;
}

#[tokio::test]
async fn certificates_that_are_no_good_keep_nobody_from_serving_without_them() {
    let home = Arc::new(Home::new());
    home.write("certs/cert.pem", "no certificate");
    home.write("certs/key.pem", "no key");
    let more = ["--host", "chat.example", "--history-open"];
    let options = Options::new().args(&PLAIN).args(&more);
    let server = Server::at(home, options).await;
    server.user("u1").await.say_acked("box", "hello").await;
    assert!(
        !speaks_of_certificates(&server.stderr()),
        "{}",
        server.stderr()
    );
    // The server still goes by the names of its settings.
    for (host, status) in [("chat.example", 200), ("other.example", 403)] {
        let target = "/message-log?domain=demo&toId=box";
        let answer = server.request("GET", target, &[("host", host)]).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.body);
    }
}

#[tokio::test]
async fn without_plain_nothing_would_be_served() {
    let home = Home::new();
    let words = ["setting listen (--listen)", "the setting plain is off, too"];
    let options = Options::new().args(&["--listen", "off"]);
    let refused = home.serve_fails(&options).await;
    refused.failure(2, &words);
    assert!(!home.data().exists() && !home.certs().exists());
    home.cli_bare(&["doctor", "--listen", "off"])
        .await
        .failure(2, &words);
    let by_variable = Options::new()
        .without_defaults()
        .env("RELAYBOX_LISTEN", "off");
    let refused = home.serve_fails(&by_variable).await;
    refused.failure(2, &["setting listen (RELAYBOX_LISTEN)", "plain"]);
}

/// Some settings are in the server's unit alone.
#[tokio::test]
async fn commands_on_a_stopped_server_do_without_the_settings_of_its_unit() {
    const FILE: &str =
        "listen = \"off\"\ncontent_bytes_max = \"1MiB\"\ntail_bytes_max = \"1MiB\"\n";
    let options = Options::new().without_defaults().file(FILE);
    let plain = |options: Options| options.env("RELAYBOX_PLAIN", "127.0.0.1:0");
    let small = |options: Options| options.env("RELAYBOX_CONTENT_BYTES_MAX", "64KiB");
    let mut server = Server::with(plain(small(options.clone()))).await;
    let home = server.home.clone();
    server.stop().await;
    for (options, setting) in [(small(options.clone()), "listen"), (plain(options), "tail")] {
        let refused = home.serve_fails(&options).await;
        refused.failure(2, &["setting ", setting]);
    }
    home.cli(&["domain", "add", "shop"]).await.success();
    let listed = home.cli(&["domain", "list"]).await.success();
    assert!(listed.contains("shop"), "{listed}");
    let backup = home.path("backup");
    let backup = backup.to_str().unwrap();
    home.cli(&["backup", backup]).await.success();

    // The settings come with the backup, or are there before.
    let [fresh, prepared] = [Home::new(), Home::new()];
    prepared.write("data/relaybox.toml", FILE);
    for home in [fresh, prepared] {
        home.cli(&["restore", backup]).await.success();
        let settings = std::fs::read_to_string(home.path("data/relaybox.toml"));
        assert_eq!(settings.unwrap(), FILE);
        let listed = home.cli(&["domain", "list"]).await.success();
        assert!(listed.contains("shop"), "{listed}");
    }
}

#[tokio::test]
async fn another_listen_counts_from_the_next_start() {
    const OFF: &str = "listen = \"off\"\nplain = \"127.0.0.1:0\"\n";
    const ON: &str = "listen = \"127.0.0.1:0\"\n";
    let waits = "setting listen has changed: it counts from the next start";
    let options = Options::new().without_defaults();
    let mut server = Server::with(options.clone().file(OFF)).await;
    assert!(server.address.is_empty());
    let reload = async |server: &Server, file: &str, words: &str| {
        let times = || server.stderr().matches(words).count();
        let before = times();
        server.home.write("data/relaybox.toml", file);
        server.signal(Signal::HUP);
        until(words, async || (times() > before).then_some(())).await;
    };
    reload(&server, ON, waits).await;
    let refused = "settings and certificates stay as they are: setting listen (";
    reload(&server, "listen = \"off\"\n", refused).await;
    server.user("u1").await;
    assert!(!server.home.certs().exists());

    server.change(options.file(ON));
    server.restart().await;
    assert!(!server.address.is_empty() && server.home.ca().exists());
    reload(&server, OFF, waits).await;
    server.says("the certificates have been read again").await;
    server.user("u1").await;
}

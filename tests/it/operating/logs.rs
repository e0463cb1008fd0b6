//! The log: for people or for machines, and never with what is nobody's business.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Home, Login, Options, Server, encode};

const CONTENT: &str = "content-that-nobody-may-log";

/// Does everything in which something secret passes by, rightly and wrongly.
async fn busy(server: &mut Server) {
    server.secret(CONTENT);
    let token = server.mint("u1", &["--name", "Alice"]).await;
    server.secret("wrong-token-7f3a");
    server.secret("token=");
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    user.say_acked("u2", CONTENT).await;
    user.send_text(format!(r#"{{"toId":"u2","type":10,"content":"{CONTENT}"#))
        .await;
    user.error().await;
    server
        .refused(&Login::new("u1").token("wrong-token-7f3a"), 4401)
        .await;
    server.refused(&Login::new("u3").token(&token), 4403).await;
    let query = format!("/message-log?domain=demo&toId=u2&token={}", encode(&token));
    server.get(&query, None).await.problem(403);
    server
        .get(
            "/message-log?token=wrong-token-7f3a&domain=demo&toId=u2",
            None,
        )
        .await
        .problem(401);
    let mut other = server.user("u2").await;
    other.message().await;
    server
        .cli(&["kick", "--domain", "demo", "--id", "u2"])
        .await;
    other.closed(4410).await;
    server
        .cli(&["domain", "rotate", "demo"])
        .await
        .pipe(|token| server.secret(&token));
    user.closed(4401).await;
    server.stop().await;
}

/// Hands a value on, so that it needs no name.
trait Pipe: Sized {
    fn pipe<T>(self, to: impl FnOnce(Self) -> T) -> T {
        to(self)
    }
}

impl Pipe for String {}

#[tokio::test]
async fn at_no_level_is_a_token_a_content_or_a_query_string_logged() {
    for format in ["text", "json"] {
        let args = ["--log", "trace", "--log-format", format];
        let mut server = Server::with(Options::new().args(&args)).await;
        busy(&mut server).await;
        let log = server.stderr();
        assert!(log.contains("a session begins"), "{log}");
        // Dropping the server looks for the secrets in its log.
    }
}

#[tokio::test]
async fn json_lines_have_the_fields_that_are_documented() {
    let args = ["--log", "trace", "--log-format", "json"];
    let mut server = Server::with(Options::new().args(&args)).await;
    busy(&mut server).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/LOGGING.md");
    let document = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let documented: BTreeSet<String> = document.lines().filter_map(row).collect();
    let log = server.stderr();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.len() > 5);
    for line in lines {
        for name in ["timestamp", "level", "message", "target"] {
            assert!(line[name].is_string(), "{line}");
        }
        for name in line.as_object().unwrap().keys() {
            assert!(
                documented.contains(name),
                "{name} is not in docs/LOGGING.md: {line}"
            );
        }
    }
}

#[tokio::test]
async fn a_failed_start_is_a_line_of_json_too() {
    let server = Server::start().await;
    let args = ["--log-format", "json", "--metrics-listen", &server.address];
    let outcome = Home::new().serve_fails(&Options::new().args(&args)).await;
    assert_eq!(outcome.code, Some(1));
    for line in outcome.stderr.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string());
    }
    assert!(
        outcome.stderr.contains("metrics_listen"),
        "{}",
        outcome.stderr
    );
}

//! `GET /metrics`.

use std::collections::BTreeMap;

use tokio::net::TcpStream;

use crate::support::http::Answer;
use crate::support::{Login, Options, Server, until};

/// All samples by their name with labels.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name, value.parse().unwrap())
    });
    samples.collect()
}

async fn scrape(server: &Server) -> String {
    let answer = server.get("/metrics", None).await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    answer.body
}

/// Labels whose values are the same on every server.
const FIXED: [&str; 6] = ["reason", "error", "limit", "outcome", "part", "by"];

#[tokio::test]
async fn everything_that_is_served_stands_in_the_manual() {
    let manual = include_str!("../../../docs/METRICS.md");
    let server = Server::start().await;
    server.refused(&Login::new("bob").token("no"), 4401).await;
    let text = scrape(&server).await;
    let mut values = 0;
    for sample in text.lines() {
        if let Some(family) = sample.strip_prefix("# HELP ") {
            let name = family.split(' ').next().unwrap();
            assert!(manual.contains(&format!("| `{name}` |")), "{name}");
        }
        let Some((_, labels)) = sample.split_once('{') else {
            continue;
        };
        for label in labels.split('}').next().unwrap().split(',') {
            let (name, value) = label.split_once('=').unwrap();
            if FIXED.contains(&name) {
                values += 1;
                let value = value.trim_matches('"');
                assert!(manual.contains(&format!("`{value}`")), "{label}");
            }
        }
    }
    assert!(values > 40, "only {values} values of labels are served");
}

#[tokio::test]
async fn everything_that_happens_is_counted_and_nobody_is_named() {
    let mut server = Server::start().await;
    let user_token = server.mint("secret-user", &[]).await;
    let mut alice = server.user("secret-user").await;
    let mut bob = server.login(&Login::new("bob")).await;
    alice.say_acked("bob", "one").await;
    alice.say_acked("away", "two").await;
    bob.message().await;
    bob.confirmed().await;
    alice.send_text("{}").await;
    alice.error().await;
    server.refused(&Login::new("bob").token("no"), 4401).await;
    server
        .refused(&Login::new("bob").token(&user_token), 4403)
        .await;
    server
        .get("/message-log?domain=demo&toId=bob", None)
        .await
        .problem(401);
    server.get("/made-up/by-a-client", None).await.problem(404);
    let mut away = server.user("away").await;
    away.message().await;
    away.close().await;

    // What a client has seen may be counted a moment later.
    let text = until("the counts", || async {
        let text = scrape(&server).await;
        let all = samples(&text);
        let at_rest = all["relaybox_sessions"] == 2.0
            && all["relaybox_unconfirmed_messages"] == 0.0
            && all["relaybox_sessions_catching_up"] == 0.0;
        at_rest.then_some(text)
    })
    .await;
    let all = samples(&text);
    for (name, expected) in [
        ("relaybox_logins_total", 3.0),
        (
            "relaybox_logins_refused_total{reason=\"unauthorized\"}",
            1.0,
        ),
        ("relaybox_logins_refused_total{reason=\"forbidden\"}", 1.0),
        ("relaybox_closes_total{by=\"client\",code=\"1000\"}", 1.0),
        ("relaybox_closes_total{by=\"server\",code=\"4401\"}", 1.0),
        ("relaybox_closes_total{by=\"server\",code=\"4403\"}", 1.0),
        (
            "relaybox_frames_refused_total{error=\"invalid_field\"}",
            1.0,
        ),
        ("relaybox_messages_in_total{type=\"10\"}", 2.0),
        ("relaybox_messages_out_total{type=\"10\"}", 2.0),
        ("relaybox_messages_in_total{type=\"100\"}", 0.0),
        ("relaybox_limited_total{limit=\"logins\"}", 0.0),
        ("relaybox_closes_total{by=\"server\",code=\"4410\"}", 0.0),
        ("relaybox_frames_refused_total{error=\"rate_limited\"}", 0.0),
        (
            "relaybox_http_requests_total{path=\"/message-log\",status=\"401\"}",
            1.0,
        ),
        (
            "relaybox_http_requests_total{path=\"other\",status=\"404\"}",
            1.0,
        ),
        (
            "relaybox_http_requests_total{path=\"/ws\",status=\"101\"}",
            5.0,
        ),
        ("relaybox_outbox_bytes", 0.0),
        ("relaybox_store_writable", 1.0),
        ("relaybox_clock_hold_seconds", 0.0),
        ("relaybox_sessions_max", 50_000.0),
    ] {
        let found = all.get(name).copied();
        let cut = name == "relaybox_sessions_max" && found.is_some_and(|max| max > 0.0);
        assert!(
            found == Some(expected) || cut,
            "{name} is {found:?}\n{text}"
        );
    }
    for name in [
        "relaybox_connections",
        "relaybox_connections_max",
        "relaybox_commit_seconds_count",
        "relaybox_commit_messages_sum",
        "relaybox_store_bytes{part=\"journal\"}",
        "relaybox_store_bytes{part=\"index\"}",
        "relaybox_store_free_bytes",
        "relaybox_store_free_bytes_min",
        "relaybox_checkpoint_lag_bytes",
        "relaybox_checkpoint_lag_seconds",
        "relaybox_journal_queue",
        "relaybox_journal_queue_bytes",
        "relaybox_certificate_not_after_timestamp_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
    ] {
        assert!(
            all.get(name).is_some_and(|value| *value >= 0.0),
            "{name}\n{text}"
        );
    }
    // Every metric has a help text and a type.
    for name in all.keys() {
        let bare = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            bare.strip_suffix(end)
                .filter(|family| text.contains(&format!("# TYPE {family} histogram")))
        });
        let family = family.unwrap_or(bare);
        let help = format!("# HELP {family} ");
        let help = text
            .lines()
            .find_map(|line| line.strip_prefix(help.as_str()));
        assert!(
            help.is_some_and(|help| help.len() > 10),
            "{name} has no help"
        );
    }
    for name in ["secret-user", "bob", "away", "demo", "made-up", "127.0.0.1"] {
        assert!(!text.contains(name), "{name} is named:\n{text}");
    }
}

#[tokio::test]
async fn metrics_may_have_an_address_of_their_own() {
    let server = Server::with(Options::new().args(&["--metrics-listen", "127.0.0.1:0"])).await;
    server.get("/metrics", None).await.problem(404);
    let out = server.stdout();
    let url = out
        .lines()
        .find_map(|line| line.strip_prefix("metrics http://"))
        .unwrap();
    let (address, path) = url.split_once('/').unwrap();
    assert_eq!(path, "metrics");
    let ask = async |target: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        Answer::of(Box::new(stream), "GET", target, &[]).await
    };
    assert!(ask("/metrics").await.body.contains("relaybox_sessions 0"));
    assert_eq!(ask("/healthz").await.body, "ok\n");
    assert_eq!(ask("/readyz").await.status, 200);
    let stream = TcpStream::connect(address).await.unwrap();
    let two = [("host", "a"), ("host", "b")];
    let answer = Answer::of(Box::new(stream), "GET", "/metrics", &two);
    answer.await.problem(400);
    // Nothing else is open there.
    for target in [
        "/",
        "/ws",
        "/message-log?domain=demo&toId=u",
        "/openapi.json",
    ] {
        ask(target).await.problem(404);
    }
}

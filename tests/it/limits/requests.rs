//! How many requests one address or user may make, where their bytes, logins or a reload matter. The rest:
//! `router::limits`.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::http::Answer;
use crate::support::{PROJECT_TOKEN, soon};

/// Neither none nor two (RFC 9112, 3.2).
#[tokio::test]
async fn requests_without_one_host_are_refused_and_counted_as_others_are() {
    let server = behind_proxy(&["--requests-per-address", "2/h"]).await;
    let ask = async |version: &str, method: &str, path: &str, headers: &str| {
        let mut stream = plain(&server).await;
        let request =
            format!("{method} {path} HTTP/{version}\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        let read = stream.read_to_string(&mut said);
        soon("the answer", read).await.unwrap();
        said.to_lowercase()
    };
    let host_named = |said: &str| said.contains("\"invalid_request\"");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (at, (path, hosts)) in [
        ("/message-log?domain=demo&toId=u", ""),
        ("/messages", "Host: a\r\nHost: b\r\n"),
        ("/nowhere", ""),
        ("/", "Host: a\r\nHost: a\r\n"),
        ("/ws", upgrade),
        ("/metrics", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let headers = format!("{hosts}X-Forwarded-For: 203.0.113.{at}\r\n");
        for _ in 0..2 {
            let said = ask("1.1", "GET", path, &headers).await;
            assert!(
                said.starts_with("http/1.1 400 ") && host_named(&said),
                "{said}"
            );
            // A script may read why, but of the metrics nothing at all.
            let is_read = said.contains("\r\naccess-control-allow-origin: *\r\n");
            assert_eq!(is_read, path != "/metrics", "{said}");
        }
        let said = ask("1.1", "GET", path, &headers).await;
        assert!(said.starts_with("http/1.1 429 "), "{said}");
    }
    let counted = metric(&server, "relaybox_http_requests_total", "status=\"400\"").await;
    assert_eq!(counted, 12);
    for path in ["/healthz", "/metrics", "/message-log"] {
        let said = ask("1.1", "OPTIONS", path, "").await;
        assert!(
            said.starts_with("http/1.1 400 ") && host_named(&said),
            "{said}"
        );
    }
    // HTTP/1.0 knows no `Host`.
    assert!(ask("1.0", "GET", "/healthz", "").await.contains(" 200 ok"));
}

#[tokio::test]
async fn requests_of_one_user_are_limited_and_those_by_project_token_are_not() {
    let limited = Options::new().file("requests_per_user = \"3/h\"\n");
    let mut server = Server::with(limited).await;
    let (one, other) = (server.mint("u1", &[]).await, server.mint("u2", &[]).await);
    let (own, foreign) = (
        "/message-log?domain=demo&toId=u1",
        "/message-log?domain=demo&toId=u3",
    );
    for (target, status) in [(own, 200), (foreign, 403), (own, 200)] {
        assert_eq!(server.get(target, Some(&one)).await.status, status);
    }
    // Another of its tokens makes it no other user.
    let again = server.mint("u1", &["--ttl", "2h"]).await;
    for token in [&one, &again] {
        let answer = server.get(own, Some(token)).await;
        let detail = answer.problem(429);
        assert!(detail.contains("this user"), "{detail}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 60);
    }
    let with = "/message-log?domain=demo&toId=u2&with=u1";
    assert_eq!(server.get(with, Some(&other)).await.status, 200);
    for _ in 0..5 {
        let answer = server.get(own, Some(PROJECT_TOKEN)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let limit = "limit=\"requests_per_user\"";
    assert_eq!(metric(&server, "relaybox_limited_total", limit).await, 2);
    server.says("requests_per_user").await;

    let off = "requests_per_user = \"off\"\n";
    server.home.write("data/relaybox.toml", off);
    server.signal(Signal::HUP);
    server.says("the settings have been read again").await;
    assert_eq!(server.get(own, Some(&one)).await.status, 200);
}

#[tokio::test]
async fn what_asks_for_an_upgrade_and_becomes_no_login_counts() {
    let server = behind_proxy(&["--requests-per-address", "3/h"]).await;
    let bad = async |upgrade: &str| {
        let headers = [
            ("x-forwarded-for", "203.0.113.7"),
            ("connection", "upgrade"),
            ("upgrade", upgrade),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "short"),
        ];
        Answer::of(plain(&server).await, "GET", "/ws", &headers).await
    };
    // A login is none of these.
    for id in ["a", "b", "c", "d"] {
        let mut session = from(&server, "203.0.113.7", &Login::new(id)).await;
        session.ready().await;
    }
    for (upgrade, status) in [("x", 426), ("websocket", 400), ("x", 426)] {
        assert_eq!(bad(upgrade).await.status, status, "{upgrade}");
    }
    for upgrade in ["x", "websocket"] {
        bad(upgrade).await.problem(429);
    }
    let mut session = from(&server, "203.0.113.7", &Login::new("e")).await;
    session.ready().await;
}

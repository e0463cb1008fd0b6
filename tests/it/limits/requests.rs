//! How many requests one address may make, whatever they come to.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::http::Answer;
use crate::support::{PROJECT_TOKEN, soon};

async fn ask(server: &Server, address: &str, method: &str, target: &str) -> Answer {
    let headers = [("x-forwarded-for", address)];
    Answer::of(plain(server).await, method, target, &headers).await
}

/// As [`ask`], with a token.
async fn ask_with(server: &Server, method: &str, target: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("x-forwarded-for", "203.0.113.7"),
        ("authorization", bearer.as_str()),
    ];
    Answer::of(plain(server).await, method, target, &headers).await
}

#[tokio::test]
async fn requests_of_one_address_are_limited_whatever_they_come_to() {
    let server = behind_proxy(&["--requests-per-address", "2/h"]).await;
    for (at, (method, target, status)) in [
        ("GET", "/message-log?domain=demo&toId=u", 401),
        ("PUT", "/message-log", 405),
        ("GET", "/metrics", 200),
        ("PUT", "/metrics", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/", 200),
        ("GET", "/ws", 426),
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("203.0.113.{at}");
        for _ in 0..2 {
            let answer = ask(&server, &address, method, target).await;
            assert_eq!(answer.status, status, "{method} {target}");
        }
        let limited = ask(&server, &address, method, target).await;
        let detail = limited.problem(429);
        assert!(detail.contains("from this address"), "{detail}");
        assert!(limited.header("retry-after").parse::<u64>().unwrap() > 60);
        // Probes are for free.
        assert_eq!(ask(&server, &address, "GET", "/healthz").await.status, 200);
    }
    let limited = "limit=\"requests_per_address\"";
    assert_eq!(metric(&server, "relaybox_limited_total", limited).await, 7);
    server.says("requests_per_address").await;
}

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

/// What has a token that is good, in each place where a backend asks.
const OF_BACKENDS: [(&str, &str, u16); 5] = [
    // A body is missing, and no token.
    ("POST", "/messages", 415),
    ("POST", "/tokens", 415),
    ("GET", "/message-log?domain=demo&toId=u", 200),
    ("GET", "/presence?domain=demo&id=u", 200),
    ("DELETE", "/message-log?domain=demo&toId=u", 204),
];

#[tokio::test]
async fn strangers_use_up_nothing_of_a_backend_at_their_address() {
    let mut server = behind_proxy(&["--requests-per-address", "20/h"]).await;
    // It counts for nothing itself, in the query string neither.
    for _ in 0..8 {
        for (method, target, status) in OF_BACKENDS {
            let answer = ask_with(&server, method, target, PROJECT_TOKEN).await;
            assert_eq!(answer.status, status, "{method} {target}: {}", answer.body);
        }
        let target = format!("/message-log?domain=demo&toId=u&token={PROJECT_TOKEN}");
        let answer = ask(&server, "203.0.113.7", "GET", &target).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let stranger = async || ask(&server, "203.0.113.7", "GET", "/presence").await;
    for _ in 0..20 {
        assert_eq!(stranger().await.status, 400);
    }
    for _ in 0..5 {
        stranger().await.problem(429);
        for (method, target, status) in OF_BACKENDS {
            let answer = ask_with(&server, method, target, PROJECT_TOKEN).await;
            assert_eq!(answer.status, status, "{method} {target}: {}", answer.body);
        }
    }
    // Who holds a user token counts, but apart from them; whoever asks where no token is looked at counts as they do.
    let user = server.mint("u", &[]).await;
    let own = "/message-log?domain=demo&toId=u";
    for _ in 0..20 {
        assert_eq!(ask_with(&server, "GET", own, &user).await.status, 200);
    }
    ask_with(&server, "GET", own, &user).await.problem(429);
    ask_with(&server, "GET", "/", PROJECT_TOKEN)
        .await
        .problem(429);
}

#[tokio::test]
async fn a_token_where_none_is_taken_is_for_free_no_more_than_none() {
    let server = behind_proxy(&["--requests-per-address", "3/h"]).await;
    for at in 0..4 {
        let target = format!("/presence?domain=demo&id=u&token={PROJECT_TOKEN}");
        let answer = ask(&server, "203.0.113.7", "GET", &target).await;
        answer.problem(if at < 3 { 401 } else { 429 });
    }
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

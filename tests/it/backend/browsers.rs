//! What pages of other origins may do.

use serde_json::json;
use tokio_tungstenite::tungstenite::http::{HeaderName, header};

use super::message;
use crate::support::http::Answer;
use crate::support::tls::Stream;
use crate::support::{Client, Login, Options, PROJECT_TOKEN, Server, Way};

const APP: &str = "https://app.example.com";
const OTHER: &str = "https://other.example";

async fn preflight(server: &Server, target: &str, method: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        (
            "access-control-request-headers",
            // Scripts that trace requests add some of their own.
            "authorization,content-type,traceparent,x-datadog-trace-id",
        ),
    ];
    server.request("OPTIONS", target, &headers).await
}

async fn send_from(server: &Server, origin: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("origin", origin),
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = message(json!({})).to_string();
    Answer::to(server.stream().await, "POST", "/messages", &headers, body).await
}

#[tokio::test]
async fn pages_of_all_origins_may_ask_unless_the_settings_say_which() {
    let listed = [
        "--cors-origins",
        APP,
        "--cors-origins",
        "https://*.example.org",
    ];
    let open = Server::start().await;
    let closed = Server::with(Options::new().args(&listed)).await;
    let below = "https://a.b.example.org";
    for (server, origin, allowed) in [
        (&open, OTHER, "*"),
        (&closed, APP, APP),
        (&closed, below, below),
        (&closed, OTHER, ""),
        (&closed, "https://example.org", ""),
    ] {
        for (target, method) in [
            ("/messages", "POST"),
            ("/tokens", "POST"),
            ("/message-log", "DELETE"),
        ] {
            let answer = preflight(server, target, method, origin).await;
            assert!((200..300).contains(&answer.status), "{}", answer.status);
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{origin}"
            );
            let methods = answer.header("access-control-allow-methods");
            assert!(methods.contains(method), "{methods}");
            let headers = answer.header("access-control-allow-headers").to_lowercase();
            for asked in [
                "authorization",
                "content-type",
                "traceparent",
                "x-datadog-trace-id",
            ] {
                assert!(headers.contains(asked), "{headers}");
            }
        }
        // Also where it is refused: the page is to read why.
        for (token, status) in [(PROJECT_TOKEN, 201), ("rb-of-nobody", 401)] {
            let answer = send_from(server, origin, token).await;
            assert_eq!(answer.status, status, "{}", answer.body);
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{origin}"
            );
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
    }
    // A preflight may ask for no header.
    let bare = [("origin", OTHER), ("access-control-request-method", "GET")];
    let answer = open.request("OPTIONS", "/message-log", &bare).await;
    let allowed = answer.header("access-control-allow-headers");
    assert_eq!(allowed, "authorization,content-type");
    // What differs by origin must not be taken from a cache for another.
    let answer = send_from(&closed, APP, PROJECT_TOKEN).await;
    assert!(answer.header("vary").to_lowercase().contains("origin"));
}

/// A login whose request has these headers, too.
async fn log_in(server: &Server, login: &Login, headers: &[(&str, &str)]) -> Client {
    log_in_over(server.stream().await, login, headers).await
}

async fn log_in_plain(server: &Server, headers: &[(&str, &str)]) -> Client {
    let address = server.plain.as_ref().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    log_in_over(Box::new(stream), &Login::new("u1"), headers).await
}

async fn log_in_over(stream: Stream, login: &Login, headers: &[(&str, &str)]) -> Client {
    let mut request = login.request();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        let value = value.parse().unwrap();
        match name == header::HOST {
            true => _ = request.headers_mut().insert(name, value),
            false => _ = request.headers_mut().append(name, value),
        }
    }
    Client::open(stream, request).await
}

#[tokio::test]
async fn pages_of_all_origins_may_log_in_unless_the_settings_say_which() {
    let listed = [APP, "capacitor://localhost", "moz-extension://*"];
    let listed = listed.map(|origin| ["--ws-origins", origin]).concat();
    let open = Server::start().await;
    let closed = Server::with(Options::new().args(&listed)).await;
    let own = format!("https://{}", closed.address);
    let named = [("host", "chat.example"), ("origin", "https://chat.example")];
    for (server, headers) in [
        (&open, &[("origin", OTHER)][..]),
        (&open, &[]),
        (&closed, &[]),
        (&closed, &[("origin", APP)]),
        (&closed, &[("origin", "capacitor://localhost")]),
        (&closed, &[("origin", "moz-extension://0a1b2c3d-0000")]),
        // The console's.
        (&closed, &[("host", &closed.address), ("origin", &own)]),
        (&closed, &named),
    ] {
        let mut client = log_in(server, &Login::new("u1"), headers).await;
        client.ready().await;
    }
    for headers in [
        &[("origin", OTHER)][..],
        &[("origin", "null")],
        &[("origin", "app://localhost")],
        &[
            ("origin", OTHER),
            ("authorization", "Bearer x"),
            ("authorization", "Bearer y"),
        ],
        &[("origin", "http://app.example.com")],
        &[("origin", APP), ("origin", OTHER)],
        // Of whom it is not known whether it is a proxy this says nothing.
        &[("origin", OTHER), ("x-forwarded-host", "other.example")],
    ] {
        for way in [Way::Query, Way::Subprotocol] {
            let mut client = log_in(&closed, &Login::new("u1").way(way), headers).await;
            let reason = client.closed(4403).await;
            assert!(reason.contains("`ws_origins`"), "{headers:?}: {reason}");
        }
    }
    // Nor does a page learn there whether a token is good, or its login is.
    for login in [Login::new("u1").token("rb-of-nobody"), Login::new("")] {
        let mut client = log_in(&closed, &login, &[("origin", OTHER)]).await;
        client.closed(4403).await;
    }
    closed.says("who=https://other.example").await;
}

#[tokio::test]
async fn a_refused_origin_brings_no_secret_and_no_field_into_the_log() {
    let refused = async |server: &Server| {
        let metrics = server.get("/metrics", None).await.body;
        let mut lines = metrics.lines();
        let counted = "relaybox_limited_total{limit=\"ws_origins\"} ";
        let count = lines.find_map(|line| line.strip_prefix(counted));
        count.unwrap().parse::<u32>().unwrap()
    };
    for origin in [
        "wss://chat.example/ws?token=rb-secret",
        "rb-secret",
        "https://x limit=store_quota times=rb-secret",
    ] {
        let server = Server::with(Options::new().args(&["--ws-origins", APP])).await;
        // A page's `fetch` is no login.
        let fetched = server.request("GET", "/ws", &[("origin", OTHER)]).await;
        fetched.problem(426);
        assert_eq!(refused(&server).await, 0);
        let mut client = log_in(&server, &Login::new("u1"), &[("origin", origin)]).await;
        client.closed(4403).await;
        server.says("who=no-origin").await;
        assert_eq!(refused(&server).await, 1);
        let log = server.stderr();
        assert!(!log.contains("rb-secret"), "{log}");
        assert!(!log.contains("who=https://other.example"), "{log}");
    }
}

#[tokio::test]
async fn who_sets_authorization_is_no_page_whatever_origin_it_claims() {
    let server = Server::with(Options::new().args(&["--ws-origins", APP])).await;
    let login = Login::new("u1").way(Way::Header);
    let mut client = log_in(&server, &login, &[("origin", OTHER)]).await;
    client.ready().await;
    let wrong = login.token("rb-of-nobody");
    let mut client = log_in(&server, &wrong, &[("origin", OTHER)]).await;
    client.closed(4401).await;
    // The header of a proxy in front says nothing of the page behind it.
    let proxys = [("origin", OTHER), ("authorization", "Bearer of.a.proxy")];
    for way in [Way::Query, Way::Subprotocol] {
        let mut client = log_in(&server, &Login::new("u1").way(way), &proxys).await;
        client.closed(4403).await;
    }
    // Nor where it is a token of this server, which a proxy adds to every request.
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let proxys = [("origin", OTHER), ("authorization", bearer.as_str())];
    let wrong = Login::new("u1").token("rb-of-nobody");
    for login in [Login::new("u1"), wrong] {
        for way in [Way::Query, Way::Subprotocol] {
            let mut client = log_in(&server, &login.clone().way(way), &proxys).await;
            client.closed(4403).await;
        }
    }
    // A browser may send this by itself: of a URL with a user in it.
    let basic = [("origin", OTHER), ("authorization", "Basic dTE6cA==")];
    let mut client = log_in(&server, &Login::new("u1"), &basic).await;
    client.closed(4403).await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_servers_own_pages_may_log_in_by_the_name_that_it_passes_on() {
    let args = ["--plain", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1"];
    let args = Options::new().args(&args).args(&["--ws-origins", APP]);
    let server = Server::with(args).await;
    let forwarded = [
        ("origin", "https://chat.example"),
        ("x-forwarded-host", "chat.example"),
        ("x-forwarded-for", "203.0.113.7"),
    ];
    let on_a_port = [
        ("host", "chat.example"),
        ("origin", "https://chat.example:8443"),
        ("x-forwarded-port", "8443"),
    ];
    for (headers, is_admitted) in [
        (&forwarded[..], true),
        (&forwarded[..1], false),
        (&on_a_port, true),
        (&on_a_port[..2], false),
    ] {
        let mut client = log_in_plain(&server, headers).await;
        match is_admitted {
            true => client.ready().await,
            false => _ = client.closed(4403).await,
        }
    }
}

#[tokio::test]
async fn own_pages_are_known_by_the_names_of_the_server_and_none_leads_another_name_here() {
    let args = ["--plain", "127.0.0.1:0", "--host", "chat.example"];
    let args = Options::new().args(&args).args(&["--ws-origins", APP]);
    let server = Server::with(args).await;
    let plain = server.plain.as_ref().unwrap();
    let by_address = format!("http://{plain}");
    for (host, origin, is_admitted) in [
        // A proxy has put its own into `Host`.
        (plain.as_str(), "https://chat.example", true),
        (plain, "https://chat.example:8443", true),
        (plain, "https://other.example", false),
        (plain, "https://localhost:3000", false),
        // A page is asked for by the name that leads here.
        ("evil.example:80", "http://evil.example", false),
        ("chat.example:80", "http://chat.example", true),
        ("chat.example", "https://chat.example:443", true),
        ("localhost:8080", "http://localhost:8080", true),
        (plain, &by_address, true),
    ] {
        let mut client = log_in_plain(&server, &[("host", host), ("origin", origin)]).await;
        match is_admitted {
            true => client.ready().await,
            false => _ = client.closed(4403).await,
        }
    }
    let headers = [("host", "inner"), ("origin", "https://chat.example")];
    let mut client = log_in(&server, &Login::new("u1"), &headers).await;
    client.ready().await;
}

#[tokio::test]
async fn no_page_reads_the_metrics_and_no_answer_is_taken_for_something_else() {
    let server = Server::start().await;
    let get = async |target| server.request("GET", target, &[("origin", OTHER)]).await;
    let metrics = get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.header("access-control-allow-origin"), "");
    let refused = server
        .request("POST", "/metrics", &[("origin", OTHER)])
        .await;
    refused.problem(405);
    assert_eq!(refused.header("access-control-allow-origin"), "");
    assert_eq!(
        get("/healthz").await.header("access-control-allow-origin"),
        "*"
    );
    for target in [
        "/",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/ws",
        "/nowhere",
    ] {
        let answer = get(target).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            "nosniff",
            "{target}"
        );
    }
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
}

//! Requests that have gone astray: what is likely is said to programs, browsers and in the log.

use crate::support::http::Answer;
use crate::support::tls::Stream;
use crate::support::{Client, Login, Options, PROJECT_TOKEN, Server};

/// What Chromium sends of itself for a page.
const PAGES: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
);

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn plain(server: &Server) -> Stream {
    let address = server.plain.as_ref().unwrap();
    Box::new(tokio::net::TcpStream::connect(address).await.unwrap())
}

/// Whether a cache keeps what a page gets apart from what a program gets.
fn varies(answer: &Answer) -> bool {
    let mut names = answer.header("vary").split(", ");
    names.any(|name| name == "accept")
}

#[tokio::test]
async fn a_slash_behind_the_path_of_logins_changes_nothing() {
    let server = Server::start().await;
    let mut request = Login::new("u1").request();
    let target = format!("/ws/?{}", Login::new("u1").query());
    *request.uri_mut() = format!("wss://localhost{target}").parse().unwrap();
    let mut client = Client::open(server.stream().await, request).await;
    client.ready().await;
    assert_eq!(server.get("/ws/", None).await.status, 426);
}

#[tokio::test]
async fn an_upgrade_elsewhere_is_told_the_path() {
    let server = Server::start().await;
    for target in ["/", "/chat/ws", "/websocket", "/message-log"] {
        let answer = server.request("GET", target, &UPGRADE).await;
        let detail = answer.problem(404);
        assert!(detail.contains("`/ws`"), "{target}: {detail}");
    }
    // A proxy may add these two to every request.
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let added = [UPGRADE[0], UPGRADE[1], ("authorization", &bearer)];
    for target in [
        "/",
        "/message-log?domain=demo&toId=u",
        "/presence?domain=demo&id=u",
        "/readyz",
        "/healthz",
        "/metrics",
        "/openapi.json",
    ] {
        let answer = server.request("GET", target, &added).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    }
    let body = super::message(serde_json::json!({})).to_string();
    let headers = [&added[..], &[("content-type", "application/json")]].concat();
    let sent = Answer::to(server.stream().await, "POST", "/messages", &headers, body);
    assert_eq!(sent.await.status, 201);
    // Another upgrade may be passed over (RFC 9110, 7.8).
    let h2c = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
    ];
    assert_eq!(server.request("GET", "/", &h2c).await.status, 200);
}

#[tokio::test]
async fn a_login_whose_upgrade_a_proxy_has_dropped_is_told_so_and_so_is_the_log() {
    let login = format!("/ws?{}", Login::new("u1").query());
    for (target, headers) in [
        // nginx without the lines for it.
        (
            "/ws",
            &[("connection", "close"), UPGRADE[2], UPGRADE[3]][..],
        ),
        ("/ws", &[UPGRADE[0], UPGRADE[2], UPGRADE[3]]),
        (&login, &[("x-forwarded-for", "203.0.113.7")]),
        (&login, &[("via", "1.1 squid")]),
    ] {
        let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
        let answer = Answer::of(plain(&server).await, "GET", target, headers).await;
        let detail = answer.problem(426);
        assert!(
            detail.contains("a proxy in between"),
            "{headers:?}: {detail}"
        );
        server.says("a proxy in between does not pass").await;
        assert!(!server.stderr().contains(PROJECT_TOKEN));
    }
    let server = Server::start().await;
    for (target, headers) in [
        ("/ws", &[][..]),
        (&login, &[]),
        ("/ws", &[("via", "1.1 squid")]),
    ] {
        let detail = server.request("GET", target, headers).await.problem(426);
        assert!(!detail.contains("proxy"), "{headers:?}: {detail}");
        assert!(detail.contains("WebSocket"), "{detail}");
    }
    assert!(!server.stderr().contains("a proxy in between"));
}

#[tokio::test]
async fn a_browser_gets_a_sentence_with_a_link_and_a_program_json() {
    let server = Server::start().await;
    for (target, status, way) in [
        ("/nowhere", 404, "href=\"./\""),
        ("/no/where/<b>", 404, "href=\"./../../\""),
        ("/ws", 426, "href=\"./\""),
        ("/ws/", 426, "href=\"./../\""),
        ("/message-log", 400, "href=\"./\""),
        ("/message-log?domain=%3Cb%3E&toId=", 400, "href=\"./\""),
        ("/presence?domain=demo&id=u", 401, "href=\"./\""),
        ("/messages", 405, "href=\"./\""),
    ] {
        let target = &target.replace('<', "%3C").replace('>', "%3E");
        let page = server.request("GET", target, &[PAGES]).await;
        assert_eq!(page.status, status, "{target}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.header("content-security-policy").contains("'none'"));
        assert!(varies(&page), "{:?}", page.headers);
        assert!(page.body.contains(way), "{target}: {}", page.body);
        assert!(!page.body.contains("<b>"), "{}", page.body);
        let program = server.request("GET", target, &[("accept", "*/*")]).await;
        let detail = program.problem(status);
        assert!(page.body.contains(&detail), "{detail}: {}", page.body);
        assert!(varies(&program), "{:?}", program.headers);
    }
    // The same beside the body.
    let page = server.request("GET", "/presence?domain=demo&id=u", &[PAGES]);
    assert_eq!(page.await.header("www-authenticate"), "Bearer");
    let icon = server.request("GET", "/favicon.ico", &[]).await;
    assert_eq!(icon.status, 200);
    assert_eq!(icon.header("content-type"), "image/svg+xml");
}

#[tokio::test]
async fn a_program_gets_json_whatever_its_library_asks_for() {
    let server = Server::start().await;
    let java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    let history = "/message-log?domain=demo&toId=u&token=wrong";
    let with_token = [PAGES, ("authorization", "Bearer wrong")];
    for (method, target, headers, status) in [
        ("GET", history, &[("accept", java)][..], 401),
        ("GET", history, &with_token, 401),
        ("GET", history, &[PAGES, ("sec-fetch-mode", "cors")], 401),
        ("POST", "/messages", &[("accept", java)], 401),
        // A form on a page of another server gets this far, too.
        ("POST", "/messages", &[PAGES], 401),
        ("DELETE", "/message-log?domain=demo", &[PAGES], 400),
    ] {
        let answer = server.request(method, target, headers).await;
        answer.problem(status);
        assert!(varies(&answer), "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn no_cache_keeps_what_a_token_has_opened() {
    let server = Server::start().await;
    let token = Some(PROJECT_TOKEN);
    for (target, token, status) in [
        ("/message-log?domain=demo&toId=u", token, 200),
        ("/presence?domain=demo&id=u", token, 200),
        ("/message-log?domain=demo&toId=u", None, 401),
        ("/presence?domain=demo", token, 400),
    ] {
        let answer = server.get(target, token).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.header("cache-control"), "no-store", "{target}");
    }
    let message = super::message(serde_json::json!({}));
    let sent = server.post("/messages", PROJECT_TOKEN, &message).await;
    assert_eq!(
        (sent.status, sent.header("cache-control")),
        (201, "no-store")
    );
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let target = "/message-log?domain=demo&toId=box";
    let erased = server.request("DELETE", target, &headers).await;
    assert_eq!(
        (erased.status, erased.header("cache-control")),
        (204, "no-store")
    );
}

#[tokio::test]
async fn a_body_may_begin_with_a_byte_order_mark() {
    let server = Server::start().await;
    let body = format!("\u{feff}{}", super::message(serde_json::json!({})));
    let sent = server.post("/messages", PROJECT_TOKEN, body).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
}

//! What pages of other origins may do.

use serde_json::json;
use tokio_tungstenite::tungstenite;

use crate::common::http::Answer;
use crate::common::{Login, Options, PROJECT_TOKEN, Server};
use crate::message;

const APP: &str = "https://app.example.com";
const OTHER: &str = "https://other.example";

async fn preflight(server: &Server, target: &str, method: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        (
            "access-control-request-headers",
            "authorization,content-type",
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
            assert!(headers.contains("authorization") && headers.contains("content-type"));
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
    // What differs by origin must not be taken from a cache for another.
    let answer = send_from(&closed, APP, PROJECT_TOKEN).await;
    assert!(answer.header("vary").to_lowercase().contains("origin"));
}

/// The status of an upgrade from this origin.
async fn upgrade(server: &Server, origins: &[&str]) -> (u16, String) {
    let mut request = Login::new("u1").request();
    for origin in origins {
        request
            .headers_mut()
            .append("origin", origin.parse().unwrap());
    }
    let stream = server.stream().await;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((_, response)) => (response.status().as_u16(), String::new()),
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).unwrap())
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn pages_of_all_origins_may_log_in_unless_the_settings_say_which() {
    let listed = ["--ws-origins", APP, "--ws-origins", "http://localhost:3000"];
    let open = Server::start().await;
    let closed = Server::with(Options::new().args(&listed)).await;
    for (server, origins, status) in [
        (&open, &[OTHER][..], 101),
        (&open, &[], 101),
        (&closed, &[APP], 101),
        (&closed, &["http://localhost:3000"], 101),
        // What is no browser.
        (&closed, &[], 101),
        (&closed, &[OTHER], 403),
        (&closed, &["null"], 403),
        (&closed, &["http://app.example.com"], 403),
        (&closed, &[APP, OTHER], 403),
    ] {
        let (told, body) = upgrade(server, origins).await;
        assert_eq!(told, status, "{origins:?}: {body}");
        assert_eq!(body.contains("`ws_origins`"), status == 403, "{body}");
    }
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

//! The history without a token: programs of a network that is trusted read it, and pages that
//! somebody there opens do not.

use super::{LOG, Service};
use crate::history::open::is_read;
use crate::support::PROJECT_TOKEN;

const APP: &str = "https://app.example.com";
const OTHER: &str = "https://other.example";
const ALLOWS: &str = "access-control-allow-origin";

/// A service that is open, with a message in the mailbox `box`.
async fn open(settings: &str) -> Service {
    let service = Service::with(&format!("history_open = true\n{settings}"));
    service.say("u1", "box", "hello").await;
    service
}

#[tokio::test]
async fn no_page_reads_without_a_token_as_long_as_the_settings_name_none() {
    let server = open("").await;
    let get = async |headers: &[(&str, &str)]| server.request("GET", LOG, headers).await;
    // As a page's simple request without `Origin`, and a program's.
    let answer = get(&[]).await;
    assert!(is_read(&answer));
    assert_eq!(answer.header(ALLOWS), "");
    for origins in [
        &[("origin", OTHER)][..],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "https://localhost"), ("origin", OTHER)],
        // Not over TLS: somebody between may have written that page.
        &[("origin", "http://localhost")],
        &[("origin", "https://localhost:1")],
        &[("origin", "https://localhost.other.example")],
    ] {
        let answer = get(origins).await;
        let detail = answer.problem(403);
        assert!(detail.contains("`cors_origins`"), "{origins:?}: {detail}");
        assert_eq!(answer.header(ALLOWS), "", "{origins:?}");
        let vary = answer.header("vary").to_lowercase();
        assert!(vary.contains("origin"), "{vary}");
    }
    // Of the head and of refusals a page learns nothing either.
    let head = server.request("HEAD", LOG, &[]).await;
    assert_eq!((head.status, head.header(ALLOWS)), (200, ""));
    let wrong = server.request("GET", "/message-log?domain=demo", &[("origin", OTHER)]);
    let wrong = wrong.await;
    wrong.problem(400);
    assert_eq!(wrong.header(ALLOWS), "");
    // It is this endpoint's alone.
    let other = server.request("GET", "/openapi.json", &[("origin", OTHER)]);
    assert_eq!(other.await.header(ALLOWS), "*");
}

#[tokio::test]
async fn pages_that_the_settings_name_read_without_a_token() {
    let listed = open(&format!("cors_origins = [\"{APP}\"]\n")).await;
    let all = open("cors_origins = [\"*\"]\n").await;
    for (server, origin, allowed) in [
        (&listed, APP, APP),
        (&listed, OTHER, ""),
        (&all, OTHER, "*"),
        (&all, "null", "*"),
    ] {
        let answer = server.request("GET", LOG, &[("origin", origin)]).await;
        assert_eq!(is_read(&answer), !allowed.is_empty(), "{origin}");
        assert_eq!(answer.header(ALLOWS), allowed, "{origin}");
    }
    // What differs by origin must not be taken from a cache for another.
    let answer = listed.request("GET", LOG, &[("origin", APP)]).await;
    assert!(answer.header("vary").to_lowercase().contains("origin"));
    // A page that has led its name here is not of an origin that is named.
    let headers = [("host", "rebound.example"), ("origin", APP)];
    assert!(!is_read(&listed.request("GET", LOG, &headers).await));
}

#[tokio::test]
async fn a_name_that_somebody_has_led_here_reads_nothing_without_a_token() {
    let server = open("host = [\"chat.example\", \"*.example.org\"]\n").await;
    for (host, is_own) in [
        ("127.0.0.1:8443", true),
        ("192.0.2.7", true),
        ("[::1]:8443", true),
        ("localhost", true),
        ("LocalHost.:8443", true),
        ("app.localhost", true),
        ("chat.example", true),
        ("CHAT.example.:1", true),
        ("a.example.org", true),
        ("rebound.example", false),
        ("rebound.example:8443", false),
        ("a.chat.example", false),
        ("chat.example.rebound.example", false),
        ("localhost.rebound.example", false),
        ("notlocalhost", false),
        ("a.b.example.org", false),
        ("127.0.0.1.rebound.example", false),
        ("[::1].rebound.example", false),
        ("127.0.0.1@rebound.example", false),
        ("", false),
    ] {
        let answer = server.request("GET", LOG, &[("host", host)]).await;
        assert_eq!(is_read(&answer), is_own, "{host}");
        if !is_own {
            assert!(answer.problem(403).contains("setting `host`"), "{host}");
            assert_eq!(answer.header(ALLOWS), "");
        }
        assert_eq!(
            is_read(&server.get_plain(LOG, &[("host", host)]).await),
            is_own
        );
    }
    let two = [("host", "localhost"), ("host", "rebound.example")];
    server.request("GET", LOG, &two).await.problem(400);
    // The target says it, too, and counts (RFC 9112, 3.2.2).
    let target = format!("https://rebound.example{LOG}");
    assert!(!is_read(&server.request("GET", &target, &[]).await));
}

#[tokio::test]
async fn a_token_is_judged_and_answered_as_where_the_history_is_not_open() {
    let server = open("").await;
    let (owner, stranger) = (server.mint("box"), server.mint("u9"));
    for (token, status) in [
        (PROJECT_TOKEN, 200),
        (owner.as_str(), 200),
        (stranger.as_str(), 403),
        ("rb-of-nobody", 401),
    ] {
        let bearer = format!("Bearer {token}");
        let asked = [("origin", OTHER), ("host", "rebound.example")];
        let in_header = [asked[0], asked[1], ("authorization", bearer.as_str())];
        let in_query = format!("{LOG}&token={token}");
        for answer in [
            server.request("GET", LOG, &in_header).await,
            server.request("GET", &in_query, &asked).await,
        ] {
            assert_eq!(answer.status, status, "{}", answer.body);
            assert_eq!(answer.header(ALLOWS), "*");
        }
    }
    let asks = [
        ("origin", OTHER),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let preflight = server.request("OPTIONS", LOG, &asks).await;
    assert_eq!(preflight.header(ALLOWS), "*");
}

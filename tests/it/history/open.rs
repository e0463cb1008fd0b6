//! The history without a token: programs of a network that is trusted read it, and pages that
//! somebody there opens do not.

use tokio::net::TcpStream;

use super::LOG;
use crate::support::http::Answer;
use crate::support::{Home, Options, PROJECT_TOKEN, Server};

const APP: &str = "https://app.example.com";
const OTHER: &str = "https://other.example";
const ALLOWS: &str = "access-control-allow-origin";

/// A server that is open, with a message in the mailbox `box`.
async fn open(args: &[&str]) -> Server {
    open_at(Home::new(), args).await
}

async fn open_at(home: Home, args: &[&str]) -> Server {
    let options = Options::new().file("history_open = true\n");
    let options = options.args(&["--plain", "127.0.0.1:0"]).args(args);
    let server = Server::at(home.into(), options).await;
    server.user("u1").await.say_acked("box", "hello").await;
    server
}

async fn plain(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let stream = TcpStream::connect(server.plain.as_ref().unwrap());
    Answer::of(Box::new(stream.await.unwrap()), "GET", LOG, headers).await
}

/// The message was read, or a problem said why not.
#[track_caller]
fn is_read(answer: &Answer) -> bool {
    if answer.status == 200 {
        assert_eq!(answer.json()["total"], 1);
        return true;
    }
    answer.problem(403);
    assert!(!answer.body.contains("hello"));
    false
}

#[tokio::test]
async fn no_page_reads_without_a_token_as_long_as_the_settings_name_none() {
    let server = open(&[]).await;
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
async fn pages_of_the_server_itself_read_without_a_token() {
    let server = open(&[]).await;
    let at = |port: u16| {
        (
            format!("localhost:{port}"),
            format!("https://localhost:{port}"),
        )
    };
    let (host, origin) = at(server.port());
    for (host, origin) in [
        (host.as_str(), origin.as_str()),
        ("localhost", "https://localhost"),
        ("LOCALHOST:443", "https://localhost"),
    ] {
        let answer = server
            .request("GET", LOG, &[("host", host), ("origin", origin)])
            .await;
        assert!(is_read(&answer), "{origin}");
    }
    // There a proxy may have spoken TLS.
    for (origin, is_own) in [
        ("https://localhost", true),
        ("http://localhost", true),
        ("http://localhost:8080", false),
        ("ftp://localhost", false),
    ] {
        let answer = plain(&server, &[("origin", origin)]).await;
        assert_eq!(is_read(&answer), is_own, "{origin}");
    }
}

#[tokio::test]
async fn pages_that_the_settings_name_read_without_a_token() {
    let listed = open(&["--cors-origins", APP]).await;
    let all = open(&["--cors-origins", "*"]).await;
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
    let named = ["--host", "chat.example", "--host", "*.example.org"];
    let server = open(&named).await;
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
        assert_eq!(is_read(&plain(&server, &[("host", host)]).await), is_own);
    }
    let two = [("host", "localhost"), ("host", "rebound.example")];
    server.request("GET", LOG, &two).await.problem(400);
    // The target says it, too, and counts (RFC 9112, 3.2.2).
    let target = format!("https://rebound.example{LOG}");
    assert!(!is_read(&server.request("GET", &target, &[]).await));
}

#[tokio::test]
async fn the_names_of_a_certificate_from_elsewhere_are_the_servers() {
    let home = Home::new();
    let names = ["localhost", "foreign.example", "*.wild.example"];
    let made = rcgen::generate_simple_self_signed(names.map(str::to_owned)).unwrap();
    home.write("certs/cert.pem", made.cert.pem());
    home.write("certs/key.pem", made.signing_key.serialize_pem());
    home.write("certs/ca.pem", made.cert.pem());
    let server = open_at(home, &["--host", "behind-a-proxy.example"]).await;
    for (host, is_own) in [
        ("foreign.example", true),
        ("a.wild.example", true),
        ("wild.example", false),
        ("behind-a-proxy.example", true),
        ("rebound.example", false),
    ] {
        let answer = plain(&server, &[("host", host)]).await;
        assert_eq!(is_read(&answer), is_own, "{host}");
    }
}

#[tokio::test]
async fn a_token_is_judged_and_answered_as_where_the_history_is_not_open() {
    let mut server = open(&[]).await;
    let (owner, stranger) = (server.mint("box", &[]).await, server.mint("u9", &[]).await);
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

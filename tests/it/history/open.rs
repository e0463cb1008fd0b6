//! The history without a token over both addresses, and under the names of a certificate. The rest:
//! `router::history::open`.

use tokio::net::TcpStream;

use super::LOG;
use crate::support::http::Answer;
use crate::support::{Home, Options, Server};

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
    plain_at(server, LOG, headers).await
}

async fn plain_at(server: &Server, target: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = TcpStream::connect(server.plain.as_ref().unwrap());
    Answer::of(Box::new(stream.await.unwrap()), "GET", target, headers).await
}

/// The message was read, or a problem said why not.
#[track_caller]
pub(crate) fn is_read(answer: &Answer) -> bool {
    if answer.status == 200 {
        assert_eq!(answer.json()["total"], 1);
        return true;
    }
    answer.problem(403);
    assert!(!answer.body.contains("hello"));
    false
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
    // A target in absolute form counts instead of `Host` (RFC 9112, 3.2.2).
    for (name, is_own) in [("localhost", true), ("rebound.example", false)] {
        let target = format!("http://{name}{LOG}");
        let answer = plain_at(&server, &target, &[("host", "localhost")]).await;
        assert_eq!(is_read(&answer), is_own, "{name}");
    }
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

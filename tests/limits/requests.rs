//! How many requests one address may make, whatever they come to.

use rustix::process::Signal;

use super::*;
use crate::common::PROJECT_TOKEN;
use crate::common::http::Answer;

async fn ask(server: &Server, address: &str, method: &str, target: &str) -> Answer {
    let headers = [("x-forwarded-for", address)];
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

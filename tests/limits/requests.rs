//! How many requests one address may make, whatever they come to.

use super::*;
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

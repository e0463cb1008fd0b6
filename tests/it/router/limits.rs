//! How many requests one address may make, whatever they come to.

use super::Service;
use crate::limits::metric_in;
use crate::support::PROJECT_TOKEN;
use crate::support::http::Answer;

/// A service that believes what its proxy, this test, says of who it speaks for.
fn behind_proxy(requests_per_address: &str) -> Service {
    Service::with(&format!(
        "trusted_proxies = [\"127.0.0.1\"]\nrequests_per_address = \"{requests_per_address}\"\n"
    ))
}

async fn ask(server: &Service, address: &str, method: &str, target: &str) -> Answer {
    let headers = [("x-forwarded-for", address)];
    server.request(method, target, &headers).await
}

/// As [`ask`], with a token.
async fn ask_with(server: &Service, method: &str, target: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("x-forwarded-for", "203.0.113.7"),
        ("authorization", bearer.as_str()),
    ];
    server.request(method, target, &headers).await
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
async fn requests_of_one_address_are_limited_whatever_they_come_to() {
    let server = behind_proxy("2/h");
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
    let metrics = server.get("/metrics", None).await;
    assert_eq!(
        metric_in(&metrics.body, "relaybox_limited_total", limited),
        7
    );
    assert!(server.log().contains("requests_per_address"));
}

#[tokio::test]
async fn strangers_use_up_nothing_of_a_backend_at_their_address() {
    let server = behind_proxy("20/h");
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
    let user = server.mint("u");
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
    let server = behind_proxy("3/h");
    for at in 0..4 {
        let target = format!("/presence?domain=demo&id=u&token={PROJECT_TOKEN}");
        let answer = ask(&server, "203.0.113.7", "GET", &target).await;
        answer.problem(if at < 3 { 401 } else { 429 });
    }
}

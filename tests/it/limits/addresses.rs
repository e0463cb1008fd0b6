//! Limits of one address, and who counts as one.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::http::Answer;
use crate::support::{PROJECT_TOKEN, soon, until};

/// Whether a connection ends without an answer to what is asked there.
async fn is_closed_at_once(address: &str) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may have ended already.
    let _ = stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let mut byte = [0];
    matches!(soon("an end", stream.read(&mut byte)).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn connections_of_one_address_are_limited_and_others_are_not_touched() {
    let server = behind_proxy(&["--connections-per-address-max", "2"]).await;
    let login = |id: &str| Login::new(id);
    let mut first = from(&server, "203.0.113.7", &login("a")).await;
    let mut second = from(&server, "203.0.113.7", &login("b")).await;
    first.ready().await;
    second.ready().await;
    // What the client wrote itself does not make it another one.
    for address in ["203.0.113.7", "198.51.100.1, 203.0.113.7"] {
        let reason = from(&server, address, &login("c")).await.closed(4529).await;
        assert!(retry_ms(&reason) > 0);
        assert!(reason.ends_with("too many connections from this address"));
    }
    from(&server, "203.0.113.8", &login("d"))
        .await
        .ready()
        .await;
    second.close().await;
    // Its place is free as soon as the server knows that it has gone.
    until("a place", || async {
        let mut again = from(&server, "203.0.113.7", &login("e")).await;
        again.send_text("ping").await;
        again.text_or_close().await
    })
    .await;
    let limited = "limit=\"connections_per_address_max\"";
    assert!(metric(&server, "relaybox_limited_total", limited).await >= 2);
    server.says("connections_per_address_max").await;
}

#[tokio::test]
async fn an_address_that_is_not_trusted_speaks_for_nobody() {
    let args = [
        "--plain",
        "127.0.0.1:0",
        "--connections-per-address-max",
        "2",
    ];
    // Not of the machine itself, so that it is limited like any other.
    let server = Server::with(Options::new().args(&args).args(&["--unlimited", "off"])).await;
    let mut sessions = Vec::new();
    for id in ["a", "b"] {
        let mut session = from(&server, "203.0.113.7", &Login::new(id)).await;
        session.ready().await;
        sessions.push(session);
    }
    let mut third = TcpStream::connect(server.plain.as_ref().unwrap())
        .await
        .unwrap();
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut third, &mut byte).await;
    assert!(
        matches!(read, Ok(0) | Err(_)),
        "the third is closed at once"
    );
    server.says("not in trusted_proxies").await;
}

#[tokio::test]
async fn who_connects_too_fast_is_closed_before_it_costs_anything() {
    let args = ["--connects-per-address", "3/h", "--unlimited", "off"];
    let server = Server::with(Options::new().args(&args)).await;
    for _ in 0..3 {
        server.get("/healthz", None).await;
    }
    assert!(is_closed_at_once(&server.address).await);
    assert_eq!(stats(&server).await["limited"], 1);
}

#[tokio::test]
async fn beside_bad_tokens_good_ones_from_the_same_address_log_in_at_any_time() {
    let mut server = behind_proxy(&["--failed-logins-per-address", "5/h"]).await;
    let user_token = server.mint("a", &[]).await;
    let brief = server.mint("a", &["--ttl", "1s"]).await;
    let (bad, good) = (Login::new("a").token("wrong"), Login::new("a"));
    let mut older = from(&server, "203.0.113.7", &good).await;
    older.ready().await;
    for _ in 0..5 {
        from(&server, "203.0.113.7", &bad).await.closed(4401).await;
    }
    for _ in 0..3 {
        let reason = from(&server, "203.0.113.7", &bad).await.closed(4529).await;
        assert!(retry_ms(&reason) > 60_000, "{reason}");
        assert!(reason.ends_with("too many failed logins from this address"));
        for (token, resource) in [(PROJECT_TOKEN, "phone"), (&user_token, "desk")] {
            let login = good.clone().token(token).resource(resource);
            from(&server, "203.0.113.7", &login).await.ready().await;
        }
    }
    // A token that was good is none that somebody has guessed.
    let expired = good.clone().token(&brief).resource("watch");
    until("an end", || async {
        let mut client = from(&server, "203.0.113.7", &expired).await;
        client.try_send_text("ping").await;
        client.text_or_close().await.is_none().then_some(())
    })
    .await;
    let mut client = from(&server, "203.0.113.7", &expired).await;
    client.closed(4401).await;
    let other = Login::new("b").token(&user_token);
    from(&server, "203.0.113.7", &other)
        .await
        .closed(4403)
        .await;
    older.ready().await;
    from(&server, "203.0.113.8", &bad).await.closed(4401).await;
    let limited = "limit=\"failed_logins_per_address\"";
    assert_eq!(metric(&server, "relaybox_limited_total", limited).await, 3);
    let unauthorized = "reason=\"unauthorized\"";
    assert_eq!(
        metric(&server, "relaybox_logins_refused_total", unauthorized).await,
        6
    );
}

#[tokio::test]
async fn who_repeats_an_expired_or_a_foreign_token_is_bounded_by_connections_and_requests() {
    const FREE: usize = 5;
    let rates = "5/h";
    let args = [
        "--connects-per-address",
        rates,
        "--requests-per-address",
        rates,
    ];
    let mut server = behind_proxy(&args).await;
    let user_token = server.mint("a", &[]).await;
    let brief = server.mint("a", &["--ttl", "1s"]).await;
    let ask = async |server: &Server, address: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("x-forwarded-for", address),
            ("authorization", bearer.as_str()),
        ];
        let target = "/message-log?domain=demo&toId=a";
        Answer::of(plain(server).await, "GET", target, &headers).await
    };
    let expired = Login::new("a").token(&brief);
    // Its session ends with it.
    let mut session = from(&server, "198.51.100.1", &expired).await;
    session.closed(4401).await;
    let lines = || {
        let log = server.stderr();
        log.lines().filter(|line| !line.contains(" DEBUG ")).count()
    };
    let before = lines();
    let foreign = Login::new("b").token(&user_token);
    for (address, login, code) in [
        ("203.0.113.7", &expired, 4401),
        ("203.0.113.8", &foreign, 4403),
    ] {
        for _ in 0..FREE {
            from(&server, address, login).await.closed(code).await;
        }
        for _ in 0..3 {
            let reason = from(&server, address, login).await.closed(4529).await;
            assert!(reason.contains("from this address"), "{reason}");
        }
        // A good one is let in all the same.
        let good = Login::new("a").token(&user_token);
        from(&server, address, &good).await.ready().await;
    }
    for _ in 0..FREE {
        ask(&server, "203.0.113.7", &brief).await.problem(401);
    }
    for _ in 0..3 {
        ask(&server, "203.0.113.7", &brief).await.problem(429);
    }
    // One for each limit, whatever was refused by it.
    let told = lines() - before;
    assert!(told <= 2, "{}", server.stderr());
}

#[tokio::test]
async fn bad_tokens_in_requests_count_as_well_and_good_ones_are_answered() {
    let mut server = behind_proxy(&["--failed-logins-per-address", "5/h"]).await;
    let user_token = server.mint("u", &[]).await;
    let target = "/message-log?domain=demo&toId=u";
    let ask = async |address: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("x-forwarded-for", address),
            ("authorization", bearer.as_str()),
        ];
        Answer::of(plain(&server).await, "GET", target, &headers).await
    };
    for _ in 0..5 {
        ask("203.0.113.7", "wrong").await.problem(401);
    }
    let answer = ask("203.0.113.7", "wrong").await;
    answer.problem(429);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 60);
    for good in [PROJECT_TOKEN, &user_token] {
        assert_eq!(ask("203.0.113.7", good).await.status, 200);
    }
    ask("203.0.113.8", "wrong").await.problem(401);
}

#[tokio::test]
async fn who_asks_on_and_on_waits_for_each_refusal() {
    const REFUSED: usize = 10;
    let proxied = ["--plain", "127.0.0.1:0", "--trusted-proxies", "127.0.0.2"];
    for limit in ["--requests-per-address", "--requests-per-user"] {
        let limits = [limit, "1/h", "--unlimited", "off"];
        let mut server = Server::with(Options::new().args(&proxied).args(&limits)).await;
        let token = server.mint("u1", &[]).await;
        let get = format!(
            "GET /message-log?domain=demo&toId=u1 HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\n"
        );
        let target = server.plain.as_ref().unwrap().parse().unwrap();
        let mut took = Vec::new();
        for (source, answered) in [("127.0.0.1:0", 1), ("127.0.0.2:0", 0)] {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(source.parse().unwrap()).unwrap();
            let mut stream = socket.connect(target).await.unwrap();
            // The user asks from both.
            let answered = if limit == "--requests-per-user" {
                answered
            } else {
                1
            };
            let asked = format!("{get}\r\n").repeat(REFUSED + answered - 1);
            let last = format!("{get}Connection: close\r\n\r\n");
            let begun = std::time::Instant::now();
            stream.write_all((asked + &last).as_bytes()).await.unwrap();
            let mut said = String::new();
            let read = soon("all answers", stream.read_to_string(&mut said)).await;
            read.unwrap();
            assert_eq!(said.matches("HTTP/1.1 200").count(), answered, "{said}");
            assert_eq!(said.matches("HTTP/1.1 429").count(), REFUSED, "{said}");
            took.push(begun.elapsed());
        }
        // Each waits for a tenth of a second, one after the other.
        assert!(
            took[0].as_millis() >= 100 * REFUSED as u128,
            "{limit}: {took:?}"
        );
    }
}

#[tokio::test]
async fn behind_a_proxy_bad_logins_take_places_too() {
    let server = behind_proxy(&["--connects-per-address", "3/h"]).await;
    let malformed = Login::new("");
    for _ in 0..3 {
        let mut client = from(&server, "203.0.113.7", &malformed).await;
        client.closed(4400).await;
    }
    let reason = from(&server, "203.0.113.7", &malformed)
        .await
        .closed(4529)
        .await;
    assert!(
        reason.ends_with("connections come too fast from this address"),
        "{reason}"
    );
    // They take none of those whose tokens are good, which have as many.
    let good = Login::new("a");
    for _ in 0..3 {
        from(&server, "203.0.113.7", &good).await.ready().await;
    }
    let mut client = from(&server, "203.0.113.7", &good).await;
    client.closed(4529).await;
    let unknown = good.token("wrong");
    let mut client = from(&server, "203.0.113.7", &unknown).await;
    client.closed(4529).await;
}

#[tokio::test]
async fn bad_requests_take_nothing_from_good_user_tokens_of_the_same_address() {
    let mut server = behind_proxy(&["--requests-per-address", "3/h"]).await;
    let token = server.mint("u", &[]).await;
    let ask = async |target: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("x-forwarded-for", "203.0.113.7"),
            ("authorization", bearer.as_str()),
        ];
        Answer::of(plain(&server).await, "GET", target, &headers).await
    };
    let own = "/message-log?domain=demo&toId=u";
    for status in [401, 401, 401, 429, 429] {
        ask(own, "wrong").await.problem(status);
    }
    let in_url = format!("{own}&token={token}");
    assert_eq!(ask(own, &token).await.status, 200);
    assert_eq!(ask(&in_url, "of.a.proxy").await.status, 200);
    ask("/presence?domain=demo&id=u", &token).await.problem(403);
    // Who has one asks above the rate no more than others do.
    let detail = ask(own, &token).await.problem(429);
    assert!(detail.contains("from this address"), "{detail}");
}

#[tokio::test]
async fn whom_a_trusted_proxy_does_not_name_is_limited_and_the_log_says_so() {
    // This machine is `unlimited`.
    let server = behind_proxy(&["--connections-per-address-max", "2"]).await;
    // What watches over the server, or is a backend, may well come without.
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    for target in ["/healthz", "/readyz", "/presence?domain=demo&id=u"] {
        let asked = Answer::of(plain(&server).await, "GET", target, &headers);
        assert_eq!(asked.await.status, 200, "{target}");
    }
    server.signal(Signal::HUP);
    server.says("the settings have been read again").await;
    let log = server.stderr();
    assert!(!log.contains("names nobody"), "{log}");
    let mut sessions = Vec::new();
    for (id, address) in [("a", ""), ("b", "unknown")] {
        let mut session = from(&server, address, &Login::new(id)).await;
        session.ready().await;
        sessions.push(session);
    }
    let mut without = Client::open(plain(&server).await, Login::new("c").request()).await;
    let reason = without.closed(4529).await;
    assert!(
        reason.ends_with("too many connections from this address"),
        "{reason}"
    );
    server.says("names nobody").await;
    let named = "\"[2001:db8::7]:4711\"";
    let mut friend = from(&server, named, &Login::new("d")).await;
    friend.ready().await;
    let listed = server.cli(&["sessions"]).await;
    assert!(listed.contains("2001:db8::7"), "{listed}");
}

#[tokio::test]
async fn a_trusted_proxy_that_passes_on_what_clients_write_is_told_of_where_it_shows() {
    let server = behind_proxy(&[]).await;
    // Requests for these paths with these headers, one behind the other on one connection.
    let ask = async |requests: &[(&str, &str)]| {
        let mut stream = plain(&server).await;
        let asked = requests.iter().enumerate().map(|(number, (path, header))| {
            let version = match number + 1 == requests.len() {
                true => "1.0",
                false => "1.1",
            };
            format!("GET {path} HTTP/{version}\r\nHost: x\r\n{header}\r\n")
        });
        let asked: String = asked.collect();
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut said = String::new();
        let read = soon("all answers", stream.read_to_string(&mut said));
        read.await.unwrap();
        assert_eq!(said.matches("HTTP/1.").count(), requests.len(), "{said}");
    };
    let named = "X-Forwarded-For: 203.0.113.7\r\n";
    // A client at the proxy's machine.
    let local = "X-Forwarded-For: 127.0.0.1\r\n";
    let bearer = format!("Authorization: Bearer {PROJECT_TOKEN}\r\n");
    ask(&[("/x", named), ("/x", local), ("/x", named)]).await;
    ask(&[("/x", ""), ("/x", "")]).await;
    // The proxy's own checks, and a backend.
    let presence = "/presence?domain=demo&id=u";
    ask(&[
        ("/healthz", ""),
        ("/x", named),
        ("/readyz", ""),
        (presence, &bearer),
        ("/x", named),
    ])
    .await;
    server.signal(Signal::HUP);
    server.says("the settings have been read again").await;
    let told = "with some requests and others without";
    assert!(!server.stderr().contains(told));
    ask(&[("/x", named), ("/x", "")]).await;
    server.says(told).await;
}

#[tokio::test]
async fn over_tls_nobody_speaks_for_others() {
    let server = behind_proxy(&["--connections-per-address-max", "1"]).await;
    let mut sessions = Vec::new();
    for id in ["a", "b", "c"] {
        let mut request = Login::new(id).request();
        request
            .headers_mut()
            .insert("x-forwarded-for", "203.0.113.7".parse().unwrap());
        let mut session = Client::open(server.stream().await, request).await;
        session.ready().await;
        sessions.push(session);
    }
    let listed = server.cli(&["sessions"]).await;
    assert!(!listed.contains("203.0.113.7"), "{listed}");
}

//! Logging in and being refused: PROTOCOL section 2.

use crate::support::login::upgrade_request;
use crate::support::raw::Frame;
use crate::support::{
    Client, DEADLINE, DEMO, Login, Options, PROJECT_TOKEN, Raw, Server, Way, encode, soon, until,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PARAMETERS: [&str; 5] = ["id", "name", "domain", "resource", "token"];

/// A good login's query with `change` made to the encoded parameters.
fn query(change: impl Fn(&str, String) -> Vec<String>) -> String {
    let pairs = Login::new("u1").pairs();
    let pairs: Vec<String> = pairs
        .into_iter()
        .flat_map(|(name, value)| {
            let values = change(name, value);
            values
                .into_iter()
                .map(move |value| format!("{name}={value}"))
        })
        .collect();
    pairs.join("&")
}

fn with(parameter: &str, value: &str) -> String {
    query(|name, given| {
        vec![if name == parameter {
            value.into()
        } else {
            given
        }]
    })
}

async fn open(server: &Server, query: &str) -> Client {
    Client::open(server.stream().await, upgrade_request(query)).await
}

#[tokio::test]
async fn the_token_may_come_in_three_ways() {
    let server = Server::start().await;
    for way in [Way::Query, Way::Header, Way::Subprotocol] {
        let login = Login::new("u1").way(way);
        let (mut client, headers) = Client::answered(server.stream().await, login.request()).await;
        client.ready().await;
        let protocol = headers.get("sec-websocket-protocol");
        let expected = (way == Way::Subprotocol).then_some("relaybox");
        assert_eq!(protocol.map(|p| p.to_str().unwrap()), expected, "{way:?}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_after_the_handshake_however_it_came() {
    let server = Server::start().await;
    for way in [Way::Query, Way::Header, Way::Subprotocol] {
        // With the subprotocol the handshake succeeds only if the server answers it.
        let login = Login::new("u1").way(way).token("wrong-token-9a7c");
        let reason = server.refused(&login, 4401).await;
        assert!(!reason.contains("wrong-token"), "{reason}");
    }
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let server = Server::start().await;
    for parameter in PARAMETERS {
        let longest = match parameter {
            "domain" => 253,
            "id" => 128,
            "name" => 256,
            "resource" => 64,
            _ => 4096,
        };
        let too_long_in_bytes = encode(&"é".repeat(longest / 2 + 1));
        let mut queries = vec![
            (
                "missing",
                query(|n, v| if n == parameter { vec![] } else { vec![v] }),
            ),
            (
                "repeated",
                query(|n, v| vec![v; 1 + usize::from(n == parameter)]),
            ),
            ("empty", with(parameter, "")),
            ("too long", with(parameter, &"x".repeat(longest + 1))),
            ("too long in bytes", with(parameter, &too_long_in_bytes)),
            ("bad percent", with(parameter, "a%zz")),
            ("cut percent", with(parameter, "a%4")),
            ("bad UTF-8", with(parameter, "a%ff")),
            ("cut UTF-8", with(parameter, "%e4%bd")),
            ("surrogate", with(parameter, "%ed%a0%80")),
        ];
        for control in ["%00", "%1F", "%0A", "%7F", "%C2%80", "%C2%9F"] {
            queries.push((control, with(parameter, &format!("a{control}b"))));
        }
        for (case, query) in queries {
            let reason = open(&server, &query).await.closed(4400).await;
            assert!(reason.contains(parameter), "{parameter} {case}: {reason}");
            assert!(!reason.contains(PROJECT_TOKEN), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_login_without_any_token_is_refused_in_every_way() {
    let server = Server::start().await;
    let query = Login::new("u1").way(Way::Header).query();
    for (name, value) in [
        ("authorization", "Bearer "),
        ("authorization", "Basic dTE6cA=="),
        ("sec-websocket-protocol", "relaybox"),
    ] {
        let mut request = upgrade_request(&query);
        request.headers_mut().insert(name, value.parse().unwrap());
        let mut client = Client::open(server.stream().await, request).await;
        let reason = client.closed(4400).await;
        assert!(reason.contains("token"), "{name}: {value}: {reason}");
    }
}

#[tokio::test]
async fn the_longest_and_strangest_names_are_taken_as_they_are() {
    let server = Server::start().await;
    let cases = [
        Login::new(&"i".repeat(128))
            .name(&"n".repeat(256))
            .resource(&"r".repeat(64)),
        Login::new("a/b:c%41&d=e#f?g")
            .name("100% + \"quoted\" \\ <b>")
            .resource("; , '"),
        Login::new("用户").name("爱丽丝 🙂").resource("电话"),
        Login::new(" ").name("\u{a0}").resource("\u{2028}"),
    ];
    for login in cases {
        let mut client = server.login(&login).await;
        let pairs = login.pairs();
        let decode = |at: usize| {
            let value = percent_encoding::percent_decode_str(&pairs[at].1);
            value.decode_utf8().unwrap().into_owned()
        };
        client.say(&decode(0), "to myself").await;
        let message = client.message().await;
        assert_eq!(message["fromId"], decode(0));
        assert_eq!(message["toId"], decode(0));
        assert_eq!(message["fromName"], decode(1));
        assert_eq!(message["fromResource"], decode(3));
    }
}

#[tokio::test]
async fn a_token_that_is_not_of_this_server_does_not_count_beside_one_that_is() {
    let mut server = Server::start().await;
    let other = server.add_domain("other").await;
    let user_token = server.mint("u1", &[]).await;
    let expired = server.mint("u1", &["--ttl", "1s"]).await;
    let log_in = async |login: &Login, authorization: &str| {
        let mut request = login.request();
        let value = format!("Bearer {authorization}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        Client::open(server.stream().await, request).await
    };
    // A proxy in front has tokens of its own.
    let foreign = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl";
    let long = "x".repeat(5000);
    for way in [Way::Query, Way::Subprotocol] {
        for token in [PROJECT_TOKEN, &user_token] {
            let login = Login::new("u1").way(way).token(token);
            for authorization in [foreign, "opaque", "", &long, token] {
                log_in(&login, authorization).await.ready().await;
            }
        }
        let login = Login::new("u1").way(way).token("rb-of-nobody");
        log_in(&login, &user_token).await.ready().await;
        let reason = log_in(&login, foreign).await.closed(4401).await;
        assert!(reason.contains("unknown"), "{reason}");
    }
    let place = |way| match way {
        Way::Query => "in the URL",
        _ => "as a subprotocol",
    };
    until("an end", async || {
        let login = Login::new("u1").token(&expired).resource("watch");
        let mut client = server.connect(&login).await;
        client.try_send_text("ping").await;
        client.text_or_close().await.is_none().then_some(())
    })
    .await;
    for way in [Way::Query, Way::Subprotocol] {
        let login = Login::new("u1").way(way);
        for own in [&other, &user_token, &expired] {
            let reason = log_in(&login, own).await.closed(4400).await;
            let expected = format!("`token` is given in `Authorization` and {}", place(way));
            assert!(reason.starts_with(&expected), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_history_is_read_by_the_token_that_is_of_this_server() {
    let mut server = Server::start().await;
    let user_token = server.mint("u1", &[]).await;
    let ask = async |method: &str, in_url: &str, in_header: &str| {
        let target = format!("/message-log?domain={DEMO}&toId=u1&token={in_url}");
        let bearer = format!("Bearer {in_header}");
        let headers = [("authorization", bearer.as_str())];
        server.request(method, &target, &headers).await
    };
    for (in_url, in_header) in [
        (PROJECT_TOKEN, "opaque"),
        (&user_token, "a.b.c"),
        ("opaque", PROJECT_TOKEN),
        (PROJECT_TOKEN, PROJECT_TOKEN),
    ] {
        let answer = ask("GET", in_url, in_header).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(ask("DELETE", PROJECT_TOKEN, "opaque").await.status, 204);
    ask("GET", "opaque", "other").await.problem(401);
    let detail = ask("GET", PROJECT_TOKEN, &user_token).await.problem(400);
    assert!(
        detail.contains("in `Authorization` and in the URL"),
        "{detail}"
    );
}

#[tokio::test]
async fn several_authorization_headers_are_refused() {
    let server = Server::start().await;
    let without = query(|n, v| if n == "token" { vec![] } else { vec![v] });
    let mut request = upgrade_request(&without);
    for token in [PROJECT_TOKEN, "another"] {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().append("authorization", value);
    }
    let mut refused = Client::open(server.stream().await, request).await;
    let reason = refused.closed(4400).await;
    assert!(reason.contains("`token`"), "{reason}");
}

#[tokio::test]
async fn plus_is_a_space_and_unknown_parameters_are_ignored() {
    let server = Server::start().await;
    let query = format!("{}&further=1&empty=&&x", with("name", "A+B%2BC%20D"));
    let mut client = open(&server, &query).await;
    client.ready().await;
    client.say("u1", "hello").await;
    assert_eq!(client.message().await["fromName"], "A B+C D");
}

/// A good login's query whose name stands there as it is.
fn raw_name(name: &[u8]) -> Vec<u8> {
    let query = with("name", "NAME");
    let (before, behind) = query.split_once("NAME").unwrap();
    [before.as_bytes(), name, behind.as_bytes()].concat()
}

#[tokio::test]
async fn what_client_libraries_leave_as_it_is_in_the_url_is_read() {
    let server = Server::start().await;
    for name in ["Anna B", "\"{}<>|^`\\", "中 文", "a  b "] {
        let query = raw_name(name.as_bytes());
        let mut client = Raw::by_query(server.stream().await, &query).await;
        client.settle().await;
        client.answers = true;
        client
            .send(&serde_json::json!({"toId": "u1", "type": 10, "content": name}))
            .await;
        // Those before may come again.
        let mut message = client.message().await;
        while message["content"] != name {
            message = client.message().await;
        }
        assert_eq!(message["fromName"], name);
    }
}

#[tokio::test]
async fn so_is_a_login_behind_other_requests_of_its_connection_as_proxies_send_them() {
    let server = Server::start().await;
    let mut stream = server.stream().await;
    for _ in 0..2 {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let read = soon("an answer", stream.read_buf(&mut answer));
            assert!(read.await.unwrap() > 0, "{}", answer.escape_ascii());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    }
    let mut client = Raw::by_query(stream, &raw_name(b"Anna B")).await;
    client.settle().await;
}

#[tokio::test]
async fn what_is_no_utf_8_in_the_url_is_named_to_the_client_and_in_the_log() {
    let server = Server::start().await;
    for (name, sentence) in [
        (&b"M\xfcller"[..], "`name` is malformed"),
        (b"a\tb", "`name` must not contain control characters"),
    ] {
        let mut client = Raw::by_query(server.stream().await, &raw_name(name)).await;
        match client.frame().await {
            Frame::Close(4400, reason) => assert!(reason.starts_with(sentence), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    server
        .says("a login is malformed: `name` is malformed")
        .await;
    assert!(!server.stderr().contains(PROJECT_TOKEN));
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let ask = async |head: &str| {
        let address = server.plain.as_ref().unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {head}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = soon("an answer", stream.read_to_string(&mut answer));
        read.await.unwrap();
        answer
    };
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (head, status) in [
        ("/healthz HTTP/1.1".to_owned(), 400),
        ("/healthz HTTP/1.1\r\nHost: a\r\nHost: a".to_owned(), 400),
        ("/healthz HTTP/1.0\r\nHost: a\r\nHost: a".to_owned(), 400),
        (format!("/ws HTTP/1.1\r\n{upgrade}"), 400),
        ("/healthz HTTP/1.1\r\nHost: a".to_owned(), 200),
        ("/healthz HTTP/1.1\r\nHost:".to_owned(), 200),
        // What is older has none.
        ("/healthz HTTP/1.0".to_owned(), 200),
    ] {
        let answer = ask(&head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} "))
                || answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{head}: {answer}"
        );
        assert_eq!(answer.contains("`Host`"), status == 400, "{head}: {answer}");
    }
}

#[tokio::test]
async fn unknown_domains_tokens_and_reserved_ids_are_refused() {
    let mut server = Server::start().await;
    let other = server.add_domain("other").await;
    let login = Login::new("u1");
    for (case, login) in [
        ("unknown domain", login.clone().domain("nowhere")),
        ("longest domain", login.clone().domain(&"d".repeat(253))),
        ("unknown token", login.clone().token("unknown")),
        ("longest token", login.clone().token(&"t".repeat(4096))),
        (
            "token with a tail",
            login.clone().token(&format!("{PROJECT_TOKEN}x")),
        ),
        ("another domain's token", login.clone().token(&other)),
        ("token for another domain", login.clone().domain("other")),
        (
            "no signature",
            login.clone().token("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSJ9."),
        ),
    ] {
        let reason = server.refused(&login, 4401).await;
        assert!(!reason.is_empty(), "{case}");
    }
    let reason = server.refused(&Login::new("system"), 4400).await;
    assert!(reason.contains("`id`"), "{reason}");
    let token = server.mint("u1", &[]).await;
    for token in [PROJECT_TOKEN, &token] {
        let login = login.clone().name("system").token(token);
        let reason = server.refused(&login, 4400).await;
        assert!(reason.contains("`name`"), "{reason}");
    }
}

#[tokio::test]
async fn a_user_token_logs_in_its_user_only() {
    let mut server = Server::start().await;
    let other = server.add_domain("other").await;
    let token = server.mint("u1", &[]).await;
    let named = server.mint("u1", &["--name", "Alice from the Token"]).await;

    let mut client = server.login(&Login::new("u1").token(&token)).await;
    client.say("u1", "hello").await;
    assert_eq!(client.message().await["fromName"], "Name of u1");

    let login = Login::new("u1").token(&named).resource("phone");
    let mut client = server.login(&login).await;
    client.say("u1", "hello from the phone").await;
    let mut message = client.message().await;
    // The first one may come again: its receipt may be under way still.
    if message["content"] == "hello" {
        message = client.message().await;
    }
    assert_eq!(message["fromName"], "Alice from the Token");

    server.refused(&Login::new("u2").token(&token), 4403).await;
    server
        .refused(&Login::new("u1").token(&token).domain("other"), 4403)
        .await;
    // The same name in another domain, where it was not minted.
    server
        .login(&Login::new("u1").token(&other).domain("other"))
        .await;

    let mut bytes = token.clone().into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(bytes).unwrap();
    server.refused(&Login::new("u1").token(&forged), 4401).await;
}

#[tokio::test]
async fn an_expired_token_ends_its_session_and_logs_in_no_more() {
    let mut server = Server::start().await;
    let token = server.mint("u1", &["--ttl", "3s"]).await;
    let login = Login::new("u1").token(&token);
    let mut client = server.login(&login).await;
    client.closed(4401).await;
    server.refused(&login, 4401).await;
    server.refused(&login.way(Way::Header), 4401).await;
}

#[tokio::test]
async fn a_removed_domain_ends_its_sessions() {
    let mut server = Server::start().await;
    let token = server.add_domain("other").await;
    let user_token = server.mint_for("other", "u2", &[]).await;
    let login = Login::new("u1").domain("other").token(&token);
    let mut by_project = server.login(&login).await;
    let mut by_user = server
        .login(&Login::new("u2").domain("other").token(&user_token))
        .await;
    let mut bystander = server.user("u1").await;

    server.cli(&["domain", "remove", "other", "--yes"]).await;
    by_project.closed(4401).await;
    by_user.closed(4401).await;
    server.refused(&login, 4401).await;
    let minted = server.post("/tokens", &token, r#"{"domain":"other","id":"u3"}"#);
    minted.await.problem(401);
    bystander.nothing().await;
}

#[tokio::test]
async fn a_rotated_token_ends_its_sessions_unless_it_has_grace() {
    let mut server = Server::start().await;
    let first = server.add_domain("other").await;
    let user_token = server.mint_for("other", "u2", &[]).await;
    let login = Login::new("u1").domain("other");
    let mut by_first = server.login(&login.clone().token(&first)).await;

    let second = server
        .cli(&["domain", "rotate", "other", "--grace", "1h"])
        .await;
    server.secret(&second);
    by_first.nothing().await;
    server
        .login(&login.clone().token(&first).resource("phone"))
        .await;
    let mut by_second = server
        .login(&login.clone().token(&second).resource("desk"))
        .await;
    let mut by_user = server
        .login(&Login::new("u2").domain("other").token(&user_token))
        .await;

    let third = server.cli(&["domain", "rotate", "other"]).await;
    server.secret(&third);
    by_second.closed(4401).await;
    by_user.closed(4401).await;
    server.refused(&login.clone().token(&second), 4401).await;
    server.login(&login.token(&third).resource("new")).await;
}

#[tokio::test]
async fn a_second_login_of_the_same_resource_replaces_the_first() {
    let server = Server::start().await;
    let mut first = server.user("u1").await;
    let mut phone = server.login(&Login::new("u1").resource("phone")).await;
    let mut second = server.user("u1").await;
    first.closed(4409).await;
    phone.nothing().await;
    phone.say("u1", "who is there?").await;
    assert_eq!(second.contents(1).await, ["who is there?"]);
    assert_eq!(phone.contents(1).await, ["who is there?"]);
    second.nothing().await;
}

#[tokio::test]
async fn sessions_of_one_user_are_limited() {
    let server = Server::with(Options::new().args(&["--sessions-per-user-max", "3"])).await;
    let login = |n: usize| Login::new("u1").resource(&format!("r{n}"));
    let mut clients = Vec::new();
    for n in 0..3 {
        clients.push(server.login(&login(n)).await);
    }
    server.refused(&login(3), 4529).await;
    // Another user is not affected, nor is replacing one's own session.
    server.user("u2").await;
    let mut replacing = server.login(&login(0)).await;
    clients.remove(0).closed(4409).await;
    clients.remove(0).close().await;
    let mut fourth = until("room for another session", async || {
        let mut client = server.connect(&login(3)).await;
        client.try_send_text("ping").await;
        let answer = tokio::time::timeout(DEADLINE, client.text_or_close()).await;
        (answer.unwrap().as_deref() == Some("pong")).then_some(client)
    })
    .await;
    fourth.nothing().await;
    replacing.nothing().await;
}

#[tokio::test]
async fn sessions_of_the_server_are_limited() {
    let server = Server::with(Options::new().args(&["--sessions-max", "2"])).await;
    let _first = server.user("u1").await;
    let second = server.user("u2").await;
    let reason = server.refused(&Login::new("u3"), 1013).await;
    assert!(reason.contains("limit of sessions"), "{reason}");
    // Who replaces its own session needs no place.
    let replacing = server.user("u2").await;
    drop((second, replacing));
    until("a place that has become free", async || {
        let mut client = server.connect(&Login::new("u3")).await;
        client.try_send_text("ping").await;
        let answer = tokio::time::timeout(DEADLINE, client.text_or_close()).await;
        (answer.unwrap().as_deref() == Some("pong")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn plain_http_gets_426() {
    let server = Server::start().await;
    let target = format!("/ws?{}", Login::new("u1").query());
    for target in ["/ws", target.as_str()] {
        let answer = server.get(target, None).await;
        assert_eq!(answer.status, 426, "{target}");
        assert_eq!(answer.header("upgrade").to_ascii_lowercase(), "websocket");
    }
}

#[tokio::test]
async fn nothing_is_delivered_or_accepted_before_the_token_is_verified() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    sender.say_acked("u2", "for u2 only").await;
    let intruder = Login::new("u2").token("guessed");
    let mut client = server.connect(&intruder).await;
    client
        .try_send_text(r#"{"toId":"u3","type":10,"content":"x","clientMsgId":"1"}"#)
        .await;
    client.try_send_text("ping").await;
    client.closed(4401).await;
    assert!(client.held().is_empty(), "{:?}", client.held());
    client.gone().await;
    assert_eq!(server.history("u3", "").await["total"], 0);
    // Nor did the refused login count as u2 having been there.
    let mut client = server.user("u2").await;
    assert_eq!(client.contents(1).await, ["for u2 only"]);
    assert_eq!(server.history("u2", "").await["list"][0]["domain"], DEMO);
}

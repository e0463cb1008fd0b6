//! Many connections, slow ones, and those that speak something else.

use crate::support::{DEADLINE, Login, Options, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The start of a TLS ClientHello: record and handshake header, and nothing after.
const HALF_HELLO: [u8; 11] = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// How many connections this process and the server may each have open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    line.split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX)
}

/// Two users still log in and talk, within a deadline.
async fn assert_serves(server: &Server) {
    let mut one = server.user("well-behaved-1").await;
    let mut two = server.user("well-behaved-2").await;
    one.say("well-behaved-2", "hello").await;
    assert_eq!(two.contents(1).await, ["hello"]);
    assert_eq!(server.history("nobody", "").await["total"], 0);
}

#[tokio::test]
async fn many_users_talk_at_once() {
    let server = Server::start().await;
    let users = 60;
    let mut clients = Vec::new();
    for n in 0..users {
        clients.push(server.user(&format!("user-{n}")).await);
    }
    for round in 0..5 {
        for (n, client) in clients.iter_mut().enumerate() {
            let to = format!("user-{}", (n + 1 + round) % users);
            client
                .send(&json!({"toId": to, "type": 10, "content": [n, round]}))
                .await;
        }
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let mut contents: Vec<_> = client.contents(5).await;
        contents.sort_by_key(|content| content[1].as_u64());
        for (round, content) in contents.iter().enumerate() {
            let from = (n + 2 * users - 1 - round) % users;
            assert_eq!(*content, json!([from, round]), "to user-{n}");
        }
        client.nothing().await;
    }
}

#[tokio::test]
async fn a_thousand_sessions_are_served() {
    let server = Server::start().await;
    let sessions = 1000.min(descriptors().saturating_sub(100));
    if sessions < 1000 {
        eprintln!("only {sessions} sessions: the open-file limit is low");
    }
    let mut clients = Vec::new();
    for n in 0..sessions {
        clients.push(server.connect(&Login::new(&format!("user-{n}"))).await);
    }
    for client in &mut clients {
        client.ready().await;
    }
    let mut sender = server.user("sender").await;
    let names: Vec<String> = (0..sessions).map(|n| format!("user-{n}")).collect();
    for names in names.chunks(100) {
        sender
            .send(&json!({"toId": names, "type": 10, "content": "all"}))
            .await;
    }
    for client in &mut clients {
        assert_eq!(client.contents(1).await, ["all"]);
    }
}

#[tokio::test]
async fn slow_and_half_open_connections_hold_up_nobody() {
    let server = Server::start().await;
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut tcp = TcpStream::connect(&server.address).await.unwrap();
        if n % 2 == 0 {
            tcp.write_all(&HALF_HELLO).await.unwrap();
        }
        slow.push(tcp);
    }
    let heads = [
        "",
        "G",
        "GET /ws?id=u1",
        "GET /message-log?domain=demo&toId=u1 HTTP/1.1\r\nHost: localhost\r\n",
        "POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
    ];
    let mut half = Vec::new();
    for n in 0..100 {
        let mut stream = server.stream().await;
        stream
            .write_all(heads[n % heads.len()].as_bytes())
            .await
            .unwrap();
        stream.flush().await.unwrap();
        half.push(stream);
    }
    assert_serves(&server).await;
    drop((slow, half));
    assert_serves(&server).await;
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let plain = server.plain.clone().unwrap();
    let mut no_handshake = TcpStream::connect(&server.address).await.unwrap();
    let mut half_handshake = TcpStream::connect(&server.address).await.unwrap();
    half_handshake.write_all(&HALF_HELLO).await.unwrap();
    let mut no_head = TcpStream::connect(&plain).await.unwrap();
    let mut half_head = TcpStream::connect(&plain).await.unwrap();
    half_head
        .write_all(b"GET /message-log HTTP/1.1\r\nHost: ")
        .await
        .unwrap();
    let names = ["no handshake", "half a handshake", "no head", "half a head"];
    let streams = [
        &mut no_handshake,
        &mut half_handshake,
        &mut no_head,
        &mut half_head,
    ];
    for (name, stream) in names.into_iter().zip(streams) {
        // The server may say something before it closes; it must close.
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{name} is still open after {DEADLINE:?}");
    }
}

#[tokio::test]
async fn garbage_ends_its_connection_only() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let plain = server.plain.clone().unwrap();
    let mut witness = server.user("witness").await;
    let long_head = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "y".repeat(1_000_000)
    );
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "z".repeat(200_000));
    let garbage: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\r\n\r\n\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        vec![0; 100_000],
        (0..=255).cycle().take(100_000).collect(),
        vec![22, 3, 1, 0xff, 0xff],
        [&[22, 3, 3, 0, 4][..], &[0xff; 300]].concat(),
        vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10],
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n".to_vec(),
        long_head.into_bytes(),
        many_headers.into_bytes(),
        long_target.into_bytes(),
    ];
    for bytes in &garbage {
        for address in [&server.address, &plain] {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            // The server may close while this is still being written.
            let _ = tcp.write_all(bytes).await;
            let _ = tcp.shutdown().await;
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(DEADLINE, tcp.read_to_end(&mut rest)).await;
            assert!(
                ended.is_ok(),
                "still open after {:?}",
                &bytes[..bytes.len().min(40)]
            );
        }
        let mut stream = server.stream().await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
    }
    witness.nothing().await;
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_http_answer() {
    let server = Server::start().await;
    let good = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let target = format!("/ws?{}", Login::new("u1").query());
    for (name, value) in [
        ("sec-websocket-version", "8"),
        ("sec-websocket-version", ""),
        ("sec-websocket-key", ""),
        ("sec-websocket-key", "short"),
        ("upgrade", "h2c"),
        ("connection", "keep-alive"),
    ] {
        let bad = good.map(|(n, v)| if n == name { (n, value) } else { (n, v) });
        let answer = server.request("GET", &target, &bad).await;
        assert!(
            matches!(answer.status, 400 | 426),
            "{name}: {value}: {}",
            answer.status
        );
    }
    let answer = server.request("POST", &target, &good).await;
    assert!(
        matches!(answer.status, 400 | 405 | 426),
        "POST: {}",
        answer.status
    );
    assert_serves(&server).await;
}

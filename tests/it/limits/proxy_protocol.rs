//! Whose connection a trusted proxy passes on, on both addresses; and that nobody else may say it.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::http::Answer;
use crate::support::{PROJECT_TOKEN, soon, tls, until};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2 from an IPv4 address, with something more behind it.
fn v2(from: [u8; 4], more: usize) -> Vec<u8> {
    let addresses = [&from[..], &[127, 0, 0, 1, 0x30, 0x39, 0x20, 0xfb]].concat();
    let mut rest = addresses;
    if let Some(value) = more.checked_sub(3) {
        rest.push(2);
        rest.extend(u16::try_from(value).unwrap().to_be_bytes());
        rest.extend(vec![b'x'; value]);
    }
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2, &[0x21, 0x11], &length, &rest].concat()
}

fn v1(from: &str) -> Vec<u8> {
    format!("PROXY TCP4 {from} 127.0.0.1 12345 8443\r\n").into()
}

/// A connection to either address that begins with these bytes.
async fn begun(server: &Server, over_tls: bool, start: &[u8]) -> Stream {
    let address = match over_tls {
        true => &server.address,
        false => server.plain.as_ref().unwrap(),
    };
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(start).await.unwrap();
    if !over_tls {
        return Box::new(tcp);
    }
    let roots = tls::roots(&server.home.ca());
    let tls = tls::over(tcp, "localhost", &roots, None);
    Box::new(soon("a TLS handshake", tls).await.unwrap())
}

/// The address that `relaybox sessions` shows for a user.
async fn address_of(server: &Server, user: &str) -> String {
    let listed = server.cli(&["sessions", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mut sessions = listed["list"].as_array().unwrap().iter();
    let of_user = sessions.find(|session| session["id"] == user).unwrap();
    of_user["address"].as_str().unwrap().into()
}

#[tokio::test]
async fn who_is_behind_a_proxy_that_passes_connections_on_counts_by_its_own_address() {
    let server = behind_proxy(&["--connections-per-address-max", "1"]).await;
    let mut sessions = Vec::new();
    for over_tls in [true, false] {
        for (start, address) in [
            (v1("203.0.113.1"), "203.0.113.1"),
            (v2([203, 0, 113, 2], 0), "203.0.113.2"),
            // What follows it takes nothing of the rest.
            (v2([203, 0, 113, 3], 4084), "203.0.113.3"),
            (
                b"PROXY TCP6 2001:db8::7 ::1 12345 8443\r\n".to_vec(),
                "2001:db8::7",
            ),
            // Who is at this machine is limited there as well, as others may be behind that.
            (v1("127.0.0.9"), "127.0.0.9"),
        ] {
            let user = format!("u{}", sessions.len());
            let stream = begun(&server, over_tls, &start).await;
            // On the plain address it is who connects: no proxy, so that its X-Forwarded-For says nothing.
            let mut request = Login::new(&user).request();
            let spoofed = "198.51.100.99".parse().unwrap();
            request.headers_mut().insert("x-forwarded-for", spoofed);
            let mut session = Client::open(stream, request).await;
            session.ready().await;
            assert_eq!(address_of(&server, &user).await, address, "{start:?}");

            let mut second = begun_raw(&server, over_tls, &start).await;
            let mut byte = [0];
            let read = soon("an end", second.read(&mut byte)).await;
            assert!(matches!(read, Ok(0) | Err(_)), "{start:?}");
            session.close().await;
            sessions.push(user);
            // The next round has the same addresses.
            until("a place", || async {
                let open = metric(&server, "relaybox_connections", "").await;
                // That which asks.
                (open == 1).then_some(())
            })
            .await;
        }
    }
    let limited = "limit=\"connections_per_address_max\"";
    assert_eq!(metric(&server, "relaybox_limited_total", limited).await, 10);
}

/// Without TLS, whichever address it is.
async fn begun_raw(server: &Server, over_tls: bool, start: &[u8]) -> TcpStream {
    let address = match over_tls {
        true => &server.address,
        false => server.plain.as_ref().unwrap(),
    };
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(start).await.unwrap();
    tcp
}

#[tokio::test]
async fn a_trusted_proxy_that_sends_no_header_or_one_of_its_own_counts_as_itself() {
    let server = behind_proxy(&[]).await;
    let local = [V2, &[0x20, 0, 0, 0]].concat();
    for (number, start) in [b"", &b"PROXY UNKNOWN\r\n"[..], &local].iter().enumerate() {
        let user = format!("u{number}");
        let stream = begun(&server, true, start).await;
        let mut session = Client::open(stream, Login::new(&user).request()).await;
        session.ready().await;
        assert_eq!(address_of(&server, &user).await, "127.0.0.1");

        // On the plain address it may still name others, request by request.
        let user = format!("p{number}");
        let mut request = Login::new(&user).request();
        let named = "203.0.113.7".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", named);
        let stream = begun(&server, false, start).await;
        let mut session = Client::open(stream, request).await;
        session.ready().await;
        assert_eq!(address_of(&server, &user).await, "203.0.113.7");
    }
    // A header or a request that comes in pieces is put together; neither is taken for the other.
    for whole in ["PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n", ""] {
        let mut stream = begun_raw(&server, false, b"").await;
        stream.set_nodelay(true).unwrap();
        let request = "POST /tokens HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        for byte in [whole, request].concat().bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[tokio::test]
async fn a_header_of_somebody_else_is_refused_and_the_log_says_so() {
    let args = ["--plain", "127.0.0.1:0", "--trusted-proxies", "127.0.0.2"];
    let server = Server::with(Options::new().args(&args)).await;
    for start in [v1("203.0.113.1"), v2([203, 0, 113, 1], 0)] {
        let mut stream = begun_raw(&server, true, &start).await;
        let mut rest = Vec::new();
        let read = soon("an end", stream.read_to_end(&mut rest)).await;
        assert!(read.is_err() || rest.is_empty(), "{rest:?}");

        let mut stream = begun_raw(&server, false, &start).await;
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("No PROXY protocol header"), "{answer}");
    }
    server.says("a PROXY protocol header is refused").await;
    let log = server.stderr();
    let lines = log.lines().filter(|line| line.contains("PROXY protocol"));
    assert_eq!(lines.count(), 1, "one in ten seconds: {log}");
    assert!(log.contains("peer=127.0.0.1"), "{log}");
    let failed = "relaybox_tls_handshakes_failed_total";
    let refused = metric(&server, failed, "reason=\"proxy_header\"").await;
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_header_that_cannot_be_read_or_does_not_end_closes_its_connection() {
    let server = behind_proxy(&[]).await;
    let malformed = b"PROXY TCP4 nobody 127.0.0.1 1 2\r\n".to_vec();
    let mut too_long = v2([203, 0, 113, 1], 0);
    too_long[14..16].copy_from_slice(&5000_u16.to_be_bytes());
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    for over_tls in [true, false] {
        for start in [&malformed, &too_long, &endless] {
            let mut stream = begun_raw(&server, over_tls, start).await;
            let mut byte = [0];
            let read = soon("an end", stream.read(&mut byte)).await;
            assert!(matches!(read, Ok(0) | Err(_)), "{start:?}");
        }
        // Whoever only looks whether the port is open.
        drop(begun_raw(&server, over_tls, b"").await);
    }
    // A part of one: as long as a handshake, or a head, may take.
    let part = &v2([203, 0, 113, 1], 0)[..20];
    let mut over_tls = begun_raw(&server, true, part).await;
    let mut plain = begun_raw(&server, false, part).await;
    let (mut one, mut other) = ([0], [0]);
    let both = async { tokio::join!(over_tls.read(&mut one), plain.read(&mut other)) };
    let (over_tls, plain) = soon("their ends", both).await;
    for read in [over_tls, plain] {
        assert!(matches!(read, Ok(0) | Err(_)), "it stays open");
    }
    server.says("its PROXY protocol header is malformed").await;
    server.signal(Signal::HUP);
    server.says("the settings have been read again").await;
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let stream = begun(&server, true, b"").await;
    let answer = Answer::of(stream, "GET", "/presence?domain=demo&id=u", &headers);
    assert_eq!(answer.await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_that_passes_on_what_clients_send_is_told_of_where_it_shows() {
    let server = behind_proxy(&[]).await;
    let told = "with a PROXY protocol header and others without";
    let v2 = v2([203, 0, 113, 1], 0);
    let local = [V2, &[0x20, 0, 0, 0]].concat();
    for start in [&v1("203.0.113.1"), &v2, &local] {
        drop(begun(&server, true, start).await);
    }
    // Who looks whether the port is open has said nothing; and without TLS requests have their own header.
    drop(begun_raw(&server, true, b"").await);
    drop(begun(&server, false, b"").await);
    server.signal(Signal::HUP);
    server.says("the settings have been read again").await;
    assert!(!server.stderr().contains(told), "{}", server.stderr());
    for start in [&b""[..], &v2, b""] {
        drop(begun(&server, true, start).await);
    }
    server.says(told).await;
    let log = server.stderr();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(told)).collect();
    assert!(
        lines.len() == 1 && lines[0].contains("peer=127.0.0.1"),
        "{log}"
    );
}

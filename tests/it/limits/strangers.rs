//! Connections that say nothing, or do not log in, keep nobody out who does.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::{soon, until_within};

/// More than five times the places.
const SILENT: usize = 500;

/// Half of what a silent connection has until it is closed for that.
const PROMPTLY: Duration = Duration::from_secs(5);

/// Connections that say nothing, from the machine itself, whose address is not limited; each only begins a handshake
/// or a request where `begins` has something.
async fn silent(address: &str, begins: &[u8]) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..SILENT / 2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may have been sent away already.
        let _ = stream.write_all(begins).await;
        streams.push(stream);
    }
    streams
}

/// Until all that have come to this address were let in, or sent away again: whoever comes after them is answered,
/// over TLS with a refusal.
async fn are_settled(address: &str) {
    until_within(PROMPTLY, "an answer", || async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        let mut answer = [0; 9];
        let read = stream.read_exact(&mut answer).await;
        read.ok().filter(|_| &answer == b"HTTP/1.1 ")
    })
    .await;
}

#[tokio::test]
async fn a_crowd_of_silent_connections_keeps_nobody_out_and_ends_no_session() {
    let args = ["--plain", "127.0.0.1:0", "--connections-max", "100"];
    let server = Server::with(Options::new().args(&args)).await;
    let tls_address = server.address.clone();
    let plain_address = server.plain.clone().unwrap();
    let mut sessions = Vec::new();
    for number in 0..20 {
        let login = Login::new(&format!("old{number}"));
        let mut session = match number % 2 {
            0 => server.login(&login).await,
            _ => Client::open(plain(&server).await, login.request()).await,
        };
        session.ready().await;
        sessions.push(session);
    }
    let mut crowd = Vec::new();
    for (round, begins) in [&b""[..], b"\x16", b"GET /healthz HTTP/1.1\r\n"]
        .into_iter()
        .enumerate()
    {
        // Only so many files may be open in a test.
        crowd.clear();
        crowd.extend(silent(&tls_address, begins).await);
        crowd.extend(silent(&plain_address, begins).await);
        are_settled(&tls_address).await;
        are_settled(&plain_address).await;

        let login = Login::new(&format!("tls{round}"));
        let mut over_tls = server.login(&login).await;
        over_tls.ready().await;
        let login = Login::new(&format!("plain{round}"));
        let mut over_plain = Client::open(plain(&server).await, login.request()).await;
        over_plain.ready().await;
        sessions.extend([over_tls, over_plain]);
        assert_eq!(server.get("/healthz", None).await.status, 200);
        // Who has lost its place counts until its own task has ended it.
        until_within(PROMPTLY, "no more connections than places", || async {
            let open = stats(&server).await["connections"].as_u64().unwrap();
            (open <= 100).then_some(())
        })
        .await;
    }
    // The oldest of the crowd have gone, the newest are still there.
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(PROMPTLY, crowd[0].read_to_end(&mut said))
        .await
        .expect("the oldest gives way");
    for session in &mut sessions {
        session.ready().await;
    }
    let limited = "limit=\"connections_max\"";
    assert!(metric(&server, "relaybox_limited_total", limited).await > 1000);
}

#[tokio::test]
async fn where_few_strangers_may_be_the_silent_give_way_and_no_session_does() {
    const FEW: usize = 20;
    const SESSIONS: usize = 40;
    let few = FEW.to_string();
    let args = ["--plain", "127.0.0.1:0", "--strangers-max", &few];
    let server = Server::with(Options::new().args(&args)).await;
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let login = Login::new(&format!("user{number}"));
        let mut session = server.login(&login).await;
        session.ready().await;
        sessions.push(session);
    }
    let limited = "limit=\"strangers_max\"";
    assert_eq!(
        metric(&server, "relaybox_limited_total", limited).await,
        0,
        "who has logged in is none"
    );
    let plain_address = server.plain.clone().unwrap();
    let mut silent = Vec::new();
    for _ in 0..5 * FEW {
        silent.push(TcpStream::connect(&plain_address).await.unwrap());
    }
    are_settled(&plain_address).await;
    let mut newcomer = server.login(&Login::new("newcomer")).await;
    newcomer.ready().await;
    let mut said = Vec::new();
    let _ = tokio::time::timeout(PROMPTLY, silent[0].read_to_end(&mut said))
        .await
        .expect("the oldest gives way");
    until_within(PROMPTLY, "no more than so many", || async {
        let open = stats(&server).await["connections"].as_u64().unwrap();
        (open as usize <= SESSIONS + 1 + FEW).then_some(())
    })
    .await;
    assert!(metric(&server, "relaybox_limited_total", limited).await >= 4 * FEW as u64);
    for session in &mut sessions {
        session.ready().await;
    }
}

/// A head that has begun and does not end.
const HEAD_BYTES: usize = 30 << 10;

#[tokio::test]
async fn heads_that_do_not_end_take_little_memory_together() {
    const HEADS: usize = 1500;
    /// So many are held, with what hyper's buffer grows to, 64 KiB.
    const LONG_HEADS: usize = 256;
    const GROWTH_KIB_MAX: usize = 48 << 10;
    may_open_many_files();
    let args = ["--plain", "127.0.0.1:0"];
    let server = Server::with(Options::new().args(&args)).await;
    assert_eq!(server.get("/healthz", None).await.status, 200);
    server.forget_peak();
    let before = server.peak_kib();
    let address = server.plain.clone().unwrap();
    let mut head = b"GET /healthz HTTP/1.1\r\nhost: x\r\ncookie: ".to_vec();
    head.resize(HEAD_BYTES, b'c');
    let mut heads = Vec::new();
    for _ in 0..HEADS {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(&head).await;
        heads.push(stream);
    }
    // They give way to one another, and none keeps out one that comes to its end.
    until_within(PROMPTLY, "no more than so many", || async {
        let open = stats(&server).await["connections"].as_u64().unwrap();
        (open <= LONG_HEADS as u64).then_some(())
    })
    .await;
    let growth = server.peak_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    for part in [&head[..], b"\r\n\r\n"] {
        stream.write_all(part).await.unwrap();
    }
    let mut answer = [0; 15];
    soon("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

/// The beginning of a ClientHello (RFC 8446, 5.1 and 4.1.2) that is longer than a handshake may be, in records of the
/// largest size, as far as so many bytes of it.
fn endless_hello(bytes: usize) -> Vec<u8> {
    const RECORD_BYTES: usize = 1 << 14;
    const HELLO: [u8; 4] = [1, 0, 0xff, 0xf0];
    let mut message = HELLO.to_vec();
    message.resize(0xfff4, 0);
    let records = message.chunks(RECORD_BYTES).flat_map(|piece| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &length[..], piece].concat()
    });
    records.take(bytes).collect()
}

#[tokio::test]
async fn handshakes_that_do_not_end_take_little_memory_each() {
    const HANDSHAKES: usize = 500;
    /// As `strangers_max` counts on.
    const EACH_KIB_MAX: usize = 64;
    may_open_many_files();
    // All but the end of one record, of what a handshake may be, and of what the TLS library would take.
    for bytes in [(16 << 10) + 4, (32 << 10) - 1, 0xfff0] {
        let server = Server::start().await;
        assert_eq!(server.get("/healthz", None).await.status, 200);
        server.forget_peak();
        let before = server.peak_kib();
        let hello = endless_hello(bytes);
        let mut open = Vec::new();
        for _ in 0..HANDSHAKES {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            // It may have been closed already.
            let _ = stream.write_all(&hello).await;
            open.push(stream);
        }
        // All that the server reads of them was read once it takes no more.
        let mut peak = 0;
        while peak < server.peak_kib() {
            peak = server.peak_kib();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let each = (peak - before) / HANDSHAKES;
        assert!(each < EACH_KIB_MAX, "{bytes} bytes: {each} KiB each");
    }
}

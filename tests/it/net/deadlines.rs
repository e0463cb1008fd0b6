//! Clients that are slow or silent, and those that only seem so.

use tokio::time::Instant;

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_millis(1_000);

#[tokio::test]
async fn a_handshake_that_stops_half_way_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = NetOptions {
        handshake_timeout: SHORT,
        ..options()
    };
    let server = Server::start(Some(open_tls(dir.path())), bounds).await;
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let started = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(start).await.unwrap();
        until_closed(&mut stream).await;
        assert!(started.elapsed() >= SHORT);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_never_starts_or_trickles_is_closed() {
    let bounds = NetOptions {
        head_timeout: SHORT,
        ..options()
    };
    let server = Server::start(None, bounds).await;
    let started = Instant::now();
    until_closed(&mut server.connect().await).await;
    assert!(started.elapsed() >= SHORT);

    let started = Instant::now();
    let mut stream = server.connect().await;
    let endless = std::iter::once("GET / HTTP/1.1\r\n").chain(std::iter::repeat("x: y\r\n"));
    for piece in endless {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the connection stays open");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert!(started.elapsed() >= SHORT);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_rests_longer_than_a_head_may_take_but_not_for_ever() {
    let bounds = NetOptions {
        head_timeout: SHORT,
        idle_timeout: LONG,
        ..options()
    };
    let server = Server::start(None, bounds).await;
    let mut stream = server.connect().await;
    ask(&mut stream, GET, "hello").await;
    tokio::time::sleep(SHORT * 2).await;
    ask(&mut stream, GET, "hello").await;
    let rested = Instant::now();
    until_closed(&mut stream).await;
    assert!(rested.elapsed() >= LONG - SHORT);

    // The head of a second request has its own, shorter deadline.
    let mut stream = server.connect().await;
    ask(&mut stream, GET, "hello").await;
    stream.write_all(b"GET / HT").await.unwrap();
    let started = Instant::now();
    until_closed(&mut stream).await;
    assert!(started.elapsed() >= SHORT - SHORT / 10);
    assert!(started.elapsed() < LONG * 3, "{:?}", started.elapsed());
    server.stop().await;
}

#[test]
fn a_connection_rests_longer_than_balancers_keep_theirs() {
    for interval_s in [5, 25, 300] {
        let interval = Duration::from_secs(interval_s);
        let options = NetOptions::with_ping_interval(interval);
        assert_eq!(options.idle_timeout, Duration::from_secs(75));
        assert_eq!(options.answer_timeout, Duration::from_secs(60));
    }
}

#[tokio::test]
async fn a_body_that_never_comes_and_an_answer_nobody_reads_are_given_up() {
    // Much sooner than a connection that rests.
    let bounds = NetOptions {
        answer_timeout: SHORT,
        ..options()
    };
    let server = Server::start(None, bounds).await;
    let mut body = server.connect().await;
    let head = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    body.write_all(head.as_bytes()).await.unwrap();
    until_closed(&mut body).await;

    let mut unread = server.connect().await;
    let request = "GET /big HTTP/1.1\r\nhost: x\r\n\r\n";
    unread.write_all(request.as_bytes()).await.unwrap();
    // The answer has begun: the connection is there.
    unread.read_u8().await.unwrap();
    // Without a read of ours the server cannot be rid of the answer, and gives the connection's task up.
    tokio::time::timeout(PATIENCE, async {
        while server.tracker.len() > 1 {
            tokio::time::sleep(SHORT / 10).await;
        }
    })
    .await
    .expect("the task waits for ever");
    server.stop().await;
}

#[tokio::test]
async fn an_upgraded_connection_has_no_deadline_here() {
    let bounds = NetOptions {
        head_timeout: SHORT,
        idle_timeout: SHORT,
        ..options()
    };
    let server = Server::start(None, bounds).await;
    let mut stream = server.connect().await;
    ask(&mut stream, UPGRADE, "\r\n\r\n").await;
    let silence = tokio::time::timeout(SHORT * 5, stream.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
    server.stop().await;
}

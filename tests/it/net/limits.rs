//! Too many, too large, and the stop.

use tokio::time::Instant;

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_newcomer_gets_the_place_of_the_oldest_that_has_not_logged_in() {
    let server = Server::within(places(3), None, options()).await;
    let mut session = server.connect().await;
    ask(&mut session, UPGRADE, "\r\n\r\n").await;
    let (mut silent, mut resting) = (server.connect().await, server.connect().await);
    ask(&mut resting, GET, "hello").await;
    let mut newcomers = Vec::new();
    for oldest in [&mut silent, &mut resting] {
        let mut newcomer = server.connect().await;
        ask(&mut newcomer, GET, "hello").await;
        until_closed(oldest).await;
        newcomers.push(newcomer);
    }
    // Two places go round, the session's does not.
    for at in 0..20 {
        let mut newcomer = server.connect().await;
        ask(&mut newcomer, GET, "hello").await;
        newcomers.push(newcomer);
        until_closed(&mut newcomers[at]).await;
    }
    session.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
    let mut close = [0; 7];
    session.read_exact(&mut close).await.unwrap();
    assert_eq!(&close, b"\x88\x05\x03\xe8bye");
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::within(places(2), Some(open_tls(dir.path())), options()).await;
    let mut half_shaken = server.connect().await;
    half_shaken.write_all(&[0x16]).await.unwrap();
    let mut silent = server.connect().await;
    let config = client(dir.path(), rustls::ALL_VERSIONS);
    // They stay: else the second one would find the place of the first.
    let mut newcomers = Vec::new();
    for old in [&mut half_shaken, &mut silent] {
        let newcomer = connect_tls(&server, config.clone(), "localhost").await;
        let mut newcomer = newcomer.unwrap();
        ask(&mut newcomer, GET, "hello").await;
        newcomers.push(newcomer);
        until_closed(old).await;
    }
    drop(newcomers);
    server.stop().await;
}

#[tokio::test]
async fn a_request_with_a_good_token_keeps_its_place_until_it_is_answered() {
    let server = Server::within(places(2), None, options()).await;
    let mut vouched = server.connect().await;
    let request = "GET /vouched HTTP/1.1\r\nhost: x\r\n\r\n";
    vouched.write_all(request.as_bytes()).await.unwrap();
    let mut others = Vec::new();
    for at in 0..10 {
        let mut other = server.connect().await;
        ask(&mut other, GET, "hello").await;
        others.push(other);
        if at > 0 {
            until_closed(&mut others[at - 1]).await;
        }
    }
    server.release.notify_one();
    ask(&mut vouched, "", "vouched").await;
    // It is a stranger again, the newest of both.
    let mut newcomer = server.connect().await;
    ask(&mut newcomer, GET, "hello").await;
    until_closed(&mut others[9]).await;
    let mut last = server.connect().await;
    ask(&mut last, GET, "hello").await;
    until_closed(&mut vouched).await;
    server.stop().await;
}

#[tokio::test]
async fn who_has_logged_in_gives_way_to_nobody() {
    let server = Server::within(places(1), None, options()).await;
    let mut session = server.connect().await;
    ask(&mut session, UPGRADE, "\r\n\r\n").await;
    assert!(until_closed(&mut server.connect().await).await.is_empty());

    drop(session);
    let retried = async {
        loop {
            let mut next = server.connect().await;
            let sent = next.write_all(GET.as_bytes()).await.is_ok();
            if sent && next.read_u8().await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, retried)
        .await
        .expect("the place of a connection that went stays taken");
    server.stop().await;
}

#[tokio::test]
async fn listeners_share_their_places() {
    let places = places(2);
    let one = Server::within(places.clone(), None, options()).await;
    let other = Server::within(places, None, options()).await;
    let (mut first, mut second) = (one.connect().await, other.connect().await);
    ask(&mut first, GET, "hello").await;
    ask(&mut second, GET, "hello").await;
    let mut newcomers = Vec::new();
    for (server, oldest) in [(&other, &mut first), (&one, &mut second)] {
        let mut newcomer = server.connect().await;
        ask(&mut newcomer, GET, "hello").await;
        until_closed(oldest).await;
        newcomers.push(newcomer);
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn heads_of_too_many_or_too_large_fields_are_431() {
    let server = Server::start(None, options()).await;
    let many = "x: y\r\n".repeat(65);
    let large = format!("x: {}\r\n", "y".repeat(32 * 1024));
    let endless = format!("x: {}", "y".repeat(200 * 1024));
    for fields in [many, large, endless] {
        let mut stream = server.connect().await;
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
        // The answer may come, and the connection end, before all is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = until_closed(&mut stream).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_long_login_url_fits() {
    let server = Server::start(None, options()).await;
    let mut stream = server.connect().await;
    let request = format!(
        "GET /?token={} HTTP/1.1\r\nhost: x\r\n\r\n",
        "a".repeat(16 << 10)
    );
    ask(&mut stream, &request, "hello").await;
    server.stop().await;
}

#[tokio::test]
async fn the_stop_ends_resting_connections_and_lets_a_request_finish() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(None, options()).await;
    let tls = Server::start(Some(open_tls(dir.path())), options()).await;
    let mut half_shaken = tls.connect().await;
    half_shaken.write_all(&[0x16]).await.unwrap();
    let mut fresh = server.connect().await;
    let mut resting = server.connect().await;
    ask(&mut resting, GET, "hello").await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, async {
        while server.tracker.len() < 4 || tls.tracker.len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();

    let started = Instant::now();
    server.token.cancel();
    tls.token.cancel();
    until_closed(&mut half_shaken).await;
    until_closed(&mut fresh).await;
    until_closed(&mut resting).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server.release.notify_one();
    let answer = String::from_utf8(until_closed(&mut busy).await).unwrap();
    assert!(answer.ends_with("slow"), "{answer}");
    tls.stop().await;
    server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn the_stop_does_not_wait_for_ever_for_a_request() {
    let server = Server::start(None, options()).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, async {
        while server.tracker.len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    server.stop().await;
}

//! What is closed is read on: a client that still sends gets what was said to it before; and that costs a
//! bounded room, which nobody who comes has to wait for.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A Pong of four bytes, masked with zeros.
const PONG: &[u8] = b"\x8a\x84\0\0\0\0late";
/// A text that has the server close.
const TEXT: &[u8] = b"\x81\x82\0\0\0\0hi";
/// The server's Close: 1000, "bye".
const CLOSE: &[u8] = b"\x88\x05\x03\xe8bye";

/// Has its WebSocket closed, and then writes for a while before it reads: all of it must be there.
async fn is_at_work<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    ask(&mut stream, UPGRADE, "\r\n\r\n").await;
    stream.write_all(TEXT).await.unwrap();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        stream.write_all(PONG).await.expect("the socket is gone");
        stream.flush().await.unwrap();
    }
    let mut seen = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut seen));
    read.await.expect("no end").expect("the socket was reset");
    assert_eq!(seen, CLOSE);
}

#[tokio::test]
async fn a_client_at_work_reads_the_close_whatever_it_sends_into_it() {
    let server = Server::start(None, options()).await;
    is_at_work(server.connect().await).await;
    server.stop().await;

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Some(open_tls(dir.path())), options()).await;
    let config = client(dir.path(), rustls::ALL_VERSIONS);
    let stream = connect_tls(&server, config, "localhost").await.unwrap();
    is_at_work(stream).await;
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_ends_its_connection_reaches_a_client_that_still_sends() {
    let server = Server::start(None, options()).await;
    let mut stream = server.connect().await;
    // Not HTTP: answered with 400, and closed.
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        stream.write_all(&[b'x'; 100]).await.expect("reset");
    }
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.expect("reset");
    assert!(seen.starts_with("HTTP/1.1 400 "), "{seen}");
    drop(stream);
    server.stop().await;
}

/// One that was closed, and does not end.
async fn lingers(server: &Server) -> TcpStream {
    let mut stream = server.connect().await;
    ask(&mut stream, UPGRADE, "\r\n\r\n").await;
    stream.write_all(TEXT).await.unwrap();
    let mut seen = [0; CLOSE.len()];
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, CLOSE);
    assert_eq!(stream.read(&mut seen).await.unwrap(), 0, "half-closed");
    stream
}

#[tokio::test]
async fn who_lingers_takes_nobodys_place_and_holds_up_no_stop() {
    let server = Server::within(places(3), None, options()).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(lingers(&server).await);
    }
    // The oldest were sent away: what they send meets a closed socket.
    let began = Instant::now();
    while held[0].write_all(PONG).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "the oldest is still read");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for stream in held.iter_mut().rev().take(3) {
        stream.write_all(PONG).await.unwrap();
    }
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "held up");
}

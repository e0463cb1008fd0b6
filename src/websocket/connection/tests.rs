//! Connections over streams in memory: odd cuts, blocked output, deadlines, fairness.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Wake;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::super::read_buffer::READ_BYTES;
use super::*;

mod parts;

const MASK: [u8; 4] = [9, 8, 7, 6];

/// A client's short frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

fn connection(stream_bytes: usize) -> (DuplexStream, Connection) {
    let (client, server) = duplex(stream_bytes);
    (client, over(server))
}

fn over(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Connection {
    within(&MessageBudget::default(), 1000, io)
}

fn within(
    budget: &MessageBudget,
    message_bytes_max: usize,
    io: impl AsyncRead + AsyncWrite + Send + 'static,
) -> Connection {
    let options = ConnectionOptions {
        message_bytes_max,
        binary: false,
        budget: budget.clone(),
    };
    Connection::new(io, options)
}

async fn event(connection: &mut Connection) -> Event {
    poll_fn(|cx| connection.poll_event(cx, true)).await
}

/// Whether the connection has no event to report now.
fn is_pending(connection: &mut Connection, read: bool) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    connection.poll_event(&mut cx, read).is_pending()
}

#[tokio::test]
async fn a_stream_of_one_byte_at_a_time_carries_messages_both_ways() {
    let (mut client, mut connection) = connection(1);
    let peer = tokio::spawn(async move {
        client.write_all(&frame(0x01, b"hel")).await.unwrap();
        client.write_all(&frame(0x89, b"p")).await.unwrap();
        client.write_all(&frame(0x80, b"lo")).await.unwrap();
        let mut answer = [0; 10];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"\x8a\x01p\x81\x05world");
        client
    });
    assert_eq!(event(&mut connection).await, Event::Pinged(1));
    assert_eq!(event(&mut connection).await, Event::Text("hello".into()));
    writer::text(connection.queue(), "world");
    assert!(connection.queued_bytes() >= 7);
    assert_eq!(event(&mut connection).await, Event::Flushed);
    assert_eq!(connection.queued_bytes(), 0);
    drop(peer.await.unwrap());
    assert_eq!(event(&mut connection).await, Event::Ended);
    assert_eq!(event(&mut connection).await, Event::Ended);
}

#[tokio::test]
async fn several_events_of_one_read_come_one_by_one_and_leave_no_buffer() {
    let (mut client, mut connection) = connection(1 << 16);
    let sent = [
        frame(0x81, b"one"),
        frame(0x8a, b"17"),
        frame(0x81, b"two"),
        frame(0x88, &[0x0f, 0xa0]),
        frame(0x81, b"after the close"),
    ];
    client.write_all(&sent.concat()).await.unwrap();
    assert_eq!(event(&mut connection).await, Event::Text("one".into()));
    assert!(is_pending(&mut connection, false));
    assert_eq!(event(&mut connection).await, Event::Pong(b"17".to_vec()));
    assert_eq!(event(&mut connection).await, Event::Text("two".into()));
    let close = Event::Close { code: Some(4000) };
    assert_eq!(event(&mut connection).await, close);
    assert!(is_pending(&mut connection, true));
    assert_eq!(connection.input.capacity(), 0);
}

#[tokio::test]
async fn nothing_is_read_unless_asked() {
    let (mut client, mut connection) = connection(1 << 16);
    client.write_all(&frame(0x81, b"x")).await.unwrap();
    assert!(is_pending(&mut connection, false));
    assert_eq!(event(&mut connection).await, Event::Text("x".into()));
}

#[tokio::test]
async fn every_ping_is_answered_while_output_flows() {
    let (mut client, mut connection) = connection(1 << 16);
    let pings: Vec<u8> = (0..100).flat_map(|n| frame(0x89, &[n])).collect();
    client.write_all(&pings).await.unwrap();
    assert_eq!(event(&mut connection).await, Event::Pinged(100));
    assert!(is_pending(&mut connection, true));
    let mut pongs = [0; 300];
    client.read_exact(&mut pongs).await.unwrap();
    assert_eq!(pongs[297..], [0x8a, 1, 99]);
}

#[tokio::test]
async fn blocked_output_neither_stops_reading_nor_piles_up_pongs() {
    let (client, mut connection) = connection(256);
    let (mut from_server, mut to_server) = tokio::io::split(client);
    writer::text(connection.queue(), "x".repeat(600));
    let flood = tokio::spawn(async move {
        for n in 0..2_000u16 {
            let ping = frame(0x89, &n.to_be_bytes());
            to_server.write_all(&ping).await.unwrap();
        }
        to_server.write_all(&frame(0x81, b"end")).await.unwrap();
        to_server
    });
    // The client reads nothing, yet its input is read.
    let mut pings = 0;
    while let Event::Pinged(times) = event(&mut connection).await {
        pings += times;
    }
    // Pings that arrived together with the last event are reported after it.
    while pings < 2_000 {
        let Event::Pinged(times) = event(&mut connection).await else {
            panic!("{pings} Pings");
        };
        pings += times;
    }
    assert!(connection.pongs.len() <= PONGS_BYTES_MAX + 127);
    assert!(connection.queued_bytes() > 0);
    let _to_server = flood.await.unwrap();

    let reader = tokio::spawn(async move {
        let mut read = vec![0; 604];
        from_server.read_exact(&mut read).await.unwrap();
        let mut pong = [0; 4];
        while pong != [0x8a, 2, 0x07, 0xcf] {
            from_server.read_exact(&mut pong).await.unwrap();
        }
        from_server
    });
    assert_eq!(event(&mut connection).await, Event::Flushed);
    // The Pongs behind it cause no event.
    let (_stream, ()) = tokio::join!(async { reader.await.unwrap() }, async {
        while !connection.batch.is_empty() || !connection.pongs.is_empty() {
            poll_fn(|cx| {
                let _ = connection.poll_event(cx, true);
                Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
        }
    });
    let buffers = [&connection.batch, &connection.pongs, &connection.queue];
    assert!(buffers.iter().all(|buffer| buffer.capacity() == 0));
}

#[tokio::test(start_paused = true)]
async fn close_ends_as_soon_as_the_peer_has_answered() {
    let (mut client, mut connection) = connection(1 << 16);
    writer::text(connection.queue(), "last");
    let closing = tokio::spawn(connection.close(4409, "replaced", CancellationToken::new()));
    let mut seen = [0; 18];
    client.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"\x81\x04last\x88\x0a\x11\x39replaced");
    let started = Instant::now();
    client.write_all(&frame(0x81, b"on its way")).await.unwrap();
    client.write_all(&frame(0x88, &[0x11, 0x39])).await.unwrap();
    assert_eq!(client.read(&mut seen).await.unwrap(), 0);
    drop(client);
    closing.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn close_gives_a_silent_or_deaf_peer_ten_seconds_and_two_once_the_server_stops() {
    let stopping = CancellationToken::new();
    stopping.cancel();
    for (stop, time) in [
        (CancellationToken::new(), CLOSE_TIMEOUT),
        (stopping, STOP_TIMEOUT),
    ] {
        for stream_bytes in [1 << 16, 1] {
            let (client, connection) = connection(stream_bytes);
            let started = Instant::now();
            let reason = "the server shuts down";
            connection.close(1001, reason, stop.clone()).await;
            assert_eq!(started.elapsed().as_secs(), time.as_secs());
            drop(client);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_at_work_reads_everything_later_whatever_it_sent_meanwhile() {
    // Smaller than the traffic in either direction: each side blocks until the other reads.
    let (mut client, mut connection) = connection(64);
    writer::text(connection.queue(), "x".repeat(600));
    let closing = tokio::spawn(connection.close(1011, "", CancellationToken::new()));
    tokio::time::sleep(Duration::from_secs(6)).await;
    for n in 0..100u8 {
        client.write_all(&frame(0x8a, &[n])).await.unwrap();
    }
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen.len(), 604 + 4);
    assert_eq!(seen[604..], [0x88, 2, 0x03, 0xf3]);
    client.write_all(&frame(0x8a, b"late")).await.unwrap();
    assert!(!closing.is_finished());
    drop(client);
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_violation_is_told_before_the_end() {
    let (mut client, mut connection) = connection(1 << 16);
    client.write_all(b"\x81\x02no").await.unwrap();
    client.write_all(&frame(0x81, &[b'x'; 100])).await.unwrap();
    let Event::Violation(violation) = event(&mut connection).await else {
        panic!("no violation");
    };
    assert_eq!(violation.code, 1002);
    let started = Instant::now();
    let closing = tokio::spawn(async move {
        let stop = CancellationToken::new();
        connection
            .close(violation.code, &violation.reason, stop)
            .await;
    });
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen[..4], [0x88, 22, 0x03, 0xea]);
    assert_eq!(&seen[4..], b"frame without a mask");
    drop(client);
    closing.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// A client that sends parts of one message endlessly and reads everything.
struct Flood {
    reads: Arc<AtomicUsize>,
    writes: Arc<Mutex<Vec<usize>>>,
    flushes: Arc<AtomicUsize>,
}

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads.fetch_add(1, Ordering::SeqCst) == 0 {
            buffer.put_slice(&frame(0x01, b""));
        }
        while buffer.remaining() >= 6 {
            buffer.put_slice(&frame(0x00, b""));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.lock().unwrap().push(bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_flood_gets_a_bounded_turn_and_a_batch_is_one_write() {
    let (reads, writes, flushes) = <(Arc<AtomicUsize>, Arc<Mutex<Vec<usize>>>, Arc<_>)>::default();
    let mut connection = over(Flood {
        reads: Arc::clone(&reads),
        writes: Arc::clone(&writes),
        flushes: Arc::clone(&flushes),
    });
    for text in ["a", "b", "c"] {
        writer::text(connection.queue(), text);
    }
    let wakes = Arc::new(Wakes::default());
    let waker = Arc::clone(&wakes).into();
    let mut cx = Context::from_waker(&waker);
    let first = connection.poll_event(&mut cx, true);
    assert_eq!(first, Poll::Ready(Event::Flushed));
    assert_eq!(*writes.lock().unwrap(), [9]);
    assert_eq!(flushes.load(Ordering::SeqCst), 1);

    assert!(connection.poll_event(&mut cx, true).is_pending());
    assert_eq!(reads.load(Ordering::SeqCst), READS_A_POLL_MAX);
    assert!(wakes.0.load(Ordering::SeqCst) > 0, "it must come back");
}

#[tokio::test]
async fn a_peer_that_takes_output_slowly_shows_that_it_lives() {
    let (mut client, mut connection) = connection(64);
    writer::text(connection.queue(), "x".repeat(600));
    assert!(is_pending(&mut connection, true));
    assert!(is_pending(&mut connection, true));
    assert!(
        !connection.take_heard(),
        "a full stream that nobody empties says nothing"
    );
    let mut taken = [0; 10];
    client.read_exact(&mut taken).await.unwrap();
    assert!(is_pending(&mut connection, true));
    assert!(connection.take_heard());
    assert!(!connection.take_heard(), "once for each time");
}

/// A stream with endless input that accepts all output.
struct Endless(Arc<AtomicUsize>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = buffer.initialize_unfilled().len();
        buffer.advance(bytes);
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn who_sends_without_end_into_a_close_is_read_so_far_and_no_further() {
    let read = Arc::<AtomicUsize>::default();
    let stream = tokio::io::join(Endless(Arc::clone(&read)), tokio::io::sink());
    let closing = over(stream).close(1000, "", CancellationToken::new());
    closing.await;
    assert!(read.load(Ordering::Relaxed) <= CLOSE_BYTES_MAX + READ_BYTES);
}

//! Everyone comes back at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const CLIENTS: usize = 10_000;
/// Logins a second that the server is told to admit.
const RATE: u64 = 400;
/// Before a client whose connection was lost tries again.
const LOST_PAUSE: Duration = Duration::from_secs(1);
/// Longer than all of them take.
const PATIENCE: Duration = Duration::from_secs(200);

/// What one try came to: a session, or when to come back.
enum Outcome {
    Online(TcpStream),
    Later(Duration),
}

/// One login by hand: ten thousand of them must be small. An error where the kernel had no room for
/// the connection.
async fn try_login(address: &str, id: usize) -> io::Result<Outcome> {
    let mut stream = TcpStream::connect(address).await?;
    let query = Login::new(&format!("user{id}")).query();
    let head = format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    // A masked `ping`: answered by a session only.
    stream.write_all(b"\x81\x84\0\0\0\0ping").await.unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; usize::from(head[1])];
    stream.read_exact(&mut payload).await.unwrap();
    if head[0] == 0x81 {
        assert_eq!(payload, b"pong");
        return Ok(Outcome::Online(stream));
    }
    assert_eq!(head[0], 0x88, "text or Close");
    assert_eq!(payload[..2], 1013_u16.to_be_bytes());
    let reason = std::str::from_utf8(&payload[2..]).unwrap();
    if !reason.starts_with("retry") {
        // Its place was given to somebody else while it logged in.
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(Outcome::Later(Duration::from_millis(retry_ms(reason))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_come_back_at_a_bounded_rate_and_all_are_online_in_the_end() {
    may_open_many_files();
    let rate = format!("{RATE}/s");
    let args = [
        "--plain",
        "127.0.0.1:0",
        "--logins",
        &rate,
        "--sessions-max",
        "20000",
        // Of a machine with 512 MiB of memory.
        "--strangers-max",
        "1024",
    ];
    let server = Server::with(Options::new().args(&args)).await;
    let address: Arc<str> = server.plain.clone().unwrap().into();
    let (online, refusals) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let (address, online) = (Arc::clone(&address), Arc::clone(&online));
            let refusals = Arc::clone(&refusals);
            tokio::spawn(async move {
                loop {
                    match try_login(&address, id).await {
                        Ok(Outcome::Online(stream)) => {
                            let count = online.fetch_add(1, Ordering::Relaxed) + 1;
                            // As many at once as in a second, and then as they come free.
                            let elapsed_ms = begun.elapsed().as_millis() as u64;
                            let most = RATE + RATE * (elapsed_ms + 1) / 1000 + 1;
                            assert!(count <= most, "{count} after {elapsed_ms} ms");
                            return stream;
                        }
                        Ok(Outcome::Later(pause)) => {
                            refusals.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(pause).await;
                        }
                        Err(_) => tokio::time::sleep(LOST_PAUSE).await,
                    }
                }
            })
        })
        .collect();
    let mut sessions = Vec::new();
    for client in clients {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        sessions.push(tokio::time::timeout(left, client).await.unwrap().unwrap());
    }
    let refusals = refusals.load(Ordering::Relaxed);
    println!(
        "{CLIENTS} online after {:?}, {refusals} refusals",
        begun.elapsed()
    );
    assert!(refusals > 0, "the rate was never reached");
    assert_eq!(stats(&server).await["sessions"], CLIENTS);
    let limited = metric(&server, "relaybox_limited_total", "limit=\"logins\"").await;
    assert_eq!(limited, refusals);
}

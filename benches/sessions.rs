//! How much memory an idle session costs the server, and a connection of a stranger who keeps it waiting.
//!
//! Starts the server as a child process, opens idle TLS WebSocket sessions to it (5,000, or
//! the number given: `cargo bench --bench sessions -- 2000`) and reads the child's resident
//! memory before and after. The clients live in this process, so that only the server is
//! measured. Each side needs a file descriptor a session: `ulimit -n 20000`.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::Server;
use tokio::io::AsyncWriteExt as _;

const SESSIONS: usize = 5_000;
const SESSIONS_MAX: usize = 100_000;
/// Sessions opened before the first reading, so that what is paid once is not counted.
const WARM_UP: usize = 50;

/// The resident memory once it no longer changes, or after a few seconds.
async fn settled(server: &Server) -> u64 {
    let mut last = server.resident();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = server.resident();
        if now == last {
            break;
        }
        last = now;
    }
    last
}

/// As many as one address may have.
const STRANGERS: usize = 1_000;

/// What a stranger's connection costs, on a server of its own: once something has been written into it, over TLS or
/// not.
async fn per_stranger(over_tls: bool, written: &[u8]) -> u64 {
    let server = Server::start(SESSIONS);
    let before = settled(&server).await;
    let mut open: Vec<Box<dyn Send>> = Vec::new();
    for _ in 0..STRANGERS {
        if over_tls {
            let mut stream = server.stream().await;
            stream.write_all(written).await.unwrap();
            open.push(Box::new(stream));
        } else {
            let mut stream = tokio::net::TcpStream::connect(server.address())
                .await
                .unwrap();
            stream.write_all(written).await.unwrap();
            open.push(Box::new(stream));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = server.resident();
    drop(open);
    after.saturating_sub(before) / STRANGERS as u64
}

/// How many files a process may have open.
fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX)
}

#[tokio::main]
async fn main() {
    let given = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let wanted: usize = given.unwrap_or(SESSIONS).clamp(1, SESSIONS_MAX);
    let room = descriptors_max().saturating_sub(WARM_UP + 200);
    let sessions = wanted.min(room);
    if sessions < wanted {
        println!("{sessions} instead of {wanted}: raise the open-file limit (ulimit -n)");
    }
    let server = Server::start(sessions + WARM_UP);
    let started = server.resident();
    let warm = server.open_all(0..WARM_UP, "").await;
    let before = settled(&server).await;
    let clock = Instant::now();
    let open = server.open_all(WARM_UP..WARM_UP + sessions, "").await;
    let took = clock.elapsed();
    let after = settled(&server).await;
    println!("resident at the start      {:>12} bytes", started);
    println!("with {WARM_UP} sessions           {before:>12} bytes");
    println!("with {sessions} more          {after:>12} bytes");
    println!(
        "per idle session           {:>12} bytes",
        after.saturating_sub(before) / open.len() as u64
    );
    println!(
        "logins per second          {:>12.0}",
        open.len() as f64 / took.as_secs_f64()
    );
    drop((warm, open, server));

    // A ClientHello, a head and a body of which the end is missing.
    let hello = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        &[0; 400],
    ]
    .concat();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "x".repeat(30_000)
    );
    let post = "POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000\r\n\r\n";
    let body = format!("{post}{}", " ".repeat(15_000));
    for (what, over_tls, written) in [
        ("TLS handshake", false, hello.as_slice()),
        ("HTTP head", true, head.as_bytes()),
        ("HTTP body", true, body.as_bytes()),
    ] {
        let bytes = per_stranger(over_tls, written).await;
        println!("per unfinished {what:<13}{bytes:>11} bytes");
    }
}

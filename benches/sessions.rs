//! How much memory an idle session costs the server.
//!
//! Starts the server as a child process, opens idle TLS WebSocket sessions to it (5,000, or
//! the number given: `cargo bench --bench sessions -- 2000`) and reads the child's resident
//! memory before and after. The clients live in this process, so that only the server is
//! measured. Each side needs a file descriptor a session: `ulimit -n 20000`.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::Server;

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
    drop((warm, open));
}

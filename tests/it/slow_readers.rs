//! Readers that are slow, that read nothing, or that are gone without a word: what they cost, whom
//! they hold up, and what they lose. Nothing, nobody, and nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::stage::{Stage, flood_with};
use crate::support::{Client, DEADLINE, Login, Options, Raw, Server};
use serde_json::{Value, json};

/// Messages that wait for a slow reader.
const BACKLOG: usize = 50_000;

/// Sessions that read nothing.
const STALLED: usize = 8;

/// What a session that reads nothing may cost: its outbox, filled and being written; a chunk of
/// the store, as messages and as frames; the deliveries in its window; its buffers for TLS; and
/// as much again, as an allocator does not give back what it splits.
const STALLED_KIB: usize = 2 * (2 * OUTBOX_KIB + 2 * 128 + 8192 * 32 / 1024 + 64);
const OUTBOX_KIB: usize = 64;

/// By so much two runs of the same server differ.
const NOISE_KIB: usize = 8 << 10;

/// How long an exchange between two others may take, on a busy machine.
const EXCHANGE_MAX: Duration = Duration::from_secs(5);

/// Small bounds of what the store keeps in memory, so that sessions show beside it.
fn options(ping_interval: &str) -> Options {
    let outbox = format!("{OUTBOX_KIB}KiB");
    Options::new()
        .args(&["--plain", "127.0.0.1:0", "--outbox-bytes-max", &outbox])
        .args(&["--tail-bytes-max", "1MiB", "--cache-bytes", "1MiB"])
        .args(&["--ping-interval", ping_interval])
}

/// Two sessions that talk with each other, whatever others do.
struct Bystanders {
    here: Client,
    there: Client,
    exchanges: usize,
}

impl Bystanders {
    async fn begin(server: &Server) -> Self {
        Self {
            here: server.user("here").await,
            there: server.user("there").await,
            exchanges: 0,
        }
    }

    /// A message and its answer, both within their time.
    async fn exchange(&mut self) {
        let began = Instant::now();
        let content = format!("{}", self.exchanges);
        self.here.say("there", &content).await;
        assert_eq!(self.there.message().await["content"], content);
        self.there.say("here", &content).await;
        assert_eq!(self.here.message().await["content"], content);
        let took = began.elapsed();
        assert!(took < EXCHANGE_MAX, "an exchange took {took:?}");
        self.exchanges += 1;
    }
}

fn content(n: usize, bytes: usize) -> Value {
    json!(format!("{n} {}", "x".repeat(bytes)))
}

/// Sends `count` messages of so many bytes to `u2`, while two others exchange messages all the time.
async fn flood_beside_others(server: &Arc<Server>, count: usize, bytes: usize) {
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let mut bystanders = Bystanders::begin(server).await;
    let others = tokio::spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            bystanders.exchange().await;
        }
        bystanders.exchanges
    });
    flood_with(server, "u2", 0..count, |n| content(n, bytes)).await;
    done.store(true, Ordering::Relaxed);
    assert!(others.await.unwrap() > 0);
}

fn device(n: usize) -> Login {
    Login::new("u2").resource(&format!("device-{n}"))
}

/// Reads on: all messages, in order and none twice.
async fn takes_all(raw: &mut Raw, count: usize, bytes: usize) {
    raw.answers = true;
    let mut last = 0;
    for n in 0..count {
        let message = raw.message().await;
        assert!(message["content"] == content(n, bytes), "not message {n}");
        let id = message["msgId"].as_u64().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
    }
    raw.confirm(last).await;
    assert!(raw.take_held().is_empty(), "more than was sent");
}

async fn stalled_sessions_cost_little(count: usize, bytes: usize) {
    // What it costs where the recipient is offline.
    let offline = {
        let server = Arc::new(Server::with(options("60s")).await);
        let before = server.peak_kib();
        flood_beside_others(&server, count, bytes).await;
        server.peak_kib() - before
    };
    let server = Arc::new(Server::with(options("60s")).await);
    let before = server.peak_kib();
    let mut stalled = Vec::new();
    for n in 0..STALLED {
        stalled.push(match n % 2 {
            0 => Raw::login(&server, &device(n)).await,
            _ => Raw::narrow(&server, &device(n)).await,
        });
    }
    flood_beside_others(&server, count, bytes).await;
    let grown = server.peak_kib() - before;
    eprintln!("{count} messages of {bytes} bytes: {offline} KiB, with stalled readers {grown} KiB");
    let bound = offline + STALLED * STALLED_KIB + NOISE_KIB;
    assert!(grown < bound, "{grown} KiB, and {offline} without them");

    // One by TLS and one without read on; what they lacked costs no more than before.
    for raw in &mut stalled[..2] {
        takes_all(raw, count, bytes).await;
    }
    let grown = server.peak_kib() - before;
    eprintln!("read: {grown} KiB");
    assert!(grown < bound, "{grown} KiB, and {offline} without them");
}

#[tokio::test]
async fn sessions_that_read_nothing_cost_little_and_lose_nothing() {
    stalled_sessions_cost_little(BACKLOG, 10).await;
}

#[tokio::test]
async fn neither_do_they_with_large_messages() {
    stalled_sessions_cost_little(400, 100_000).await;
}

#[tokio::test]
async fn a_session_that_reads_slowly_lives_and_gets_everything() {
    const READ_AT_ONCE: usize = 200;
    let server = Server::with(options("2s")).await;
    let count = BACKLOG / 2;
    flood_with(&server, "u2", 0..count / 2, |n| content(n, 10)).await;
    let mut bystanders = Bystanders::begin(&server).await;
    let mut raw = Raw::narrow(&server, &device(0)).await;
    raw.answers = true;
    let live = flood_with(&server, "u2", count / 2..count, |n| content(n, 10));
    let slow = async {
        for n in 0..count {
            // Others have their say before it reads on.
            if n % READ_AT_ONCE == 0 {
                bystanders.exchange().await;
            }
            let message = raw.message().await;
            assert!(message["content"] == content(n, 10), "not message {n}");
        }
    };
    tokio::join!(live, slow);
    raw.settle().await;
    assert!(raw.take_held().is_empty(), "more than was sent");
}

/// Writes to this user until the history says that it was offline; how often.
async fn until_offline(stage: &mut Stage, user: &str) -> usize {
    let deadline = Instant::now() + DEADLINE;
    for sent in 0.. {
        assert!(Instant::now() < deadline, "{user} is still online");
        let content = format!("probe {sent}");
        stage.send(user, &content).await;
        let newest = stage.server.history(user, "&size=1").await["list"][0].take();
        assert_eq!(newest["content"], content);
        if newest["offline"] == true {
            return sent + 1;
        }
    }
    unreachable!("the loop has no end")
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_offline_soon_and_loses_nothing() {
    let mut stage = Stage::with(options("1s")).await;
    // One has much to take, one a little, and one nothing, when they fall silent.
    for (user, count) in [("full", 20_000), ("idle", 3), ("new", 0)] {
        let login = Login::new(user);
        let mut gone = Raw::narrow(&stage.server, &login).await;
        flood_with(&stage.server, user, 0..count, |n| content(n, 100)).await;
        let probes = until_offline(&mut stage, user).await;
        if count < 10 {
            assert_eq!(gone.closed().await.0, 1011, "{user}");
        }

        let mut raw = Raw::login(&stage.server, &login).await;
        raw.answers = true;
        for n in 0..count {
            let message = raw.message().await;
            assert!(message["content"] == content(n, 100), "not message {n}");
            assert_eq!(message["offline"], true);
        }
        for n in 0..probes {
            let message = raw.message().await;
            assert_eq!(message["content"], format!("probe {n}"));
        }
        raw.settle().await;
        assert!(raw.take_held().is_empty(), "more than was sent");
    }
}

//! What a quiet pair feels while one user or one stranger floods (`make bench-floods`).
//!
//! The pair talks over TLS, a message each 20 ms; each flood comes from a process of its own, over the
//! loopback, from an address for which all limits hold. A flood costs those beside it something whoever
//! takes it: the machine is shared. So each is also replayed, in the same time course, against a process
//! that reads and discards, and what the server adds to that is the ratio of the two 99th percentiles.
//! Each round has a user and an address of its own, so that it begins with all that a rate lets through at
//! once. Percentiles are those of all rounds' messages together: of a single round's, two or three messages
//! would decide.
//!
//! Fails where a ratio is above `RELAYBOX_BENCH_RATIO` (default 2). `RELAYBOX_BENCH_FLOODS` names some of
//! the floods, by commas; `RELAYBOX_BENCH_SECONDS` is how long each is (default 5), `RELAYBOX_BENCH_ROUNDS`
//! how often (default 5).
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod generator;
mod list;
mod pair;
mod process;
mod sink;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use common::{Http, Server};
use list::{Door, Flood, Flooder, NAMES};
use pair::{Latencies, Pair};
use serde_json::json;

use crate::generator::{Course, Order};
use crate::process::Sink;

/// Sessions of the pair and of those who flood.
const SESSIONS: usize = 1000;
/// How long the pair is measured alone.
const QUIET_TIME: Duration = Duration::from_secs(2);
/// After each flood: what it left is worked off.
const REST: Duration = Duration::from_millis(500);

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let given = std::env::var(format!("RELAYBOX_BENCH_{name}"));
    given.map_or(default, |text| {
        let parsed = text.parse();
        parsed.unwrap_or_else(|_| panic!("RELAYBOX_BENCH_{name} is no number: {text}"))
    })
}

/// The floods that are wanted.
fn wanted() -> Vec<&'static str> {
    let Ok(given) = std::env::var("RELAYBOX_BENCH_FLOODS") else {
        return NAMES.to_vec();
    };
    let find = |wanted: &str| {
        let mut names = NAMES.into_iter();
        let found = names.find(|name| *name == wanted);
        found.unwrap_or_else(|| panic!("no flood is called {wanted:?}: {}", NAMES.join(", ")))
    };
    given.split(',').map(find).collect()
}

/// The same act, measured three times over.
struct Round {
    quiet: Latencies,
    control: Latencies,
    flood: Latencies,
    course: Course,
}

/// The median and the 99th percentile, in milliseconds.
struct Percentiles {
    p50: f64,
    p99: f64,
}

impl Percentiles {
    /// Those of all rounds together.
    fn of(rounds: &[Round], part: impl Fn(&Round) -> &Latencies) -> Self {
        let mut all: Vec<_> = rounds.iter().flat_map(part).collect();
        all.sort();
        let at = |percent: usize| all[all.len() * percent / 100].as_secs_f64() * 1e3;
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.1} / {:.1}", self.p50, self.p99))
    }
}

/// Sends the flooder what waits in its mailbox.
async fn fill(http: &mut Http, to: &str, (count, bytes): (usize, usize)) {
    for _ in 0..count {
        let message = json!({"domain": "demo", "toId": to, "fromId": "news", "fromName": "News",
            "type": 10, "content": "x".repeat(bytes)});
        http.post("/messages", &message).await;
    }
}

/// The beginning of a handshake: after it the server has all its work, and the client none.
fn hello(server: &Server) -> Vec<u8> {
    let name = "localhost".try_into().unwrap();
    let config = server.client_config().clone();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

async fn measure(name: &str, rounds: usize, time: Duration, sink: &Sink) -> Vec<Round> {
    // Limits by address hold for this machine, too.
    let flags = ["--plain", "127.0.0.1:0", "--unlimited", "off"];
    let server = Server::start_with(SESSIONS, &flags);
    let mut http = server.http().await;
    let hello = hello(&server);
    let mut pair = Pair::open(&server).await;
    let mut all = Vec::new();
    for round in 0..rounds {
        let id = format!("flooder-{round}");
        let wanted = json!({"domain": "demo", "id": id, "ttl": 3600});
        let minted = http.post("/tokens", &wanted).await;
        let flooder = Flooder {
            id,
            token: minted["token"].as_str().unwrap().to_owned(),
            hello: hello.clone(),
        };
        let flood = Flood::named(name, &flooder);
        if let Some(mailbox) = flood.mailbox {
            fill(&mut http, &flooder.id, mailbox).await;
        }
        let target = match flood.door {
            Door::Plain => server.plain(),
            Door::Tls => server.address(),
        };
        let mut order = Order {
            flood: name.to_owned(),
            flooder,
            source: Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(round).unwrap()),
            target: target.parse().unwrap(),
            time,
            course: None,
        };
        let quiet = pair.talk(QUIET_TIME).await;
        let flooding = process::generate(&order);
        let flood = pair.talk(time).await;
        let course = flooding.end();
        tokio::time::sleep(REST).await;
        order.target = sink.address();
        order.course = Some(course.clone());
        let flooding = process::generate(&order);
        let control = pair.talk(time).await;
        flooding.end();
        tokio::time::sleep(REST).await;
        all.push(Round {
            quiet,
            control,
            flood,
            course,
        });
    }
    all
}

/// One line of the table; the ratio in it.
fn row(name: &str, rounds: &[Round], time: Duration) -> f64 {
    let quiet = Percentiles::of(rounds, |round| &round.quiet);
    let control = Percentiles::of(rounds, |round| &round.control);
    let flood = Percentiles::of(rounds, |round| &round.flood);
    let seconds = time.as_secs_f64() * rounds.len() as f64;
    let a_second = |part: fn((usize, usize)) -> usize| {
        let sums = rounds.iter().map(|round| part(round.course.sums()));
        sums.sum::<usize>() as f64 / seconds
    };
    let ratio = flood.p99 / control.p99;
    println!(
        "| {name:<20} | {:>9.0} | {:>9.0} | {quiet:>13} | {control:>13} | {flood:>13} | {ratio:>5.2} |",
        a_second(|sums| sums.0),
        a_second(|sums| sums.1),
    );
    ratio
}

async fn report() -> ExitCode {
    let ratio_max = setting("RATIO", 2.0);
    let rounds = setting("ROUNDS", 5usize).clamp(1, 200);
    let time = Duration::from_secs(setting("SECONDS", 5u64).max(1));
    let sink = Sink::start();
    println!(
        "p50 / p99 of the pair in ms; opened: connections of the flood a second, written: pieces of it"
    );
    println!(
        "| {:<20} | {:>9} | {:>9} | {:>13} | {:>13} | {:>13} | {:>5} |",
        "flood", "opened", "written", "quiet", "control", "flood", "ratio"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut above = Vec::new();
    for name in wanted() {
        let measured = measure(name, rounds, time, &sink).await;
        if row(name, &measured, time) > ratio_max {
            above.push(name);
        }
    }
    if above.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("above {ratio_max}: {}", above.join(", "));
    ExitCode::FAILURE
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match process::wanted() {
        Some(part) => {
            process::run(&part).await;
            ExitCode::SUCCESS
        }
        None => report().await,
    }
}

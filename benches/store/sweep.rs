//! What it costs to give back the space of the oldest half, while messages are sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relaybox::clock::SystemClock;
use relaybox::model::{Mailbox, MsgId, Retention, UserId};
use relaybox::store::Store;

use crate::part::{self, tell};
use crate::traffic::{Ignore, Senders, Traffic};
use crate::{aged, disk};

/// Sent meanwhile; a server of this size sees so many on a busy day.
const MESSAGES_A_MS: u32 = 4;
/// How long it is sent without a sweep, for the normal figures: checkpoints belong to them.
const NORMAL: Duration = Duration::from_secs(45);
const SLICE: Duration = Duration::from_millis(200);
const SWEPT_WITHIN: Duration = Duration::from_secs(1_200);

/// Runs the part and prints its table.
pub fn report() {
    let before = disk::bytes(&aged::dir());
    let figures = part::run("sweep");
    let grown = figures.of("sent bytes");
    let after = disk::bytes(&aged::dir());
    let kept = (after as f64 - grown) / before as f64;
    println!(
        "\n### The oldest half expires, while {MESSAGES_A_MS},000 messages a second are sent\n"
    );
    println!("| | |\n| --- | --- |");
    println!("| expired | {:.0} % |", 100.0 * figures.of("expired"));
    println!("| the sweep took | {:.1} s |", figures.of("seconds"));
    println!(
        "| folder before, after | {:.0} MiB, {:.0} MiB: {:.0} % less, without what was sent |",
        disk::mib(before as f64),
        disk::mib(after as f64 - grown),
        100.0 * (1.0 - kept)
    );
    for (when, name) in [("normally", "normal"), ("meanwhile", "meanwhile")] {
        println!(
            "| ack p50 / p99 / worst {when} | {:.2} / {:.2} / {:.1} ms |",
            figures.of(&format!("{name} p50")),
            figures.of(&format!("{name} p99")),
            figures.of(&format!("{name} worst"))
        );
    }
    println!(
        "| RSS grew by | {:.0} MiB |",
        disk::mib(figures.of("rss grown"))
    );
}

/// The part that sweeps.
pub fn run() {
    let options = aged::options();
    let store = Store::open(options, Arc::new(SystemClock), Arc::new(Ignore)).unwrap();
    let mut traffic = Traffic::new(false);
    let mut senders = Senders::new(&store);
    senders.pace(MESSAGES_A_MS, &mut traffic, NORMAL);
    tell_latencies("normal", &senders);
    senders.latencies.clear();
    // Its peak: what the same load takes without a sweep.
    let normal = disk::resident().1;
    let had = total(&store);
    // An erasure is carried out at once, and what has expired goes along.
    let erased = UserId::parse("user-1").unwrap();
    let mailbox = Mailbox {
        user: erased,
        ..aged::reader()
    };
    store.erase(&mailbox, None).unwrap();
    store.set_retention(Retention {
        all: Some(aged::AGE / 2),
        ..Retention::default()
    });
    tell("expired", 1.0 - total(&store) / had);
    let due = aged::dir().join("sweep.due");
    let begun = Instant::now();
    let mut highest = normal;
    while due.exists() {
        senders.pace(MESSAGES_A_MS, &mut traffic, SLICE);
        highest = highest.max(disk::resident().0);
        assert!(begun.elapsed() < SWEPT_WITHIN, "the sweep does not end");
    }
    tell("seconds", begun.elapsed().as_secs_f64());
    tell("rss grown", (highest - normal) as f64);
    tell("sent bytes", senders.sent_bytes as f64);
    tell_latencies("meanwhile", &senders);
    senders.drain();
    disk::wait_for_compression(&aged::dir());
    store.close();
}

fn total(store: &Store) -> f64 {
    store
        .view()
        .list(&aged::reader(), None)
        .unwrap()
        .rank(MsgId::MAX)
        .unwrap() as f64
}

fn tell_latencies(name: &str, senders: &Senders<'_, Store>) {
    let latencies = &senders.latencies;
    tell(&format!("{name} p50"), latencies.ms(0.5));
    tell(&format!("{name} p99"), latencies.ms(0.99));
    tell(&format!("{name} worst"), latencies.worst_ms());
}

//! Durable messages a second and how long an acknowledgement takes, in turn with the floor.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relaybox::clock::SystemClock;
use relaybox::store::{Store, StoreOptions};

use crate::part::{self, tell};
use crate::traffic::{Ignore, Senders, Traffic, median};
use crate::{base, disk, load_time};

/// How often store and floor take turns.
const TURNS: u32 = 4;
/// The first, short turn, which says how large batches are.
const TRIAL: Duration = Duration::from_millis(500);
/// Bytes that the floor writes for a message.
const MESSAGE_BYTES: f64 = 250.0;

/// Runs all loads and prints the table.
pub fn report() {
    println!("\n## Commits: 10,000 mailboxes, in {TURNS} turns with the floor\n");
    println!(
        "| senders | durable msg/s | floor msg/s | of the floor | ack p50 / p99 / p99.9 / worst ms | batch | RSS MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for senders in ["64", "1000", "1000 with clientMsgId"] {
        let figures = part::run(&format!("commits {senders}"));
        println!(
            "| {senders} | {:.0} | {:.0} | {:.0} % | {:.2} / {:.2} / {:.1} / {:.1} | {:.0} | {:.0} |",
            figures.of("rate"),
            figures.of("floor"),
            100.0 * figures.of("ratio"),
            figures.of("p50"),
            figures.of("p99"),
            figures.of("p999"),
            figures.of("worst"),
            figures.of("batch"),
            disk::mib(figures.of("rss")),
        );
    }
}

/// One load.
pub fn run(senders: &str) {
    let own_ids = senders.contains("clientMsgId");
    let count = senders.split(' ').next().unwrap().parse().unwrap();
    let dir = base().join("commits");
    let options = StoreOptions::new(&dir);
    let store = Store::open(options, Arc::new(SystemClock), Arc::new(Ignore)).unwrap();
    let mut traffic = Traffic::new(own_ids);
    let mut senders = Senders::new(&store);
    let (_, mut batch) = turn(&store, &mut senders, count, &mut traffic, TRIAL);
    senders.latencies.clear();
    let time = load_time() / TURNS;
    let (mut rates, mut floors, mut ratios, mut batches) = (vec![], vec![], vec![], vec![]);
    for _ in 0..TURNS {
        // The floor has the machine for itself.
        store.checkpoint();
        let floor = floor(&base(), batch, time / 4);
        let (rate, size) = turn(&store, &mut senders, count, &mut traffic, time);
        batch = size;
        rates.push(rate);
        floors.push(floor);
        ratios.push(rate / floor);
        batches.push(batch);
    }
    let latencies = &senders.latencies;
    tell("rss", disk::resident().1 as f64);
    tell("rate", median(rates));
    tell("floor", median(floors));
    tell("ratio", median(ratios));
    tell("batch", median(batches));
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        tell(name, latencies.ms(part));
    }
    tell("worst", latencies.worst_ms());
    store.close();
    disk::clear(&dir);
}

/// Messages a second, and how many a commit.
fn turn(
    store: &Store,
    senders: &mut Senders<'_>,
    count: usize,
    traffic: &mut Traffic,
    time: Duration,
) -> (f64, f64) {
    let frames = store.stats().frames;
    let begun = Instant::now();
    let acknowledged = senders.run(count, traffic, time) as f64;
    let rate = acknowledged / begun.elapsed().as_secs_f64();
    let frames = (store.stats().frames - frames).max(1) as f64;
    senders.drain();
    (rate, acknowledged / frames)
}

/// Messages a second of appending batches of so many messages with an fdatasync each.
fn floor(dir: &Path, batch: f64, time: Duration) -> f64 {
    let path = dir.join("floor");
    let mut file = File::create(&path).unwrap();
    let bytes = vec![b'x'; (batch * MESSAGE_BYTES) as usize];
    let begun = Instant::now();
    let mut batches = 0;
    while begun.elapsed() < time {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        batches += 1;
    }
    let rate = f64::from(batches) * batch / begun.elapsed().as_secs_f64();
    std::fs::remove_file(&path).unwrap();
    rate
}

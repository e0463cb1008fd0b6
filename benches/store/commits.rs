//! Durable messages a second and how long an acknowledgement takes, in turn with the floor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relaybox::clock::SystemClock;
use relaybox::store::Store;

use crate::floor::{Floor, disk_alone};
use crate::part::{self, tell};
use crate::settings::{base, load_time};
use crate::traffic::{Commits, Ignore, Latencies, Senders, Traffic, median};
use crate::{disk, options};

/// How often store and floor take turns.
const TURNS: u32 = 4;
/// The first, short turn, which says how large batches are.
const TRIAL: Duration = Duration::from_millis(500);
/// Bytes of a message in the journal, about.
const MESSAGE_BYTES: f64 = 250.0;

/// Runs all loads and prints the table.
pub fn report() {
    println!("\n## Commits: 10,000 mailboxes, in {TURNS} turns with the floor\n");
    println!(
        "The floor: the same senders, and a plain file in the place of the store. The disk alone: \
         batches as large as the store's, and no senders.\n"
    );
    println!(
        "| senders | | durable msg/s | of the floor | ack p50 / p99 / p99.9 / worst ms | batch | RSS MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for senders in ["64", "1000", "1000 with clientMsgId"] {
        let figures = part::run(&format!("commits {senders}"));
        let latencies = |name: &str| {
            let of = |part: &str| figures.of(&format!("{name} {part}"));
            let (p50, p99, p999) = (of("p50"), of("p99"), of("p999"));
            format!("{p50:.2} / {p99:.2} / {p999:.1} / {:.1}", of("worst"))
        };
        println!(
            "| {senders} | store | {:.0} | {:.0} % | {} | {:.0} | {:.0} |",
            figures.of("rate"),
            100.0 * figures.of("ratio"),
            latencies("store"),
            figures.of("batch"),
            disk::mib(figures.of("rss")),
        );
        println!(
            "| | floor | {:.0} | | {} | {:.0} | |",
            figures.of("floor"),
            latencies("floor"),
            figures.of("floor batch"),
        );
        println!("| | disk alone | {:.0} | | | | |", figures.of("disk"));
    }
}

/// One load.
pub fn run(senders: &str) {
    let own_ids = senders.contains("clientMsgId");
    let count = senders.split(' ').next().unwrap().parse().unwrap();
    let dir = base().join("commits");
    let store = Store::open(
        options::options(&dir),
        Arc::new(SystemClock),
        Arc::new(Ignore),
    )
    .unwrap();
    let mut traffic = Traffic::new(own_ids);
    let mut to_store = Senders::new(&store);
    let store_batches = || store.stats().frames;
    let plain = Floor::open(&base());
    let mut to_floor = Senders::new(&plain);
    let floor_batches = || plain.batches();
    turn(&mut to_store, &store_batches, count, &mut traffic, TRIAL);
    turn(&mut to_floor, &floor_batches, count, &mut traffic, TRIAL);
    to_store.latencies.clear();
    to_floor.latencies.clear();
    let time = load_time() / TURNS;
    let (mut rates, mut floors, mut ratios) = (vec![], vec![], vec![]);
    let (mut batches, mut floor_sizes, mut disks) = (vec![], vec![], vec![]);
    for _ in 0..TURNS {
        // The floor has the machine for itself.
        store.flush();
        let (floor, size) = turn(&mut to_floor, &floor_batches, count, &mut traffic, time / 2);
        floor_sizes.push(size);
        let (rate, size) = turn(&mut to_store, &store_batches, count, &mut traffic, time);
        store.flush();
        disks.push(disk_alone(&base(), size, MESSAGE_BYTES, time / 8));
        batches.push(size);
        rates.push(rate);
        floors.push(floor);
        ratios.push(rate / floor);
    }
    tell("rss", disk::resident().1 as f64);
    tell("rate", median(rates));
    tell("floor", median(floors));
    tell("disk", median(disks));
    tell("ratio", median(ratios));
    tell("batch", median(batches));
    tell("floor batch", median(floor_sizes));
    tell_latencies("store", &to_store.latencies);
    tell_latencies("floor", &to_floor.latencies);
    store.close();
    disk::clear(&dir);
}

fn tell_latencies(name: &str, latencies: &Latencies) {
    for (part, of) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        tell(&format!("{name} {part}"), latencies.ms(of));
    }
    tell(&format!("{name} worst"), latencies.worst_ms());
}

/// Messages a second, and how many a commit.
fn turn(
    senders: &mut Senders<'_, impl Commits>,
    batches: &dyn Fn() -> u64,
    count: usize,
    traffic: &mut Traffic,
    time: Duration,
) -> (f64, f64) {
    let before = batches();
    let begun = Instant::now();
    let acknowledged = senders.run(count, traffic, time) as f64;
    let rate = acknowledged / begun.elapsed().as_secs_f64();
    let made = (batches() - before).max(1) as f64;
    senders.drain();
    (rate, acknowledged / made)
}

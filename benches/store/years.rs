//! A store that has been in use for years: what it takes on disk and in memory, how soon it is
//! open, and all that is then measured of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relaybox::clock::{Clock, ManualClock, SystemClock};
use relaybox::model::{MsgId, UserId};
use relaybox::store::Store;

use crate::aged::{AGE, FREQUENT, RARE, READER, dir, options, reader};
use crate::part::{self, Part, tell};
use crate::settings::messages;
use crate::traffic::{Ignore, Senders, Traffic};
use crate::{disk, reads, served, sweep};

/// One message in so many goes to the reader, and of these one in so many comes from either sender.
const READER_EVERY: u64 = 10;
const RARE_EVERY: u64 = 1_000;
const FREQUENT_EVERY: u64 = 4;

const SENDERS: usize = 1_000;
/// How long it is sent to before it is killed.
const UP: Duration = Duration::from_secs(2);

/// Makes the store and prints all about it.
pub fn report() {
    let count = messages();
    println!("\n## A store of {count} messages over three years\n");
    let filled = part::run("fill");
    let (journal, all) = (disk::bytes(&dir().join("journal")), disk::bytes(&dir()));
    let clean = part::run("open");
    let mut killed = Part::start("send-until-killed");
    killed.wait_for("sent");
    killed.kill();
    let unclean = part::run("open");
    forget_index(&dir());
    let rebuilt = part::run("open");
    println!("| | |\n| --- | --- |");
    println!("| filled at | {:.0} msg/s |", filled.of("rate"));
    println!(
        "| ack p50 / p99 / p99.9 / worst of {SENDERS} senders | {:.1} / {:.1} / {:.1} / {:.1} ms |",
        filled.of("p50"),
        filled.of("p99"),
        filled.of("p999"),
        filled.of("worst")
    );
    let bytes = filled.of("bytes");
    println!(
        "| bytes on disk a byte of message | {:.2}: journal {:.2}, index {:.2} |",
        all as f64 / bytes,
        journal as f64 / bytes,
        (all - journal) as f64 / bytes
    );
    println!(
        "| bytes of a message: itself, on disk | {:.0}, {:.0} |",
        bytes / count as f64,
        all as f64 / count as f64
    );
    println!(
        "| peak RSS while it was filled | {:.0} MiB |",
        disk::mib(filled.of("peak"))
    );
    for (what, opened) in [("a clean stop", &clean), ("kill -9", &unclean)] {
        println!(
            "| open after {what} | {:.2} s, RSS {:.0} MiB |",
            opened.of("seconds"),
            disk::mib(opened.of("peak"))
        );
    }
    println!(
        "| index made anew | {:.1} s, {:.0} msg/s, RSS {:.0} MiB |",
        rebuilt.of("seconds"),
        rebuilt.of("messages") / rebuilt.of("seconds"),
        disk::mib(rebuilt.of("peak"))
    );
    reads::report();
    served::report();
    sweep::report();
}

fn forget_index(dir: &Path) {
    std::fs::remove_dir_all(dir.join("db")).unwrap();
    std::fs::remove_file(dir.join("db.state")).unwrap();
}

/// The part that makes the store.
pub fn fill() {
    let count = messages();
    let age_us = AGE.as_micros() as u64;
    let first_us = SystemClock.now_us() - age_us;
    let clock = Arc::new(ManualClock::new(first_us));
    let store = Store::open(options(), clock.clone(), Arc::new(Ignore)).unwrap();
    let mut traffic = Traffic::new(false);
    let [reader, rare, frequent] = [READER, RARE, FREQUENT].map(|id| UserId::parse(id).unwrap());
    let mut senders = Senders::new(&store);
    let begun = Instant::now();
    for n in 0..count {
        clock.set_us(first_us + age_us / count * n);
        if n.is_multiple_of(1000) {
            // The store's threads wait as long as they do in a server.
            clock.advance_monotonic(begun.elapsed().saturating_sub(clock.monotonic()));
        }
        let at_reader = n / READER_EVERY;
        let (from, to) = if n % READER_EVERY > 0 {
            (traffic.any_user(), traffic.any_user())
        } else if at_reader.is_multiple_of(RARE_EVERY) {
            (rare.clone(), reader.clone())
        } else if at_reader.is_multiple_of(FREQUENT_EVERY) {
            (frequent.clone(), reader.clone())
        } else {
            (traffic.any_user(), reader.clone())
        };
        let draft = traffic.draft(from, to);
        senders.send(0, draft);
        if n >= SENDERS as u64 {
            senders.next();
        }
    }
    senders.drain();
    tell("rate", count as f64 / begun.elapsed().as_secs_f64());
    tell("bytes", senders.sent_bytes as f64);
    let latencies = &senders.latencies;
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        tell(name, latencies.ms(part));
    }
    tell("worst", latencies.worst_ms());
    disk::wait_for_compression(&dir());
    tell("peak", disk::resident().1 as f64);
    store.close();
}

/// The part that opens the store and finds everything in it.
pub fn open() {
    let begun = Instant::now();
    let store = Store::open(options(), Arc::new(SystemClock), Arc::new(Ignore)).unwrap();
    tell("seconds", begun.elapsed().as_secs_f64());
    let total = store
        .view()
        .list(&reader(), None)
        .unwrap()
        .rank(MsgId::MAX)
        .unwrap();
    assert!(total >= messages() / READER_EVERY, "{total}");
    tell("messages", messages() as f64);
    tell("peak", disk::resident().1 as f64);
    store.close();
}

/// The part that is killed while it sends.
pub fn send_until_killed() {
    let store = Store::open(options(), Arc::new(SystemClock), Arc::new(Ignore)).unwrap();
    let mut traffic = Traffic::new(false);
    let mut senders = Senders::new(&store);
    loop {
        let sent = senders.run(SENDERS, &mut traffic, UP);
        tell("sent", sent as f64);
        senders.drain();
    }
}

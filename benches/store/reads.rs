//! Pages and queues, as the server finds them: in a mailbox with a tenth of all messages.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use relaybox::clock::SystemClock;
use relaybox::command::history::{self, HistoryQuery, Order, Place, Senders};
use relaybox::model::{MsgId, UserId};
use relaybox::store::{Portion, Store};

use crate::part::{self, tell};
use crate::traffic::{Ignore, Traffic, median};
use crate::{aged, disk};

pub const PAGE: u64 = 10;
/// The deep page; the last one where there are fewer.
pub const DEEP: u64 = 10_000;
/// How often each page is read, in turn with the others, for the median. Deep pages are others each
/// time.
pub const TIMES: u64 = 1_000;
pub const SPREAD: u64 = 200;
/// Messages of a long queue.
pub const QUEUE: u64 = 100_000;
/// What a session reads at once.
const QUEUE_CHUNK: usize = 256;
const QUEUE_BYTES: usize = 256 << 10;

/// Whose messages, and how deep.
pub const PAGES: [(&str, Option<&str>, bool); 6] = [
    ("page 1", None, false),
    ("page 10,000", None, true),
    ("page 1, a rare sender's", Some(aged::RARE), false),
    ("the last page, a rare sender's", Some(aged::RARE), true),
    ("page 1, a frequent sender's", Some(aged::FREQUENT), false),
    (
        "page 10,000, a frequent sender's",
        Some(aged::FREQUENT),
        true,
    ),
];

/// The deepest of so many pages that is read; another one each time.
pub fn page(total: u64, deep: bool, traffic: &mut Traffic) -> u64 {
    let last = (total / PAGE).clamp(1, DEEP);
    if deep {
        last - traffic.random(SPREAD.min(last))
    } else {
        1
    }
}

/// Prints a table of pages and says how far they are apart.
pub fn print_pages(medians_us: &[f64; PAGES.len()]) {
    println!("| | median µs |\n| --- | --- |");
    for ((title, _, _), us) in PAGES.iter().zip(medians_us) {
        println!("| {title} | {us:.0} |");
    }
    let lowest = medians_us.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = medians_us.iter().copied().fold(0.0, f64::max);
    println!(
        "| the slowest of these by the fastest | {:.1} |",
        highest / lowest
    );
}

/// Runs the part and prints its tables.
pub fn report() {
    let figures = part::run("reads");
    println!(
        "\n### Pages of {PAGE} in a mailbox of {:.0}, without a server\n",
        figures.of("total")
    );
    print_pages(&std::array::from_fn(|n| figures.of(&n.to_string())));
    for (n, (title, _, deep)) in PAGES.iter().enumerate() {
        if *deep {
            let us = figures.of(&format!("first {n}"));
            println!("| {title}, not read before | {us:.0} |");
        }
    }
    println!(
        "| a queue of {:.0} messages | {:.0} msg/s |",
        figures.of("queue"),
        figures.of("drained")
    );
    println!("| peak RSS | {:.0} MiB |", disk::mib(figures.of("peak")));
}

/// The part that reads.
pub fn run() {
    let store = Store::open(aged::options(), Arc::new(SystemClock), Arc::new(Ignore));
    let store = store.unwrap();
    let mailbox = aged::reader();
    let mut traffic = Traffic::new(false);
    let mut times: [Vec<f64>; PAGES.len()] = Default::default();
    let mut first_times: [Vec<f64>; PAGES.len()] = Default::default();
    let mut seen = HashSet::new();
    for _ in 0..TIMES {
        for (n, (_, from, deep)) in PAGES.iter().enumerate() {
            let from = from.map(|from| UserId::parse(from).unwrap());
            let all = store
                .view()
                .list(&mailbox, from.as_ref())
                .unwrap()
                .rank(MsgId::MAX)
                .unwrap();
            let page = page(all, *deep, &mut traffic);
            let query = HistoryQuery {
                mailbox: mailbox.clone(),
                senders: from.clone().map_or(Senders::All, Senders::From),
                since_ms: None,
                until_ms: None,
                as_of: None,
                place: Place::Page(page, Order::Descending),
                size: PAGE,
            };
            let begun = Instant::now();
            let (_, list) = history::find(&store, &query).unwrap();
            let us = begun.elapsed().as_secs_f64() * 1e6;
            times[n].push(us);
            if seen.insert((n, page)) {
                first_times[n].push(us);
            }
            assert_eq!(list.len() as u64, PAGE);
        }
    }
    for (n, (times, first_times)) in times.into_iter().zip(first_times).enumerate() {
        tell(&n.to_string(), median(times));
        tell(&format!("first {n}"), median(first_times));
    }
    let total = store
        .view()
        .list(&mailbox, None)
        .unwrap()
        .rank(MsgId::MAX)
        .unwrap();
    let queue = QUEUE.min(total);
    let first = store
        .view()
        .list(&mailbox, None)
        .unwrap()
        .slice(total - queue..total - queue + 1, Portion::ALL);
    let mut after = MsgId(first.unwrap()[0].id.0 - 1);
    let begun = Instant::now();
    let mut drained = 0;
    loop {
        let backlog = store.messages_after(&mailbox, after, QUEUE_CHUNK, QUEUE_BYTES);
        let messages = backlog.unwrap().messages;
        let Some(last) = messages.last() else { break };
        after = last.id;
        drained += messages.len() as u64;
    }
    assert_eq!(drained, queue);
    tell("total", total as f64);
    tell("queue", queue as f64);
    tell("drained", queue as f64 / begun.elapsed().as_secs_f64());
    tell("peak", disk::resident().1 as f64);
    store.close();
}

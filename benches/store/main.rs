//! How fast the store is, how much it needs, and how little it minds its age.
//!
//! `make bench-store`, or `make bench-years` for ten million messages. Each part runs in a
//! process of its own, so that its memory is its own and it can be killed. Rates of commits
//! are paired in the same run with their floor: the same senders and a plain file, with one
//! fdatasync for all that wait.
//!
//! Settings: `RELAYBOX_BENCH_MESSAGES` (in the store, default 2,000,000; a tenth of them in
//! one mailbox), `RELAYBOX_BENCH_SECONDS` (for each load, default 16), `RELAYBOX_BENCH_DIR`
//! (default: under the build directory), `RELAYBOX_BENCH_ONLY` (parts of the report, by commas:
//! `commits`, `years`).
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod aged;
mod commits;
mod disk;
mod floor;
mod options;
mod part;
mod reads;
mod served;
mod settings;
mod sweep;
mod traffic;
mod years;

use settings::base;
use tikv_jemallocator::Jemalloc;

/// The server's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    if let Some(part) = part::wanted() {
        return run(&part);
    }
    let only = std::env::var("RELAYBOX_BENCH_ONLY").ok();
    let wanted = |name: &str| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|o| o == name))
    };
    disk::clear(&base());
    if wanted("commits") {
        commits::report();
    }
    if wanted("years") {
        years::report();
    }
    disk::clear(&base());
}

/// What a process does that was started for one part.
fn run(part: &str) {
    let (name, argument) = part.split_once(' ').unwrap_or((part, ""));
    match name {
        "commits" => commits::run(argument),
        "fill" => years::fill(),
        "open" => years::open(),
        "send-until-killed" => years::send_until_killed(),
        "reads" => reads::run(),
        "sweep" => sweep::run(),
        other => panic!("no part is called {other}"),
    }
}

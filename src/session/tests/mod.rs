//! Simulated sessions: random logins, cuts, stalls, receipts, late answers of the store and
//! restarts, in memory and on a manual clock.
//!
//! The machine, its driver, the hub with its outboxes and the connection are real; the stream, the
//! client and the store are simulated. Checked after each step, and once every device has logged in
//! again and drained:
//! - a session delivers what is due to its device, from its start, without gap or repeat, and
//!   nothing else, except messages in flight when they were erased; in the end no due message is
//!   missing;
//! - the cursor moves only by receipts that count and over messages for other devices; receipts
//!   that count move it, wrong ones are answered with an error;
//! - unconfirmed deliveries and output waiting for the socket are bounded, and continue once
//!   confirmed;
//! - Pings come in time, with the right payload, and not too many; a dead peer's session ends, a
//!   live one's never does;
//! - whatever has something to do was woken.
//!
//! `RELAYBOX_TEST_CASES` sets the number of cases; a failure prints the seed of its case, and
//! `RELAYBOX_TEST_SEED` runs that case again.

mod case;
mod causes;
mod client;
mod clients;
mod desk;
mod ending;
mod frames;
mod known;
mod pinging;
mod session;
mod slow;
mod stepping;
mod steps;
mod store;
mod watch;
mod wire;
mod world;

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use case::Checked;
use steps::STEPS_MAX;
use world::World;

/// Cases per run by default.
const CASES: u64 = 4000;

/// Most attempts to shrink a failing case.
const SHRINKS_MAX: u32 = 5000;

fn run(settings: u64, steps: &[u64]) -> Checked {
    let mut world = World::new(steps::settings(settings));
    for random in steps {
        let (step, runs) = steps::step(*random);
        world.step(&step, runs)?;
    }
    world.finish()
}

/// Runs the case of this seed; reports a failure, shrunk as far as possible.
fn run_case(seed: u64) {
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: SHRINKS_MAX,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let random = || any::<u64>().no_shrink();
    let case = (random(), vec(random(), 1..=STEPS_MAX));
    let outcome = TestRunner::new(config).run(&case, |(settings, steps)| run(settings, &steps));
    if let Err(TestError::Fail(why, (settings, steps))) = outcome {
        let settings = steps::settings(settings);
        let steps = steps.iter().map(|random| match steps::step(*random) {
            (step, true) => format!("\n{step:?}"),
            (step, false) => format!("\n{step:?}, and nothing runs"),
        });
        let steps: String = steps.collect();
        panic!("RELAYBOX_TEST_SEED={seed}: {why}\n{settings:?}{steps}");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs `case` with random seeds, or with `RELAYBOX_TEST_SEED` alone.
fn run_seeds(cases: u64, case: impl Fn(u64)) {
    // An orderly close sets a tokio deadline; the simulation decides when it is over.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime without threads");
    let _timers = runtime.enter();
    if let Some(seed) = number("RELAYBOX_TEST_SEED") {
        return case(seed);
    }
    let first = RandomState::new().hash_one("seed");
    for at in 0..number("RELAYBOX_TEST_CASES").unwrap_or(cases) {
        case(first.wrapping_add(at));
    }
}

#[test]
fn sessions_do_what_the_model_says() {
    run_seeds(CASES, run_case);
}

#[test]
fn a_client_that_works_slowly_gets_past_a_message_on_every_connection() {
    run_seeds(CASES / 10, |seed| {
        let random = |of: &str| {
            let mut hasher = DefaultHasher::new();
            (seed, of).hash(&mut hasher);
            hasher.finish()
        };
        if let Err(why) = slow::run(random("settings"), random("client")) {
            panic!("RELAYBOX_TEST_SEED={seed}: {why}");
        }
    });
}

//! Simulated sessions: random logins, cuts, stalls, receipts, late answers of the store and restarts, in
//! memory and on a clock that is moved by hand.
//!
//! Real are the machine, its driver, the hub with its outboxes and the connection; in memory are the
//! stream, the client and the store. Held, after each step and once every device has
//! logged in again and drained:
//! - a session delivers what its device is due, from where it began, without gap or repeat, and nothing
//!   else, but for what was on its way when it was erased; in the end nothing that was due is missing;
//! - the cursor moves by receipts that count, over messages of other devices, and never else; receipts
//!   that count move it, wrong ones are answered by an error;
//! - unconfirmed deliveries and what waits for the socket are bounded, and go on once confirmed;
//! - Pings come in time, with the right payload, and not too many; a dead peer's session ends, a live
//!   one's never;
//! - whoever has something to do has been woken.
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

/// Cases of one run, where nothing else is asked for.
const CASES: u64 = 4000;

/// Tries to make a failing case smaller.
const SHRINKS_MAX: u32 = 5000;

fn run(settings: u64, steps: &[u64]) -> Checked {
    let mut world = World::new(steps::settings(settings));
    for random in steps {
        let (step, runs) = steps::step(*random);
        world.step(&step, runs)?;
    }
    world.finish()
}

/// Runs the case of this seed; where it fails, says how, as small as it can be made.
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

/// Runs `case` with as many seeds as are asked for, or with the one that is.
fn run_seeds(cases: u64, case: impl Fn(u64)) {
    // An orderly close sets a deadline; it is the world that says when it is over.
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

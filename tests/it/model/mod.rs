//! The server against a model, through random sequences of what devices, networks, tokens and
//! operators do: a list a mailbox and a receipt cursor a device say what each session must get.
//!
//! Many cases run beside one another, each with users of its own, so that what leaks from one to
//! another shows too; some have a server of their own, which is restarted and killed.
//!
//! `RELAYBOX_TEST_CASES` sets how many cases run, `RELAYBOX_TEST_SEED` replays one.

mod cursor;
mod door;
mod ending;
mod erasing;
mod names;
mod paging;
mod receipts;
mod sending;
mod session;
mod state;
mod state_tests;
mod step;
mod world;

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::strategy::{BoxedStrategy, Strategy};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::support::{DEADLINE, Options, Server};
use step::Case;
use world::{Host, World};

/// How long to wait for what must come while a case that failed is made smaller.
const PATIENCE_SHRINKING: Duration = Duration::from_secs(3);

/// Smaller cases tried, and time spent on that: each takes real time.
const SHRINKS_MAX: u32 = 300;
const SHRINKING_MAX: Duration = Duration::from_secs(60);

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {value:?}")))
}

/// Draws one case from its seed and runs it, and smaller ones if it fails; then what is wrong.
fn check(host: &Host, seed: u64, strategy: &impl Strategy<Value = Case>) -> Option<String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: SHRINKS_MAX,
        max_shrink_time: u32::try_from(SHRINKING_MAX.as_millis()).unwrap(),
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let patience = Cell::new(DEADLINE);
    let outcome = runner.run(strategy, |case| {
        // Whatever runs after the first one is a smaller case of one that failed.
        let patience = patience.replace(PATIENCE_SHRINKING);
        runtime.block_on(World::run(host, &case, patience))
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(why, case)) => Some(format!("{why}\n--- the smallest case:\n{case:?}")),
        Err(TestError::Abort(why)) => Some(format!("gave up: {why}")),
    }
}

/// Runs many cases on these servers, several at once on each; fails with the first that fails.
fn hold(
    test: &str,
    cases: u64,
    hosts: &[Host],
    strategy: fn() -> BoxedStrategy<Case>,
    at_once: usize,
) {
    let cases = setting("RELAYBOX_TEST_CASES").unwrap_or(cases);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let clock = u64::from(now.unwrap().subsec_nanos());
    let first = setting("RELAYBOX_TEST_SEED").unwrap_or(clock * 1000);
    eprintln!("{cases} cases from RELAYBOX_TEST_SEED={first}");
    let next = AtomicU64::new(0);
    let wrong = Mutex::new(None);
    let work = |host: &Host| {
        while wrong.lock().unwrap().is_none() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= cases {
                return;
            }
            let seed = first.wrapping_add(number);
            if let Some(why) = check(host, seed, &strategy()) {
                let mut wrong = wrong.lock().unwrap();
                wrong.get_or_insert((seed, why));
            }
        }
    };
    std::thread::scope(|scope| {
        for host in hosts {
            for _ in 0..at_once {
                scope.spawn(|| work(host));
            }
        }
    });
    if let Some((seed, why)) = wrong.into_inner().unwrap() {
        panic!(
            "{why}\n--- again: RELAYBOX_TEST_SEED={seed} RELAYBOX_TEST_CASES=1 cargo nextest run \
             --locked --test it model::{test}"
        );
    }
}

/// A server whose sessions fall behind early, and that writes its index often.
async fn server() -> Server {
    let small = ["--outbox-bytes-max", "4KiB", "--tail-bytes-max", "1MiB"];
    Server::with(Options::new().args(&small)).await
}

#[tokio::test]
async fn beside_one_another() {
    let hosts = [Host::new(server().await)];
    let strategy = || step::peaceful().boxed();
    hold("beside_one_another", 320, &hosts, strategy, 12);
}

#[tokio::test]
async fn over_restarts() {
    let hosts = [Host::new(server().await), Host::new(server().await)];
    let strategy = || step::with_restarts().boxed();
    hold("over_restarts", 12, &hosts, strategy, 1);
}

//! Clients that reconnect for ever behind a network that cuts, stalls and forgets, while others
//! send: nothing is lost, nothing comes out of order, nothing that was confirmed comes again.
//!
//! `RELAYBOX_TEST_SEED=` replays what befalls the connections; `RELAYBOX_TEST_ROUNDS=` runs longer.

use crate::support::fleet::{self, Fleet, Plan};
use crate::support::random::{self, Random};
use crate::support::{Options, Server};

const PLAN: Plan = Plan {
    users: 15,
    devices: 42,
    late: 8,
    senders: 14,
    sends: 150,
    pace_ms_max: 70,
    large: 1,
};

/// Most of them come while messages are sent.
const LATE_MS_MAX: usize = 5000;

async fn run(args: &[&str]) {
    let seed = random::seed();
    for round in 0..random::rounds(1) {
        let options = Options::new().args(&["--plain", "127.0.0.1:0"]).args(args);
        let server = Server::with(options).await;
        let mut fleet = Fleet::start(&server, &PLAN, Random::new(seed + round)).await;
        fleet.join(PLAN.late, LATE_MS_MAX);
        let (story, befell) = fleet.finish(&server).await;
        // Every fate there is, else nothing was tried.
        assert_eq!(befell.len(), 5, "{befell:?}");
        fleet::assert_good(&story);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_small_limits() {
    let small = ["--outbox-bytes-max", "4KiB", "--tail-bytes-max", "1MiB"];
    run(&[&small[..], &["--ping-interval", "1s"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_the_limits_as_they_come() {
    run(&[]).await;
}

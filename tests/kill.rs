//! The same fleet as in the chaos tests, and a server that is killed and restarted under it: what
//! was acknowledged is kept, and a kill takes back no receipt but those of the last moment.
//!
//! `RELAYBOX_TEST_SEED=` replays, `RELAYBOX_TEST_ROUNDS=` is the number of kills.

#![allow(clippy::unwrap_used)]

mod common;

use common::fleet::{self, Fleet, Plan};
use common::random::{self, Random};
use common::{Options, Server};

/// So that the default rounds fit into the patience of whoever runs all tests.
const ROUNDS: u64 = 5;
const UP_MS_MAX: usize = 3000;

const PLAN: Plan = Plan {
    users: 8,
    devices: 24,
    late: 6,
    senders: 8,
    sends: usize::MAX,
    pace_ms_max: 40,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_survives_kills_and_restarts() {
    let mut random = Random::new(random::seed());
    let options = [
        "--plain",
        "127.0.0.1:0",
        "--tail-bytes-max",
        "1MiB",
        "--ping-interval",
        "1s",
    ];
    let mut server = Server::with(Options::new().args(&options)).await;
    let mut fleet = Fleet::start(&server, &PLAN, random.fork(0)).await;
    for round in 0..random::rounds(ROUNDS) {
        // At times before anybody is back.
        let up_ms_max = if random.once_in(4) { 100 } else { UP_MS_MAX };
        tokio::time::sleep(random.millis(up_ms_max)).await;
        if round % 4 == 3 {
            fleet.restart(&mut server).await;
        } else {
            fleet.kill(&mut server, random.millis(200)).await;
        }
    }
    fleet.stop_sending();
    let story = fleet.finish(&server).await;
    fleet::assert_good(&story);
}

//! The same fleet as in the chaos tests, and a server that is killed and restarted under it: what
//! was acknowledged is kept, and a kill takes back no receipt but those of the last moment.
//!
//! `RELAYBOX_TEST_SEED=` replays, `RELAYBOX_TEST_ROUNDS=` is the number of kills.

use std::time::Duration;

use crate::support::checker::STORED_WITHIN;
use crate::support::fleet::{self, Fleet, Plan};
use crate::support::random::{self, Random};
use crate::support::{Options, Server};

/// So that the default rounds fit into the patience of whoever runs all tests.
const ROUNDS: u64 = 5;
const SOON_MS_MAX: usize = 400;
const LONG_MS_MAX: usize = 2000;
const LATE_A_ROUND: usize = 6;

const PLAN: Plan = Plan {
    users: 8,
    devices: 24,
    late: 30,
    senders: 14,
    sends: usize::MAX,
    pace_ms_max: 40,
    // So that the memtable overflows and flushes are killed, too.
    large: 10,
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
        // In turn: before anybody has settled, and when receipts are long stored.
        let soon = round.is_multiple_of(2);
        let settled = if soon { Duration::ZERO } else { STORED_WITHIN };
        let up = settled + random.millis(if soon { SOON_MS_MAX } else { LONG_MS_MAX });
        tokio::time::sleep(up).await;
        // New devices are there for a moment only before they have to be remembered.
        fleet.join(LATE_A_ROUND, SOON_MS_MAX);
        tokio::time::sleep(random.millis(SOON_MS_MAX)).await;
        if round % 4 == 2 {
            fleet.restart(&mut server).await;
        } else {
            fleet.kill(&mut server, random.millis(200)).await;
        }
    }
    fleet.stop_sending();
    let (story, _) = fleet.finish(&server).await;
    fleet::assert_good(&story);
}

//! A clock that ran ahead once: ids go on above the newest one, nothing ends by it, and the operator
//! is told, and may take it for right.

use std::sync::Arc;

use crate::harness::past::{self, send_at};
use crate::support::{Home, Options, Server};
use relaybox::clock::{Clock, SystemClock};

const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

/// A message that was sent so many days from now, and all before it.
fn send_days_from_now(home: &Home, days: &[i64]) {
    let now_us = SystemClock.now_us();
    let times_us = days
        .iter()
        .map(|days| now_us.saturating_add_signed(days * DAY_US as i64));
    send_at(home, now_us, times_us);
}

async fn doctor(home: &Home) -> String {
    past::doctor(home, "clock").await
}

#[tokio::test]
async fn ids_go_on_above_a_clock_that_ran_ahead() {
    let home = Arc::new(Home::new());
    let ahead_us = SystemClock.now_us() + DAY_US - 60_000_000;
    send_days_from_now(&home, &[1]);
    let judged = async |home: &Home| {
        let clock = doctor(home).await;
        let begins = "warning  clock: the clock is 23h 59m";
        assert!(clock.starts_with(begins), "{clock}");
    };
    judged(&home).await;
    let mut server = Server::at(home.clone(), Options::new()).await;
    judged(&home).await;
    server.says("the clock is behind").await;
    let mut client = server.user("u1").await;
    assert!(client.say_acked("box", "later").await > ahead_us);
    let ids: Vec<_> = server.mailbox("box").await;
    assert_eq!(ids.len(), 2);
    server.stop().await;
}

const HELD: &str = "nothing is dropped or erased by age until";

#[tokio::test]
async fn behind_a_step_nothing_ends_by_age_until_the_operator_accepts_the_clock() {
    let home = Arc::new(Home::new());
    send_days_from_now(&home, &[0, 40]);
    home.write("data/relaybox.toml", "retention = \"1h\"\n");
    // A stopped server's, and nothing is written for the answer.
    let clock = async |home: &Home| home.cli(&["clock"]).await.success();
    let told = clock(&home).await;
    assert!(told.contains("wrong by more than a day"), "{told}");
    assert!(
        told.contains(HELD) && told.contains("relaybox clock accept"),
        "{told}"
    );
    assert!(doctor(&home).await.contains(HELD));

    let options = Options::new().args(&["--metrics-listen", "127.0.0.1:0"]);
    let mut server = Server::at(home.clone(), options).await;
    server
        .says("the clock was stepped by more than a day")
        .await;
    server.says("hold_s=86").await;
    assert!(clock(&home).await.contains(HELD));
    assert!(doctor(&home).await.contains(HELD));
    assert_eq!(server.mailbox("box").await.len(), 2);
    // Also behind a kill: who must wait a day is not let off, nor asked to begin anew.
    server.kill9().await;
    server.spawn().await;
    assert!(clock(&home).await.contains(HELD));
    let accepted = server.cli(&["clock", "accept"]).await;
    assert!(
        accepted.contains("everything ends by age again"),
        "{accepted}"
    );
    let told = clock(&home).await;
    assert!(told.contains("the clock is taken for right"), "{told}");
    let again = server.cli(&["clock", "accept"]).await;
    assert!(again.contains("nothing was held"), "{again}");
    assert!(doctor(&home).await.contains("behind the newest message"));
    // They are seconds old, whatever their ids say.
    assert_eq!(server.mailbox("box").await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_stopped_server_can_be_told_that_it_was_away_for_long() {
    let home = Arc::new(Home::new());
    home.cli(&["clock"])
        .await
        .failure(1, &["no data directory"]);
    home.cli(&["clock", "accept"])
        .await
        .failure(1, &["no data directory"]);
    send_days_from_now(&home, &[-40]);
    assert!(home.cli(&["clock"]).await.success().contains(HELD));
    let accepted = home.cli(&["clock", "accept"]).await.success();
    assert!(
        accepted.contains("everything ends by age again"),
        "{accepted}"
    );
    assert!(!home.cli(&["clock"]).await.success().contains(HELD));
    let mut server = Server::at(home.clone(), Options::new()).await;
    assert!(!server.stderr().contains("the clock was stepped"));
    server.stop().await;
}

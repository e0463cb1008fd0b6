//! A retention that is new: what the operator is told before anything is erased.

use std::sync::Arc;

use crate::harness::past::{self, send_at};
use crate::support::{Home, Options, Server};
use relaybox::clock::{Clock, SystemClock};
use rustix::process::Signal;

const HOUR_US: u64 = 60 * 60 * 1_000_000;

/// A directory with three messages of ten hours ago.
fn with_old_messages() -> Arc<Home> {
    let home = Arc::new(Home::new());
    let then_us = SystemClock.now_us() - 10 * HOUR_US;
    send_at(&home, then_us, [then_us; 3]);
    home
}

async fn doctor(home: &Home) -> String {
    past::doctor(home, "retention").await
}

#[tokio::test]
async fn log_and_doctor_say_what_a_new_retention_erases_before_it_does() {
    let home = with_old_messages();
    home.write("data/relaybox.toml", "retention = \"1h\"\n");
    let line = doctor(&home).await;
    assert!(line.starts_with("warning"), "{line}");
    assert!(line.contains("erase what is older than 1h"), "{line}");

    let options = Options::new().file("retention = \"1h\"\n");
    let mut server = Server::at(home.clone(), options).await;
    server.says("in 1m it erases 3 messages for good").await;
    server.says("of this domain, what is older than 1h").await;
    assert!(doctor(&home).await.starts_with("warning"));
    assert_eq!(server.mailbox("box").await.len(), 3);

    // Mended in time.
    home.write("data/relaybox.toml", "retention = \"30days\"\n");
    server.signal(Signal::HUP);
    server.says("is taken back").await;
    server.says("it erases 0 messages").await;
    let line = doctor(&home).await;
    assert!(line.starts_with("ok"), "{line}");
    assert_eq!(server.mailbox("box").await.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn a_retention_in_m_is_refused_wherever_it_comes_from() {
    let home = Home::new();
    let flag = |value: &str| Options::new().args(&["--retention", value]);
    for options in [
        flag("6m"),
        flag("6M"),
        flag("shop=6m"),
        Options::new().env("RELAYBOX_RETENTION", "30days, shop=6m"),
        Options::new().file("retention = [\"6m\"]\n"),
    ] {
        let outcome = home.serve_fails(&options).await;
        outcome.failure(2, &["retention", "6min", "6months"]);
    }
}

//! A retention that is new: what the operator is told before anything is erased.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;

use common::{Home, Options, Server};
use relaybox::clock::{Clock, ManualClock, SystemClock};
use relaybox::model::{Domain, Draft, Message, MessageType, Recipient, Resource, UserId, UserName};
use relaybox::store::{CommitSink, Store, StoreOptions};
use rustix::process::Signal;

const HOUR_US: u64 = 60 * 60 * 1_000_000;

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[Message]) {}
}

/// A directory with three messages of ten hours ago.
fn with_old_messages() -> Arc<Home> {
    let home = Arc::new(Home::new());
    let clock = ManualClock::new(SystemClock.now_us() - 10 * HOUR_US);
    let options = StoreOptions::new(home.data());
    let store = Store::open(options, Arc::new(clock), Arc::new(Nobody)).unwrap();
    for content in ["1", "2", "3"] {
        let (answer, answered) = channel();
        let draft = Draft {
            domain: Domain::parse("demo").unwrap(),
            recipients: vec![Recipient {
                user: UserId::parse("box").unwrap(),
                offline: true,
            }],
            to_resource: None,
            from_id: UserId::parse("u1").unwrap(),
            from_name: UserName::parse("u1").unwrap(),
            from_resource: Resource::parse("web").unwrap(),
            kind: MessageType(10),
            content: content.into(),
            client_msg_id: None,
        };
        let done = move |outcome| answer.send(outcome).unwrap();
        store.append(draft, Box::new(done));
        answered.recv().unwrap().unwrap();
    }
    store.close();
    home
}

async fn doctor(home: &Home) -> String {
    let told = home.cli(&["doctor", "--listen", "127.0.0.1:0"]).await;
    let told = told.success();
    let line = told.lines().find(|line| line.contains(" retention: "));
    line.unwrap().to_owned()
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

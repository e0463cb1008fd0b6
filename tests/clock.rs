//! A clock that ran ahead once: ids go on above the newest one, and the operator is told.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;

use common::{Home, Options, Server, until};
use relaybox::clock::{Clock, ManualClock, SystemClock};
use relaybox::model::{Domain, Draft, Message, MessageType, Recipient, Resource, UserId, UserName};
use relaybox::store::{CommitSink, Store, StoreOptions};

const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[Message]) {}
}

#[tokio::test]
async fn ids_go_on_above_a_clock_that_ran_ahead() {
    let home = Arc::new(Home::new());
    let ahead_us = SystemClock.now_us() + DAY_US;
    {
        let clock = Arc::new(ManualClock::new(ahead_us));
        let options = StoreOptions::new(home.data());
        let store = Store::open(options, clock, Arc::new(Nobody)).unwrap();
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
            content: "1".into(),
            client_msg_id: None,
        };
        store.append(
            draft,
            Box::new(move |outcome| answer.send(outcome).unwrap()),
        );
        answered.recv().unwrap().unwrap();
        store.close();
    }
    let doctor = async |home: &Home| {
        let told = home
            .cli(&["doctor", "--listen", "127.0.0.1:0"])
            .await
            .success();
        let clock = told.lines().find(|line| line.contains(" clock: ")).unwrap();
        assert!(
            clock.starts_with("warning  clock: the clock is 23h 59m"),
            "{clock}"
        );
    };
    doctor(&home).await;
    let mut server = Server::at(home.clone(), Options::new()).await;
    doctor(&home).await;
    until("the warning", || {
        let told = server.stderr().contains("the clock is behind");
        async move { told.then_some(()) }
    })
    .await;
    let mut client = server.user("u1").await;
    assert!(client.say_acked("box", "later").await > ahead_us);
    let ids: Vec<_> = server.mailbox("box").await;
    assert_eq!(ids.len(), 2);
    server.stop().await;
}

//! A data directory in which messages were sent at other times, and what doctor says of it.

use std::sync::Arc;
use std::sync::mpsc::channel;

use relaybox::clock::ManualClock;
use relaybox::model::{Domain, Draft, Message, MessageType, Recipient, Resource, UserId, UserName};
use relaybox::store::{CommitSink, Store, StoreOptions};

use crate::support::Home;

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[Message]) {}
}

/// Opens the store at one time and stores a message for `box` of `demo` at each of the others, all in
/// microseconds since the Unix epoch: the clock is stepped between them.
pub fn send_at(home: &Home, opened_us: u64, times_us: impl IntoIterator<Item = u64>) {
    let clock = Arc::new(ManualClock::new(opened_us));
    let options = StoreOptions::small(home.data());
    let store = Store::open(options, clock.clone(), Arc::new(Nobody)).unwrap();
    for time_us in times_us {
        clock.set_us(time_us);
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
        let done = move |outcome| answer.send(outcome).unwrap();
        store.append(draft, Box::new(done));
        answered.recv().unwrap().unwrap();
    }
    store.close();
}

/// The line of `relaybox doctor` about this.
pub async fn doctor(home: &Home, check: &str) -> String {
    let told = home.cli(&["doctor", "--listen", "127.0.0.1:0"]).await;
    let told = told.success();
    let check = format!(" {check}: ");
    let line = told.lines().find(|line| line.contains(&check));
    line.unwrap().to_owned()
}

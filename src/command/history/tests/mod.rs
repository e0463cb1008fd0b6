//! The history of a real store: helpers for its tests.
#![allow(clippy::unwrap_used)]

mod list;
mod vanishing;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::clock::ManualClock;
use crate::model::{
    Domain, Draft, Mailbox, Message, MessageType, MsgId, Recipient, Resource, UserId, UserName,
};
use crate::store::{Accepted, AppendError, CommitSink, Store, StoreOptions};

const NOW_US: u64 = 1_764_000_000_000_000;
const USERS: [&str; 3] = ["a", "b", "c"];
const WAIT: Duration = Duration::from_secs(30);

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[Message]) {}
}

fn open(dir: &Path, clock: Arc<ManualClock>) -> Store {
    Store::open(StoreOptions::small(dir), clock, Arc::new(Nobody)).unwrap()
}

fn mailbox(user: usize) -> Mailbox {
    Mailbox {
        domain: Domain::parse("d").unwrap(),
        user: UserId::parse(USERS[user]).unwrap(),
    }
}

type Answer = Receiver<Result<Accepted, AppendError>>;

fn send_later(store: &Store, to: usize, from: usize, bytes: usize) -> Answer {
    let Mailbox { domain, user } = mailbox(to);
    let draft = Draft {
        domain,
        recipients: vec![Recipient {
            user,
            offline: true,
        }],
        to_resource: None,
        from_id: mailbox(from).user,
        from_name: UserName::parse("Name").unwrap(),
        from_resource: Resource::parse("web").unwrap(),
        kind: MessageType(10),
        content: "x".repeat(bytes).into(),
        client_msg_id: None,
    };
    let (sender, answer) = channel();
    // The receiver may be gone by now.
    let done = move |accepted| sender.send(accepted).unwrap_or_default();
    store.append(draft, Box::new(done));
    answer
}

fn id_of(answer: &Answer) -> MsgId {
    answer.recv_timeout(WAIT).unwrap().unwrap().ids[0]
}

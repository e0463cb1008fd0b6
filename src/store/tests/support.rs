//! Helpers of the store's tests.
#![allow(clippy::unwrap_used)]

use std::ops::Deref;
pub(super) use std::path::Path;
pub(super) use std::sync::mpsc::{Receiver, channel};
pub(super) use std::sync::{Arc, Mutex};
pub(super) use std::time::{Duration, Instant};

pub(super) use crate::clock::{Clock as _, ManualClock};
pub(super) use crate::model::{
    ClientMsgId, Device, Domain, DomainRecord, Draft, Mailbox, Message, MessageType, MsgId,
    Recipient, Resource, Retention, UserId, UserName,
};
pub(super) use crate::store::disk::FileSystem;
pub(super) use crate::store::{
    Accepted, AppendError, CommitSink, Entered, FileError, OpenError, Portion, Store, StoreOptions,
};

use std::ops::Range;

use crate::store::api::Reading;
use crate::store::data::SendKey;
use crate::store::index;
use crate::store::state::Job;

/// A time in 2025.
pub(super) const NOW_US: u64 = 1_764_000_000_000_000;
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// Remembers what was published.
#[derive(Default)]
pub(super) struct Seen(pub(super) Mutex<Vec<Message>>);

impl CommitSink for Seen {
    fn committed(&self, messages: &[Message]) {
        self.0.lock().unwrap().extend_from_slice(messages);
    }
}

pub(super) fn options(dir: &Path) -> StoreOptions {
    let mut options = StoreOptions::small(dir);
    options.segment_bytes = 64 << 10;
    options.retention_notice = Duration::ZERO;
    options
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW_US))
}

/// A store with the clock that its threads wait by.
pub(crate) struct TestStore {
    store: Store,
    pub(crate) clock: Arc<ManualClock>,
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestStore {
    pub(super) fn open(options: StoreOptions) -> Self {
        let clock = clock();
        let store = Store::open(options, clock.clone(), Arc::new(Seen::default())).unwrap();
        Self { store, clock }
    }

    pub(super) fn open_with(
        options: StoreOptions,
        files: Arc<dyn FileSystem>,
    ) -> Result<Self, OpenError> {
        let clock = clock();
        let store = Store::open_with(options, clock.clone(), Arc::new(Seen::default()), files)?;
        Ok(Self { store, clock })
    }

    pub(super) fn step_until(&self, what: &str, condition: impl Fn() -> bool) {
        step_until(&self.clock, what, condition);
    }
}

pub(super) fn open(dir: &Path) -> TestStore {
    TestStore::open(options(dir))
}

/// A store whose journal has so many sealed segments at least.
pub(crate) fn with_segments(dir: &Path, count: usize) -> TestStore {
    let store = open(dir);
    while std::fs::read_dir(dir.join("journal")).unwrap().count() <= count {
        send_one(&store, "a", "b", &"x".repeat(9_000));
    }
    store
}

pub(super) fn open_sim(dir: &Path, files: Arc<dyn FileSystem>) -> Result<TestStore, OpenError> {
    TestStore::open_with(options(dir), files)
}

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(super) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(super) fn mailbox(domain_name: &str, id: &str) -> Mailbox {
    Mailbox {
        domain: domain(domain_name),
        user: user(id),
    }
}

pub(crate) fn device(domain_name: &str, id: &str, resource: &str) -> Device {
    Device {
        mailbox: mailbox(domain_name, id),
        resource: Resource::parse(resource).unwrap(),
    }
}

pub(super) fn draft(from: &str, to: &[&str], content: &str) -> Draft {
    let recipient = |id: &&str| Recipient {
        user: user(id),
        offline: true,
    };
    Draft {
        domain: domain("d"),
        recipients: to.iter().map(recipient).collect(),
        to_resource: None,
        from_id: user(from),
        from_name: UserName::parse("Name").unwrap(),
        from_resource: Resource::parse("web").unwrap(),
        kind: MessageType(10),
        content: content.into(),
        client_msg_id: None,
    }
}

pub(super) fn with_id(mut draft: Draft, id: &str) -> Draft {
    draft.client_msg_id = Some(ClientMsgId::parse(id).unwrap());
    draft
}

pub(super) fn send_later(store: &Store, draft: Draft) -> Receiver<Result<Accepted, AppendError>> {
    let (sender, receiver) = channel();
    let done = move |outcome| {
        let _ = sender.send(outcome);
    };
    store.append(draft, Box::new(done));
    receiver
}

pub(super) fn send(store: &Store, draft: Draft) -> Result<Accepted, AppendError> {
    send_later(store, draft).recv_timeout(WAIT).unwrap()
}

pub(super) fn enter_later(
    store: &Store,
    device: &Device,
    after: Option<MsgId>,
) -> Receiver<Result<MsgId, AppendError>> {
    let (sender, receiver) = channel();
    let done = move |outcome: Result<Entered, AppendError>| {
        let _ = sender.send(outcome.map(|entered| entered.cursor));
    };
    store.enter(device, after, Box::new(done));
    receiver
}

pub(super) fn enter(
    store: &Store,
    device: &Device,
    after: Option<MsgId>,
) -> Result<MsgId, AppendError> {
    let answer = enter_later(store, device, after);
    answer.recv_timeout(WAIT).unwrap()
}

pub(super) fn send_one(store: &Store, from: &str, to: &str, content: &str) -> MsgId {
    send(store, draft(from, &[to], content)).unwrap().ids[0]
}

pub(super) fn all(store: &Store, mailbox: &Mailbox) -> Vec<Message> {
    store
        .messages_after(mailbox, MsgId::ZERO, usize::MAX, usize::MAX)
        .unwrap()
        .messages
}

pub(super) fn contents(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| &*message.content).collect()
}

/// Waits for what the store's threads do without a wait by the clock.
pub(super) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Has time pass until the condition holds. The wall clock stands, so that nothing ages.
pub(super) fn step_until(clock: &ManualClock, what: &str, condition: impl Fn() -> bool) {
    eventually(what, || {
        condition() || {
            clock.advance_monotonic(Duration::from_millis(50));
            false
        }
    });
}

/// Waits until the store has seen what the clock shows now, and has noted what is to be noted.
pub(super) fn catch_up(store: &Store, clock: &ManualClock) {
    look(store);
    eventually("age time is noted", || {
        let age = store.shared().age();
        age.state().wall_us == clock.now_us() && !age.is_due()
    });
}

pub(super) fn record(name: &str) -> DomainRecord {
    DomainRecord {
        domain: domain(name),
        created_at_ms: 5,
        tokens: Vec::new(),
        signing_keys: Vec::new(),
    }
}

/// From either end a list is read until its contents reach the bound, and no further.
pub(super) fn check_portions(
    store: &Store,
    mailbox: &Mailbox,
    from: Option<&UserId>,
    all: &[Message],
) {
    for newest_first in [false, true] {
        for bytes_max in [1, 1 << 10, 100 << 10, usize::MAX] {
            let portion = Portion {
                newest_first,
                bytes_max,
            };
            let mut expected = all.to_vec();
            if newest_first {
                expected.reverse();
            }
            let mut bytes = 0;
            let behind = |message: &Message| {
                let full = bytes >= bytes_max;
                bytes += message.content.len();
                full
            };
            let end = expected.iter().position(behind).unwrap_or(all.len());
            expected.truncate(end);
            let read = store
                .view()
                .list(mailbox, from)
                .unwrap()
                .slice(0..u64::MAX, portion);
            assert_eq!(read.unwrap(), expected, "{portion:?}");
        }
    }
}

/// Every way to read a mailbox says the same.
pub(super) fn check_consistent(store: &Store, mailbox: &Mailbox) -> Vec<Message> {
    let all = all(store, mailbox);
    let total = all.len() as u64;
    assert_eq!(
        store
            .view()
            .list(mailbox, None)
            .unwrap()
            .rank(MsgId::MAX)
            .unwrap(),
        total
    );
    check_portions(store, mailbox, None, &all);
    assert!(all.is_sorted_by(|one, other| one.id < other.id));
    for (position, message) in (0..).zip(&all).step_by(1 + all.len() / 20) {
        assert_eq!(
            store
                .view()
                .list(mailbox, None)
                .unwrap()
                .rank(message.id)
                .unwrap(),
            position + 1
        );
        let here = position..position + 1;
        let one = store
            .view()
            .list(mailbox, None)
            .unwrap()
            .slice(here, Portion::ALL)
            .unwrap();
        assert_eq!(one, std::slice::from_ref(message));
        let known = store.last_id();
        let rest = store.messages_after(mailbox, message.id, 3, usize::MAX);
        let expected: Vec<_> = all
            .iter()
            .skip(position as usize + 1)
            .take(3)
            .cloned()
            .collect();
        let rest = rest.unwrap();
        assert_eq!(rest.upto.is_some(), expected.len() < 3);
        // The ids of a batch that failed count once the committer marks the end: at any moment.
        let between = known..=store.last_id();
        assert!(rest.upto.is_none_or(|upto| between.contains(&upto)));
        assert_eq!(rest.messages, expected);
    }
    let mut senders: Vec<_> = all.iter().map(|message| &message.from_id).collect();
    senders.sort_unstable();
    senders.dedup();
    for from in senders {
        let theirs: Vec<_> = all.iter().filter(|m| m.from_id == *from).cloned().collect();
        let count = theirs.len() as u64;
        assert_eq!(
            store
                .view()
                .list(mailbox, Some(from))
                .unwrap()
                .rank(MsgId::MAX)
                .unwrap(),
            count
        );
        check_portions(store, mailbox, Some(from), &theirs);
        let middle = count / 2;
        let one = store
            .view()
            .list(mailbox, Some(from))
            .unwrap()
            .slice(middle..middle + 1, Portion::ALL)
            .unwrap();
        assert_eq!(one, theirs[middle as usize..][..1]);
        let rank = store
            .view()
            .list(mailbox, Some(from))
            .unwrap()
            .rank(one[0].id)
            .unwrap();
        assert_eq!(rank, middle + 1);
    }
    all
}

/// Has the committer look at the clock now.
pub(super) fn look(store: &Store) {
    let (answer, answered) = channel();
    let key = SendKey {
        domain: domain("d"),
        from_id: user("nobody"),
        client_msg_id: ClientMsgId::parse("never").unwrap(),
    };
    let done = move |outcome| {
        let _ = answer.send(outcome);
    };
    store.shared().queue.push(Job::Repeat {
        key: Box::new(key),
        done: Box::new(done),
    });
    let _ = answered.recv_timeout(WAIT);
}

/// What the index alone holds at these positions.
pub(super) fn indexed(list: &index::List<'_>, positions: Range<u64>) -> Vec<Message> {
    let mut reading = Reading::new(Portion::ALL, usize::MAX);
    list.read(positions, &mut reading).unwrap();
    reading.messages
}

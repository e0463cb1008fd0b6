//! A view shows the same, however far flushes and exchanges of the index get meanwhile.

use std::cell::Cell;

use super::support::*;
use crate::store::View;
use crate::store::data::Decision;
use crate::store::index::{Index, IndexError, Kept, Pacing};

const RESOURCES: [&str; 4] = ["web", "phone", "tv", "new"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Send,
    Flush,
    Exchange,
}

const STEPS: [Step; 3] = [Step::Send, Step::Flush, Step::Exchange];

/// Keeps what is above this id.
struct Above(MsgId);

impl Kept for Above {
    fn low_watermark(&self, _: &Mailbox) -> MsgId {
        self.0
    }

    fn keeps_send(&self, _: &Domain, _: MsgId) -> bool {
        true
    }

    fn keeps_erasure(&self, _: &Mailbox, _: MsgId) -> bool {
        true
    }
}

struct World {
    store: TestStore,
    copies: tempfile::TempDir,
    made: Cell<u64>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self {
            store: open(dir.path()),
            copies: tempfile::tempdir().unwrap(),
            made: Cell::new(0),
            _dir: dir,
        };
        let ids: Vec<MsgId> = (0..300).map(|_| world.send()).collect();
        world.store.flush();
        // They are hidden, and go one by one.
        let shared = world.store.shared();
        shared
            .domains_mut()
            .low_watermarks
            .raise(&mailbox("d", "u"), ids[100]);
        world
    }

    fn send(&self) -> MsgId {
        let n = self.made.get();
        self.made.set(n + 1);
        send_one(&self.store, ["a", "b"][n as usize % 2], "u", &n.to_string())
    }

    /// Puts a copy in the index's place, as a compaction does, without the oldest message.
    fn exchange(&self) {
        let shared = self.store.shared();
        let old = shared.index().unwrap();
        let n = self.made.get();
        self.made.set(n + 1);
        let new = Index::open(&self.copies.path().join(n.to_string()), 1 << 20).unwrap();
        let list = old.list(&mailbox("d", "u"), None).unwrap();
        let above = Above(indexed(&list, 0..1)[0].id);
        let mut state = shared.indexed.lock().clone();
        state.messages = list.rank(MsgId::MAX).unwrap();
        let copied = old.copy(&state, &new, n, &above, &mut |_, _| Ok(()));
        copied.unwrap();
        shared.set_index(Some(Arc::new(new)));
    }

    fn take(&self, step: Step) {
        match step {
            Step::Send => drop(self.send()),
            Step::Flush => self.store.flush(),
            Step::Exchange => self.exchange(),
        }
    }

    /// Has a flush write so many times, and no more as long as the answer is held. Whether that was
    /// all.
    fn half_flush(&self, writes: usize) -> (impl Sized + '_, bool) {
        let shared = self.store.shared();
        // The flush thread waits for it.
        let held = shared.signal.lock();
        let immutable = shared.memtables_mut().rotate();
        let mut left = writes;
        let mut stop = |_| match left {
            0 => Err(IndexError::Closing),
            _ => {
                left -= 1;
                Ok(())
            }
        };
        let (index, state) = (shared.index().unwrap(), shared.indexed.lock().clone());
        let done = index.write(&immutable, &state, 0, Pacing::Paced(&mut stop));
        (held, done.is_ok())
    }
}

/// What a view shows of a mailbox, in every way.
fn messages(view: &View<'_>) -> Vec<Message> {
    let mailbox = mailbox("d", "u");
    let queue = view.messages_after(&mailbox, MsgId::ZERO, usize::MAX, usize::MAX);
    let queue = queue.unwrap();
    assert_eq!(queue.upto, Some(view.last_id()));
    for from in [None, Some(user("a"))] {
        let list = view.list(&mailbox, from.as_ref()).unwrap();
        let mut expected = queue.messages.clone();
        expected.retain(|message| from.as_ref().is_none_or(|from| message.from_id == *from));
        assert_eq!(list.rank(MsgId::MAX).unwrap(), expected.len() as u64);
        assert_eq!(list.slice(0..u64::MAX, Portion::ALL).unwrap(), expected);
        let newest_first = Portion {
            newest_first: true,
            ..Portion::ALL
        };
        expected.reverse();
        assert_eq!(list.slice(0..u64::MAX, newest_first).unwrap(), expected);
    }
    queue.messages
}

/// What a login with each device would find and decide.
fn logins(store: &Store, view: &View<'_>) -> Vec<(MsgId, Decision)> {
    let mailbox = mailbox("d", "u");
    let moment = store.shared().moment(&mailbox.domain);
    let login = |resource: &str| {
        let mut devices = view.devices(&mailbox).unwrap();
        devices.enter(&Resource::parse(resource).unwrap(), None, &moment)
    };
    RESOURCES.map(login).into()
}

/// Changes cursors in every way, and has all that durable.
fn move_cursors(world: &World) {
    let store = &world.store;
    let ids: Vec<MsgId> = (0..3).map(|_| world.send()).collect();
    for (resource, id) in [("web", ids[2]), ("phone", ids[1]), ("tv", ids[0])] {
        let device = device("d", "u", resource);
        enter(store, &device, None).unwrap();
        store.confirm(&device, id);
    }
    let pending = || store.shared().pending();
    store.step_until("all is written", || pending().is_empty());
    enter(store, &device("d", "u", "web"), Some(ids[0])).unwrap();
}

fn three_steps() -> impl Iterator<Item = [Step; 3]> {
    let pairs = STEPS.into_iter().flat_map(|a| STEPS.map(|b| (a, b)));
    pairs.flat_map(|(a, b)| STEPS.map(|c| [a, b, c]))
}

#[test]
fn whatever_comes_behind_the_memtables_and_before_the_read_a_view_shows_its_moment() {
    let world = World::new();
    let (store, shared) = (&world.store, world.store.shared());
    move_cursors(&world);
    for (n, steps) in three_steps().enumerate() {
        let (early, late) = steps.split_at(n % 4);
        let lowered = Some(MsgId(world.send().0 - 1));
        enter(store, &device("d", "u", RESOURCES[n % 4]), lowered).unwrap();
        let expected = (messages(&store.view()), logins(store, &store.view()));
        let view = shared.view_stepped(|| early.iter().for_each(|step| world.take(*step)));
        late.iter().for_each(|step| world.take(*step));
        let shown = (messages(&view), logins(store, &view));
        assert_eq!(shown, expected, "{early:?}, {late:?}");
    }
}

#[test]
fn a_flush_that_is_cut_short_anywhere_changes_nothing_in_a_view() {
    let world = World::new();
    let store = &world.store;
    for writes in 0.. {
        move_cursors(&world);
        let before = store.view();
        let expected = (messages(&before), logins(store, &before));
        let (held, done) = world.half_flush(writes);
        for view in [&before, &store.view()] {
            let shown = (messages(view), logins(store, view));
            assert_eq!(shown, expected, "after {writes} writes");
        }
        drop(held);
        store.flush();
        if done {
            assert!(writes > 3, "{writes}");
            break;
        }
    }
}

//! Which devices of a user are known: for how long, how many, and what the index keeps.

use super::support::*;
use crate::store::tests::simulated::{Fault, SimulatedFileSystem};

const HOUR_US: u64 = 60 * 60 * 1_000_000;
pub(super) const DAY_US: u64 = 24 * HOUR_US;

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
}

impl World {
    pub(super) fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let seen = Arc::new(Seen::default());
        let store = Store::open(options(dir.path()), clock.clone(), seen).unwrap();
        Self { dir, clock, store }
    }

    pub(super) fn reopen(self, rebuild: bool) -> Self {
        let Self { dir, clock, store } = self;
        catch_up(&store, &clock);
        drop(store);
        if rebuild {
            std::fs::remove_dir_all(dir.path().join("db")).unwrap();
        }
        let seen = Arc::new(Seen::default());
        let store = Store::open(options(dir.path()), clock.clone(), seen).unwrap();
        Self { dir, clock, store }
    }

    pub(super) fn cursor(&self, resource: &str) -> Option<MsgId> {
        self.store.cursor(&device("d", "u", resource)).unwrap()
    }

    pub(super) fn enter(&self, resource: &str) -> MsgId {
        enter(&self.store, &device("d", "u", resource), None).unwrap()
    }

    pub(super) fn confirm(&self, resource: &str, id: MsgId) {
        self.store.confirm(&device("d", "u", resource), id);
    }

    pub(super) fn write_to(&self, resource: &str) {
        let mut draft = draft("stranger", &["u"], "1");
        draft.to_resource = Some(Resource::parse(resource).unwrap());
        send(&self.store, draft).unwrap();
    }

    pub(super) fn nothing_waits(&self) {
        let pending = || self.store.shared().pending();
        step_until(&self.clock, "all is written", || pending().is_empty());
    }

    /// How many cursors the index holds, and how many its state says at least.
    fn counts(&self) -> (usize, u64) {
        self.store.flush();
        let index = self.store.shared().index().unwrap();
        let held = index.cursors(&mailbox("d", "u")).unwrap().devices.len();
        let state = std::fs::read(self.dir.path().join("db.state")).unwrap();
        let (state, _) = crate::store::index::Manifest::decode(&state).unwrap();
        (held, state.small.cursors)
    }
}

#[test]
fn a_device_that_was_not_used_for_thirty_days_is_gone() {
    let mut world = World::new();
    let send = || send_one(&world.store, "a", "u", "1");
    let ids: Vec<_> = (0..5).map(|_| send()).collect();
    for (resource, id) in [("web", ids[1]), ("phone", ids[3])] {
        world.enter(resource);
        world.confirm(resource, id);
    }
    world.nothing_waits();
    world.clock.advance_us(20 * DAY_US);
    world.enter("phone");
    world.nothing_waits();
    world.clock.advance_us(9 * DAY_US + 23 * HOUR_US);
    for rebuild in [false, true] {
        assert_eq!(world.cursor("web"), Some(ids[1]), "{rebuild}");
        world = world.reopen(rebuild);
    }
    world.clock.advance_us(HOUR_US);
    assert_eq!(world.cursor("web"), None);
    assert_eq!(world.cursor("phone"), Some(ids[3]));
    assert_eq!(world.counts(), (2, 2), "it is only read as gone");
    assert_eq!(world.enter("tv"), ids[3]);
    assert_eq!(world.counts(), (2, 2), "web is dropped and tv has come");
    assert_eq!(world.enter("web"), ids[3]);
    world = world.reopen(false);
    assert_eq!(world.cursor("web"), Some(ids[3]));
    world.clock.advance_us(40 * DAY_US);
    assert_eq!(
        world.enter("web"),
        ids[3],
        "all are gone, what they said is not"
    );
    assert_eq!(world.counts(), (1, 1));
    world = world.reopen(true);
    assert_eq!(world.cursor("web"), Some(ids[3]));
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn what_was_gone_does_not_come_back_with_the_clock() {
    let world = World::new();
    world.enter("web");
    world.nothing_waits();
    world.clock.advance_us(31 * DAY_US);
    let id = send_one(&world.store, "a", "u", "1");
    world.clock.set_us(NOW_US);
    assert_eq!(world.cursor("web"), None);
    world.confirm("web", id);
    assert_eq!(world.cursor("web"), Some(id));
}

#[test]
fn daily_use_keeps_a_device() {
    let world = World::new();
    let ids: Vec<_> = (0..3)
        .map(|_| send_one(&world.store, "a", "u", "1"))
        .collect();
    for (resource, id) in [("logs in", ids[0]), ("stays", ids[1]), ("leaves", ids[2])] {
        world.enter(resource);
        world.confirm(resource, id);
    }
    world.nothing_waits();
    for _ in 0..40 {
        world.clock.advance_us(DAY_US);
        assert_eq!(world.enter("logs in"), ids[0]);
        world.confirm("stays", ids[1]);
        assert!(!world.store.shared().pending().is_empty());
    }
    assert_eq!(world.cursor("stays"), Some(ids[1]));
    assert_eq!(world.cursor("leaves"), None);
    world.nothing_waits();
    world.confirm("stays", ids[1]);
    world.enter("logs in");
    assert!(
        world.store.shared().pending().is_empty(),
        "once a day is enough"
    );
    let world = world.reopen(false);
    assert_eq!(world.cursor("logs in"), Some(ids[0]));
    assert_eq!(world.cursor("stays"), Some(ids[1]));
}

#[test]
fn the_thirty_third_device_pushes_out_the_longest_unused() {
    let mut world = World::new();
    let soon = |world: &World| world.clock.advance_us(1_000_000);
    for n in 0..30 {
        world.enter(&format!("d{n}"));
        soon(&world);
    }
    world.write_to("x0");
    world.write_to("x1");
    soon(&world);
    // It has logged in since: no stranger's any more.
    world.write_to("d30");
    world.enter("d30");
    for (newcomer, login, leaves) in [
        ("d31", true, "x1"),
        ("d32", true, "d0"),
        ("x2", false, "d1"),
        ("x3", false, "x2"),
        ("x4", false, "x3"),
        ("d33", true, "x4"),
    ] {
        soon(&world);
        assert!(world.cursor(leaves).is_some(), "{leaves}");
        match login {
            true => drop(world.enter(newcomer)),
            false => world.write_to(newcomer),
        }
        assert_eq!(world.cursor(leaves), None);
        assert!(world.cursor(newcomer).is_some());
    }
    world.nothing_waits();
    for way in ["memory", "index", "kill", "rebuild"] {
        match way {
            "index" => assert_eq!(world.counts(), (32, 32)),
            "kill" => world = world.reopen(false),
            "rebuild" => world = world.reopen(true),
            _ => {}
        }
        for gone in ["d0", "d1", "x0", "x1", "x2", "x3", "x4"] {
            assert_eq!(world.cursor(gone), None, "{way} {gone}");
        }
        for n in 2..34 {
            assert!(world.cursor(&format!("d{n}")).is_some(), "{way} d{n}");
        }
    }
    assert_eq!(world.counts(), (32, 32));
    // A session of a dropped device lives on, and so does its cursor once it confirms.
    let id = send_one(&world.store, "a", "u", "1");
    world.confirm("d0", id);
    assert_eq!(world.cursor("d0"), Some(id));
    // Nor is its next login told so before it is durable.
    assert_eq!(world.enter("d0"), id);
    let world = world.reopen(false);
    assert_eq!(world.cursor("d0"), Some(id));
}

#[test]
fn one_send_may_make_a_hundred_users_devices_known() {
    let world = World::new();
    let users: Vec<String> = (0..100).map(|n| format!("u{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut draft = draft("a", &users, "1");
    draft.to_resource = Some(Resource::parse("phone").unwrap());
    send(&world.store, draft).unwrap();
    let world = world.reopen(false);
    for user in users {
        let cursor = world.store.cursor(&device("d", user, "phone")).unwrap();
        assert_eq!(cursor, Some(MsgId::ZERO));
    }
}

#[test]
fn a_crash_while_cursors_are_removed_from_the_index_does_not_break_it() {
    for crash_after in 0..12 {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let files = SimulatedFileSystem::default();
        let open = || {
            let (files, seen) = (Arc::new(files.clone()), Arc::new(Seen::default()));
            Store::open_with(options(dir.path()), clock.clone(), seen, files).unwrap()
        };
        let store = open();
        for n in 0..20 {
            enter(&store, &device("d", "u", &format!("d{n}")), None).unwrap();
        }
        store.flush();
        clock.advance_us(31 * DAY_US);
        let web = device("d", "u", "web");
        enter(&store, &web, None).unwrap();
        files.arm(Fault::Crash, crash_after);
        store.flush();
        drop(store);
        files.lose_power(u64::from(crash_after));
        let store = open();
        let broken = dir.path().join("db.broken-1").exists();
        assert!(!broken, "it was whole, {crash_after}");
        for n in 0..20 {
            let gone = device("d", "u", &format!("d{n}"));
            assert_eq!(store.cursor(&gone).unwrap(), None, "{crash_after}");
        }
        assert_eq!(store.cursor(&web).unwrap(), Some(MsgId::ZERO));
        store.flush();
        let index = store.shared().index().unwrap();
        assert_eq!(index.cursors(&web.mailbox).unwrap().devices.len(), 1);
    }
}

#[test]
fn a_flush_that_is_repeated_counts_what_it_removed_once() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let files = SimulatedFileSystem::default();
    let open = || {
        let (files, seen) = (Arc::new(files.clone()), Arc::new(Seen::default()));
        Store::open_with(options(dir.path()), clock.clone(), seen, files).unwrap()
    };
    let mut store = open();
    for round in 0..8 {
        for n in 0..20 {
            enter(&store, &device("d", "u", &format!("d{n}")), None).unwrap();
        }
        store.flush();
        clock.advance_us(31 * DAY_US);
        enter(&store, &device("d", "u", "web"), None).unwrap();
        files.arm(Fault::FailSync, round);
        store.flush();
        files.disarm();
        store.flush();
        assert_eq!(store.stats().memtable_bytes, 0);
        drop(store);
        store = open();
        let broken = dir.path().join("db.broken-1").exists();
        assert!(!broken, "it was whole, {round}");
    }
}

#[test]
fn what_an_interrupted_flush_wrote_is_missed_when_the_index_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let files = SimulatedFileSystem::default();
    let store = open_sim(dir.path(), Arc::new(files.clone())).unwrap();
    let web = device("d", "u", "web");
    enter(&store, &web, None).unwrap();
    store.put_domain(record("d")).unwrap();
    files.arm(Fault::Crash, 0);
    store.flush();
    drop(store);
    files.lose_power(0);
    open_sim(dir.path(), Arc::new(files.clone()))
        .unwrap()
        .close();
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    let store = open_sim(dir.path(), Arc::new(files)).unwrap();
    assert_eq!(store.cursor(&web).unwrap(), Some(MsgId::ZERO));
    assert_eq!(store.domains(), [record("d")]);
}

#[test]
fn last_seen_is_the_end_of_the_last_session_also_after_a_restart() {
    let mut world = World::new();
    let seen = |world: &World| {
        let seen = world.store.last_seen(&mailbox("d", "u")).unwrap();
        seen.map(|at_ms| at_ms - NOW_US / 1000)
    };
    let leave = |world: &World, resource| world.store.leave(&device("d", "u", resource));
    assert_eq!(seen(&world), None);
    world.write_to("tv");
    leave(&world, "unknown");
    assert_eq!(seen(&world), None, "it was only written to");

    world.clock.set_us(NOW_US + HOUR_US);
    world.enter("web");
    assert_eq!(seen(&world), Some(HOUR_US / 1000));
    world.clock.advance_us(HOUR_US);
    leave(&world, "web");
    assert_eq!(seen(&world), Some(2 * HOUR_US / 1000), "at once");
    world.clock.advance_us(HOUR_US);
    world.enter("phone");
    leave(&world, "phone");
    world.nothing_waits();
    for rebuild in [false, true] {
        world = world.reopen(rebuild);
        assert_eq!(seen(&world), Some(3 * HOUR_US / 1000), "{rebuild}");
    }
    world.clock.advance_us(30 * DAY_US - 1_000);
    assert_eq!(seen(&world), Some(3 * HOUR_US / 1000));
    world.clock.advance_us(1_000);
    assert_eq!(seen(&world), None, "that is too long ago");

    let old = device("d", "u", "web");
    world.store.put_domain(record("d")).unwrap();
    world.enter("web");
    world.store.remove_domain(&domain("d")).unwrap();
    world.store.put_domain(record("d")).unwrap();
    world.store.leave(&old);
    assert_eq!(seen(&world), None, "another domain of that name");
}

//! Steps of the clock, both ways, with stops, kills and power cuts in between: nothing ends by age
//! that is not so old, nothing at all while age is held, and in the end everything does.

use super::support::*;
use proptest::prelude::*;

use super::support::look;
use crate::store::tests::simulated::{Fault, SimulatedFileSystem};

const HOUR_US: u64 = 60 * 60 * 1_000_000;
const DAY_US: u64 = 24 * HOUR_US;
const KEPT_US: u64 = 10 * DAY_US;
const UNUSED_US: u64 = 30 * DAY_US;

#[derive(Debug, Clone, Copy)]
enum Ending {
    Close,
    Kill,
    Power(u64),
    Rebuild,
}

#[derive(Debug, Clone)]
enum Step {
    Send,
    Login(u8),
    Pass(u64),
    /// So many days: the clock alone.
    Jump(i64),
    Accept,
    Compaction,
    /// And so many hours off.
    Reopen(Ending, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ending = prop_oneof![
        Just(Ending::Close),
        Just(Ending::Kill),
        any::<u64>().prop_map(Ending::Power),
        Just(Ending::Rebuild),
    ];
    let off = prop_oneof![2 => Just(0), 1 => 1..20_u64, 1 => 30..1_500_u64];
    let days = prop_oneof![2..60_i64, -60..-2_i64, Just(40), Just(-40)];
    let step = prop_oneof![
        6 => Just(Step::Send),
        3 => (0..2_u8).prop_map(Step::Login),
        4 => (1..40_u64).prop_map(Step::Pass),
        4 => days.prop_map(Step::Jump),
        1 => Just(Step::Accept),
        1 => Just(Step::Compaction),
        3 => (ending, off).prop_map(|(ending, off)| Step::Reopen(ending, off)),
    ];
    prop::collection::vec(step, 1..25)
}

/// Something that ends by age, and how old it is at most: by what has passed, and by clocks that
/// were accepted.
struct Item<T> {
    what: T,
    age_us: u64,
    ago_us: u64,
    is_before_hold: bool,
}

impl<T> Item<T> {
    fn new(what: T) -> Self {
        Self {
            what,
            age_us: 0,
            ago_us: 0,
            is_before_hold: false,
        }
    }

    fn pass(&mut self, us: u64) {
        self.age_us += us;
        self.ago_us += us;
    }

    fn held(&mut self, was: bool, is: bool, ahead_us: u64) {
        if !is && was && self.is_before_hold {
            self.ago_us += ahead_us;
        }
        self.is_before_hold = is && (self.is_before_hold || !was);
    }
}

struct World {
    dir: tempfile::TempDir,
    files: SimulatedFileSystem,
    clock: Arc<ManualClock>,
    store: Option<Store>,
    /// Ids of sends, each to `u` with an own id that is its number.
    sends: Vec<Item<MsgId>>,
    devices: [Option<Item<()>>; 2],
    was_held: bool,
    /// What there was when age was held.
    kept: Vec<MsgId>,
}

fn names(resource: usize) -> Device {
    device("d", "u", ["web", "phone"][resource])
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            files: SimulatedFileSystem::default(),
            clock: clock(),
            store: None,
            sends: Vec::new(),
            devices: [None, None],
            was_held: false,
            kept: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let mut options = options(self.dir.path());
        options.segment_bytes = 16 << 10;
        options.retention.all = Some(Duration::from_micros(KEPT_US));
        let (files, seen) = (Arc::new(self.files.clone()), Arc::new(Seen::default()));
        let store = Store::open_with(options, self.clock.clone(), seen, files);
        self.store = Some(store.unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn found(&self) -> Vec<MsgId> {
        let found = check_consistent(self.store(), &mailbox("d", "u"));
        found.iter().map(|message| message.id).collect()
    }

    fn step(&mut self, step: &Step) {
        // What an acceptance at this moment adds at most.
        let mut ahead_us = self.ahead_us();
        let mut passed_us = 0;
        // Threads work meanwhile.
        self.clock.advance_monotonic(Duration::from_millis(100));
        match step {
            Step::Send => {
                let number = self.sends.len();
                let draft = with_id(draft("a", &["u"], &number.to_string()), &number.to_string());
                let id = send(self.store(), draft).unwrap().ids[0];
                self.sends.push(Item::new(id));
            }
            Step::Login(resource) => {
                let resource = usize::from(*resource);
                enter(self.store(), &names(resource), None).unwrap();
                let pending = || self.store().shared().pending();
                step_until(&self.clock, "it is noted", || pending().is_empty());
                self.devices[resource] = Some(Item::new(()));
            }
            Step::Pass(hours) => {
                passed_us = hours * HOUR_US;
                self.clock.advance_us(passed_us);
            }
            Step::Jump(days) => {
                let by_us = days * DAY_US as i64;
                let now_us = self.clock.now_us().saturating_add_signed(by_us);
                self.clock.set_us(now_us);
            }
            Step::Accept => {
                look(self.store());
                self.store().accept_clock().unwrap();
            }
            Step::Compaction => {
                send_one(self.store(), "a", "other", "1");
                self.store().erase(&mailbox("d", "other"), None).unwrap();
            }
            Step::Reopen(ending, off) => {
                passed_us = off * HOUR_US;
                ahead_us += passed_us;
                self.reopen(*ending, passed_us);
            }
        }
        look(self.store());
        let (was, is) = (self.was_held, self.store().clock_hold().is_some());
        for item in &mut self.sends {
            item.pass(passed_us);
            item.held(was, is, ahead_us);
        }
        for item in self.devices.iter_mut().flatten() {
            item.pass(passed_us);
            item.held(was, is, ahead_us);
        }
        if is && !was {
            self.kept = self.found();
        }
        self.was_held = is;
        self.check();
    }

    fn ahead_us(&self) -> u64 {
        let hold = self.store().clock_hold();
        let ahead_s = hold.map_or(0, |hold| u64::try_from(hold.ahead_s).unwrap_or_default());
        // A day may pass at the new time before it is over.
        (ahead_s + 1) * 1_000_000
    }

    fn reopen(&mut self, ending: Ending, off_us: u64) {
        let store = self.store.take().unwrap();
        if let Ending::Close | Ending::Rebuild = ending {
            store.close();
        }
        drop(store);
        if let Ending::Power(seed) = ending {
            self.files.lose_power(seed);
        }
        if let Ending::Rebuild = ending {
            std::fs::remove_dir_all(self.dir.path().join("db")).unwrap();
        }
        self.clock.advance_us(off_us);
        self.open();
    }

    fn check(&self) {
        let found = self.found();
        for item in self.sends.iter().filter(|item| item.ago_us < KEPT_US) {
            assert!(
                found.contains(&item.what),
                "{} is young, and gone",
                item.what
            );
        }
        if self.was_held {
            let lost = self.kept.iter().find(|id| !found.contains(id));
            assert_eq!(lost, None, "it went while age was held");
        }
        let young = self.sends.iter().enumerate();
        for (number, item) in young.filter(|(_, item)| item.age_us < DAY_US) {
            assert_eq!(self.repeat(number), Ok(vec![item.what]), "{number}");
        }
        for (resource, item) in self.devices.iter().enumerate() {
            if item.as_ref().is_some_and(|item| item.age_us < UNUSED_US) {
                let cursor = self.store().cursor(&names(resource)).unwrap();
                assert!(
                    cursor.is_some(),
                    "{resource} was used lately, and is not known"
                );
            }
        }
    }

    fn repeat(&self, number: usize) -> Result<Vec<MsgId>, AppendError> {
        let (answer, answered) = channel();
        let done = move |outcome: Result<Accepted, AppendError>| {
            let _ = answer.send(outcome.map(|accepted| accepted.ids));
        };
        let id = ClientMsgId::parse(&number.to_string()).unwrap();
        self.store().repeat(&mailbox("d", "a"), id, Box::new(done));
        answered.recv_timeout(WAIT).unwrap()
    }

    /// Everything ends at last.
    fn finish(&self) {
        look(self.store());
        self.store().accept_clock().unwrap();
        // Ids that are ahead of the clock are, in doubt, younger than they are.
        for _ in 0..200 {
            self.clock.advance_us(DAY_US);
            look(self.store());
        }
        assert_eq!(self.found(), []);
        for number in 0..self.sends.len() {
            assert_eq!(self.repeat(number), Err(AppendError::NotRepeated));
        }
        for resource in [0, 1] {
            assert_eq!(self.store().cursor(&names(resource)).unwrap(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: crate::store::tests::model::cases() / 2,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_the_clock_does_nothing_ends_before_its_time(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}

#[test]
fn what_was_accepted_behind_a_step_is_not_on_disk_without_it() {
    let mut acknowledged = 0;
    for operations in 0..12 {
        let mut world = World::new();
        send_one(world.store(), "a", "u", "long ago");
        world.clock.advance_us(60 * DAY_US);
        catch_up(world.store(), &world.clock);
        let right_us = world.clock.now_us();
        // As on a machine that has forgotten the time: ids are of then, and look old.
        world.clock.set_us(right_us - 40 * DAY_US);
        world.files.arm(Fault::Crash, operations);
        let sent = send(world.store(), draft("a", &["u"], "1"));
        drop(world.store.take());
        world.files.lose_power(u64::from(operations));
        world.clock.set_us(right_us);
        world.open();
        world.store().accept_clock().unwrap();
        if let Ok(accepted) = sent {
            acknowledged += 1;
            assert_eq!(world.found(), accepted.ids, "after {operations}");
        }
    }
    assert!(acknowledged > 3, "{acknowledged}");
}

#[test]
fn last_seen_is_told_by_the_clock_that_is_read_and_never_in_the_future() {
    let world = World::new();
    enter(world.store(), &names(0), None).unwrap();
    let seen = || {
        world
            .store()
            .last_seen(&mailbox("d", "u"))
            .unwrap()
            .unwrap()
    };
    world.clock.advance_us(HOUR_US);
    for by_us in [40 * DAY_US as i64, -40 * DAY_US as i64] {
        let now_us = world.clock.now_us().saturating_add_signed(by_us);
        world.clock.set_us(now_us);
        look(world.store());
        let ago_ms = world.clock.now_ms() - seen();
        assert_eq!(ago_ms, HOUR_US / 1_000, "an hour ago, whatever the time is");
    }
}

#[test]
fn a_hold_is_over_after_a_day_of_uptime_however_it_was_interrupted() {
    let mut world = World::new();
    send_one(world.store(), "a", "u", "1");
    world.reopen(Ending::Close, 40 * DAY_US);
    let left = |world: &World| world.store().clock_hold().map(|hold| hold.left.as_secs());
    assert_eq!(left(&world), Some(24 * 3_600));
    for _ in 0..3 {
        world.clock.advance_us(6 * HOUR_US);
        catch_up(world.store(), &world.clock);
        world.reopen(Ending::Kill, HOUR_US);
    }
    assert_eq!(left(&world), Some(6 * 3_600));
    assert_eq!(world.found().len(), 1);
    world.clock.advance_us(6 * HOUR_US);
    step_until(&world.clock, "it is over by itself", || {
        left(&world).is_none()
    });
    assert_eq!(world.found(), []);
    assert!(!world.store().accept_clock().unwrap(), "nothing is held");
}

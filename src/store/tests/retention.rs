//! A retention that is new erases nothing before it was told and waited for.

use super::support::*;
use std::time::Duration;

const NOTICE: Duration = Duration::from_secs(60);
const HOUR_US: u64 = 3_600 * 1_000_000;

struct World {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Option<Store>,
}

impl World {
    /// Of three messages, an hour apart, the newest is of now.
    fn new(retention: Retention) -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: clock(),
            store: None,
        };
        world.start(retention);
        for n in 0..3 {
            world.clock.advance_us(HOUR_US);
            send_one(world.store(), "a", "u", &n.to_string());
        }
        world
    }

    fn start(&mut self, retention: Retention) {
        let mut options = options(self.dir.path());
        options.retention_notice = NOTICE;
        options.retention = retention;
        let seen = Arc::new(Seen::default());
        self.store = Some(Store::open(options, self.clock.clone(), seen).unwrap());
    }

    fn restart(&mut self, retention: Retention) {
        self.store.take().unwrap().close();
        self.start(retention);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn left(&self) -> usize {
        all(self.store(), &mailbox("d", "u")).len()
    }

    /// Waits until it was told, and then lets so much time pass.
    fn told_and(&self, passed: Duration) {
        let shared = self.store().shared();
        eventually("it is told", || shared.waits_since_it_was_told());
        self.clock.advance_us(passed.as_micros() as u64);
        // As the compaction does by itself, a moment later.
        shared.step_retention();
    }

    fn file(&self) -> String {
        let path = self.dir.path().join("retention.applied");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

fn hours(hours: u64) -> Retention {
    Retention {
        all: Some(Duration::from_secs(hours * 3_600 + 1_800)),
        ..Retention::default()
    }
}

const ALMOST: Duration = Duration::from_millis(59_999);
const REST: Duration = Duration::from_millis(1);

#[test]
fn what_is_new_waits_a_minute_and_is_not_new_again() {
    let mut world = World::new(Retention::default());
    world.restart(hours(1));
    world.told_and(ALMOST);
    assert_eq!(world.left(), 3, "not before the minute is over");
    world.clock.advance_us(REST.as_micros() as u64);
    step_until(&world.clock, "it counts", || world.left() == 2);
    assert!(world.file().contains("5400000"), "{}", world.file());
    // A start that finds it as it was does not wait, and never shows again what was gone.
    world.restart(hours(1));
    assert_eq!(world.left(), 2);
    // A shorter one is new.
    world.store().set_retention(hours(0));
    assert_eq!(world.left(), 2);
    world.told_and(NOTICE);
    step_until(&world.clock, "it counts", || world.left() == 1);
    // What keeps more counts at once, and from then on what keeps less is new again.
    world.store().set_retention(hours(5));
    eventually("it is noted", || world.file().contains("19800000"));
    world.clock.advance_us(HOUR_US);
    let left = world.left();
    world.restart(hours(0));
    world.told_and(ALMOST);
    assert_eq!(world.left(), left);
}

#[test]
fn a_stop_or_a_mended_setting_within_the_minute_prevents_it() {
    let mut world = World::new(Retention::default());
    world.restart(hours(0));
    world.told_and(ALMOST);
    world.restart(Retention::default());
    world.clock.advance_us(NOTICE.as_micros() as u64);
    assert_eq!(world.left(), 3, "it was stopped");
    world.store().set_retention(hours(0));
    world.told_and(ALMOST);
    // The same once more does not begin it anew.
    world.store().set_retention(hours(0));
    assert!(world.store().shared().waits_since_it_was_told());
    world.store().set_retention(Retention::default());
    world.clock.advance_us(2 * NOTICE.as_micros() as u64);
    let is_saved = || !world.store().shared().has_unsaved_retention();
    eventually("all is noted", is_saved);
    assert_eq!(world.left(), 3, "it was taken back");
    assert_eq!(world.file(), "", "nothing was ever in force");
}

#[test]
fn of_a_domain_that_is_kept_for_longer_nothing_waits_and_nothing_goes() {
    let mut world = World::new(hours(2));
    let mut other = draft("a", &["u"], "1");
    other.domain = domain("shop");
    send(world.store(), other).unwrap();
    world.clock.advance_us(HOUR_US);
    let shop = || all(world.store(), &mailbox("shop", "u")).len();
    assert_eq!((world.left(), shop()), (2, 1));
    let only_shop = Retention {
        domains: [(domain("shop"), Some(Duration::from_secs(1)))].into(),
        ..Retention::default()
    };
    // Of the others all is kept from now on, also what had only expired; of that domain all
    // until it was waited for.
    world.store().set_retention(only_shop.clone());
    assert_eq!(shop(), 1);
    world.told_and(NOTICE);
    step_until(&world.clock, "it counts", || shop() == 0);
    assert!(world.left() >= 2);
    world.restart(only_shop);
    assert!(all(world.store(), &mailbox("shop", "u")).is_empty());
}

#[test]
fn where_nothing_was_ever_stored_there_is_nothing_to_wait_for() {
    let world = World::new(hours(1));
    world.clock.advance_us(HOUR_US);
    assert_eq!(world.left(), 1);
    eventually("it is noted", || world.file().contains("5400000"));
}

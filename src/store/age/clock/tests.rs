//! Age time by itself: what it says of ids and stamps, whatever the clock does.

mod random;

use super::*;

const NOW_US: u64 = 1_764_000_000_000_000;
const DAY_US: u64 = 24 * HOUR_US;
const MINUTE_US: u64 = 60 * 1_000_000;

fn days(days: u64) -> Duration {
    Duration::from_micros(days * DAY_US)
}

/// A machine, its clock, and a committer that looks at it.
struct Machine {
    age: AgeClock,
    wall_us: u64,
    passed_us: u64,
    last_id: MsgId,
    /// What was last noted on disk.
    disk: Option<AgeState>,
}

impl Machine {
    fn new() -> Self {
        let (last_id, monotonic) = (MsgId::ZERO, Duration::ZERO);
        Self {
            age: AgeClock::resume(None, last_id, NOW_US, monotonic),
            wall_us: NOW_US,
            passed_us: 0,
            last_id,
            disk: None,
        }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.passed_us)
    }

    fn look(&mut self) {
        let monotonic = self.monotonic();
        self.age.observe(self.wall_us, monotonic, self.last_id);
        if self.age.is_over() {
            self.accept(false);
        }
        if self.age.is_due() {
            self.note();
        }
    }

    fn note(&mut self) {
        self.age.note();
        self.disk = Some(self.age.state().clone());
    }

    fn accept(&mut self, by_operator: bool) {
        if let Some(accepted) = self.age.accepted(by_operator) {
            self.age = accepted;
            self.note();
        }
    }

    fn pass(&mut self, us: u64) {
        let mut left_us = us;
        while left_us > 0 {
            let part_us = left_us.min(10 * MINUTE_US);
            self.wall_us += part_us;
            self.passed_us += part_us;
            left_us -= part_us;
            self.look();
        }
    }

    fn step(&mut self, by_us: i64) {
        self.wall_us = self.wall_us.saturating_add_signed(by_us);
        self.look();
    }

    /// The machine is off for so long; what is on disk counts.
    fn restart(&mut self, off_us: u64, clean: bool) {
        if clean && self.age.is_due_at_end() {
            self.note();
        }
        self.wall_us += off_us;
        self.passed_us = 0;
        let (last_id, monotonic) = (self.last_id, Duration::ZERO);
        self.age = AgeClock::resume(self.disk.clone(), last_id, self.wall_us, monotonic);
        self.look();
    }

    fn ages(&self) -> Ages {
        self.age.ages(self.wall_us, self.monotonic())
    }

    fn is_held(&self) -> bool {
        self.age.hold(self.wall_us).is_some()
    }

    fn send(&mut self) -> MsgId {
        self.look();
        self.last_id = MsgId(self.wall_us.max(self.last_id.0 + 1));
        // The first frame of a directory says it.
        if self.disk.is_none() {
            self.note();
        }
        self.last_id
    }
}

const AHEAD_US: i64 = 40 * DAY_US as i64;

#[test]
fn without_steps_age_time_is_that_of_the_clock() {
    let mut machine = Machine::new();
    machine.note();
    for _ in 0..20 {
        let id = machine.send();
        let ages = machine.ages();
        assert_eq!(ages.stamp_ms(), machine.wall_us / 1_000);
        assert_eq!(ages.newest_of_age(days(2)).0, machine.wall_us - 2 * DAY_US);
        assert_eq!(ages.age_ms(id.0 / 1_000), 0);
        machine.pass(30 * HOUR_US);
        assert_eq!(machine.ages().age_ms(id.0 / 1_000), 30 * HOUR_US / 1_000);
        // Small steps are none, nor is a stop of less than a day.
        machine.step(2 * MINUTE_US as i64);
        machine.restart(20 * HOUR_US, true);
        assert!(!machine.is_held());
    }
}

#[test]
fn a_clock_that_was_ahead_for_one_message_makes_nothing_old() {
    let mut machine = Machine::new();
    let before = machine.send();
    machine.pass(HOUR_US);
    let stamp_ms = machine.ages().stamp_ms();
    machine.step(AHEAD_US);
    assert!(machine.is_held());
    let ahead = machine.send();
    assert!(ahead.0 > before.0 + 39 * DAY_US);
    assert!(machine.ages().newest_of_age(days(1)) < before);
    machine.pass(MINUTE_US);
    machine.step(-AHEAD_US);
    let behind = machine.send();
    for (hours, held) in [(0, true), (23, true), (2, false)] {
        machine.pass(hours * HOUR_US);
        assert_eq!(machine.is_held(), held, "{hours}");
    }
    // A day and two hours have passed, and no more, for all of them.
    let ages = machine.ages();
    assert_eq!(ages.ago_ms(stamp_ms) / 60_000, 25 * 60 + 1);
    let gone = |after_us: u64| ages.newest_of_age(Duration::from_micros(after_us));
    assert!(gone(27 * HOUR_US) < before && before <= gone(25 * HOUR_US));
    assert!(gone(26 * HOUR_US) < ahead && ahead <= gone(24 * HOUR_US));
    assert!(gone(26 * HOUR_US) < behind && behind <= gone(23 * HOUR_US));
}

#[test]
fn when_something_was_is_the_same_whenever_that_is_asked() {
    let mut machine = Machine::new();
    machine.pass(999);
    let stamp_ms = machine.ages().stamp_ms();
    assert_eq!(machine.ages().wall_ms(stamp_ms), NOW_US / 1_000);
    // By a clock that now differs from age time by less than a millisecond, too.
    machine.step(AHEAD_US + 700);
    let then_ms = machine.ages().wall_ms(stamp_ms);
    assert!(then_ms.abs_diff((NOW_US + AHEAD_US as u64) / 1_000) <= 1);
    for passed_us in [1, 200, 300, 998, MINUTE_US] {
        machine.pass(passed_us);
        assert_eq!(machine.ages().wall_ms(stamp_ms), then_ms, "{passed_us}");
    }
}

#[test]
fn a_clock_that_was_set_back_by_hours_makes_nothing_old() {
    let mut machine = Machine::new();
    machine.pass(DAY_US);
    machine.step(-2 * HOUR_US as i64);
    assert!(!machine.is_held());
    let id = machine.send();
    let gone = |machine: &Machine, after_us| {
        let cut = machine
            .ages()
            .newest_of_age(Duration::from_micros(after_us));
        id <= cut
    };
    assert!(!gone(&machine, MINUTE_US));
    // It is waited for, and then all is as before.
    machine.pass(2 * HOUR_US);
    assert!(!gone(&machine, MINUTE_US), "age time has stood still");
    machine.pass(HOUR_US);
    assert!(gone(&machine, HOUR_US) && !gone(&machine, HOUR_US + 2 * MINUTE_US));
    let ages = machine.ages();
    assert_eq!(
        ages.newest_of_age(Duration::from_micros(MINUTE_US)).0,
        machine.wall_us - MINUTE_US
    );
    // Many small ones are a large one.
    for _ in 0..5 {
        machine.step(-20 * HOUR_US as i64);
    }
    assert!(machine.is_held());
}

#[test]
fn behind_a_long_stop_a_day_passes_or_somebody_accepts_and_then_all_is_as_old_as_it_is() {
    for accepts in [false, true] {
        let mut machine = Machine::new();
        let (id, stamp_ms) = (machine.send(), machine.ages().stamp_ms());
        machine.restart(40 * DAY_US, true);
        assert!(machine.is_held());
        assert_eq!(
            machine.age.hold(machine.wall_us).map(|h| h.ahead_s),
            Some(40 * 86_400)
        );
        let (later, used_ms) = (machine.send(), machine.ages().stamp_ms());
        let ages = machine.ages();
        assert_eq!((ages.age_ms(stamp_ms), ages.ago_ms(stamp_ms)), (0, 0));
        assert!(ages.expired(days(1)) < id);
        machine.pass(DAY_US - MINUTE_US);
        assert!(machine.is_held());
        assert!(machine.ages().expired(days(1)) < id);
        match accepts {
            true => machine.accept(true),
            false => machine.pass(2 * MINUTE_US),
        }
        assert!(!machine.is_held());
        let ages = machine.ages();
        let cut = ages.expired(days(40));
        assert!(id <= cut && cut < later, "{id} {cut} {later}");
        // What happened at the new time, before it was accepted, is no older than that.
        assert!(ages.ago_ms(used_ms) < 25 * HOUR_US / 1_000);
        assert!(ages.ago_ms(stamp_ms - 1) > 40 * DAY_US / 1_000);
        // It may have been no stop.
        assert!(ages.age_ms(stamp_ms - 1) < 25 * HOUR_US / 1_000);
        assert!(ages.newest_of_age(days(2)) < id);
    }
}

#[test]
fn what_was_stepped_while_somebody_looked_was_no_stop_unless_the_operator_says_so() {
    for accepts in [false, true] {
        let mut machine = Machine::new();
        let id = machine.send();
        machine.step(AHEAD_US);
        machine.restart(HOUR_US, false);
        match accepts {
            true => machine.accept(true),
            false => machine.pass(25 * HOUR_US),
        }
        assert!(!machine.is_held());
        assert_eq!(id <= machine.ages().expired(days(30)), accepts);
        assert!(machine.ages().newest_of_age(days(2)) < id);
    }
}

#[test]
fn a_server_that_is_restarted_or_killed_again_and_again_gets_there() {
    for (every_us, clean) in [
        (12 * HOUR_US, true),
        (12 * HOUR_US, false),
        (HOUR_US, false),
    ] {
        let mut machine = Machine::new();
        machine.send();
        machine.note();
        machine.step(AHEAD_US);
        let mut up_us = 0;
        while machine.is_held() {
            machine.pass(every_us);
            up_us += every_us;
            assert!(up_us < 3 * DAY_US, "it is never over");
            machine.restart(MINUTE_US, clean);
        }
        assert!(up_us >= DAY_US, "{up_us}");
    }
}

#[test]
fn ids_far_ahead_of_the_clock_are_told_apart_for_years() {
    let mut machine = Machine::new();
    machine.step(10 * 365 * DAY_US as i64);
    machine.send();
    machine.step(-10 * 365 * DAY_US as i64);
    let mut sent = Vec::new();
    for _ in 0..3_000 {
        sent.push((machine.passed_us, machine.send()));
        machine.pass(2 * HOUR_US);
        assert!(machine.age.state().spans.len() <= 256);
    }
    let ages = machine.ages();
    for age_days in [1, 30, 200] {
        let cut = ages.newest_of_age(days(age_days));
        let young = |at_us: u64| machine.passed_us - at_us < age_days * DAY_US;
        let early = sent
            .iter()
            .filter(|(at_us, id)| young(*at_us) && *id <= cut);
        assert_eq!(early.count(), 0, "{age_days}");
        let slack_us = if age_days == 1 {
            3 * HOUR_US
        } else {
            20 * DAY_US
        };
        let old = |at_us: u64| machine.passed_us - at_us > age_days * DAY_US + slack_us;
        let late = sent.iter().filter(|(at_us, id)| old(*at_us) && *id > cut);
        assert_eq!(late.count(), 0, "{age_days}");
    }
}

#[test]
fn a_directory_that_says_nothing_of_age_is_believed_up_to_its_last_id() {
    let resume = |last_us: u64| AgeClock::resume(None, MsgId(last_us), NOW_US, Duration::ZERO);
    let plain = resume(NOW_US - HOUR_US);
    assert_eq!(plain.hold(NOW_US), None);
    let quiet = resume(NOW_US - 3 * DAY_US);
    assert!(quiet.hold(NOW_US).is_some() && quiet.is_due());
    let ages = quiet.ages(NOW_US, Duration::ZERO);
    assert_eq!(ages.stamp_ms(), NOW_US / 1_000);
    assert_eq!(ages.newest_of_age(days(1)).0, NOW_US - 4 * DAY_US);
    let ahead = resume(NOW_US + 40 * DAY_US);
    assert!(ahead.hold(NOW_US).is_some());
    let ages = ahead.ages(NOW_US, Duration::ZERO);
    assert_eq!(ages.newest_of_age(days(1)).0, NOW_US + 39 * DAY_US);
}

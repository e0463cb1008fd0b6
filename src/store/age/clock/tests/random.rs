//! Whatever the clock does, nothing is said to be older than it is.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Send,
    Pass(u64),
    /// So many days: the clock alone.
    Jump(i64),
    Restart(u64, bool),
    Accept,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Send),
        4 => (1..40 * 60_u64).prop_map(Step::Pass),
        2 => (-60..60_i64).prop_map(Step::Jump),
        2 => (0..3_000_u64, any::<bool>()).prop_map(|(off, clean)| Step::Restart(off, clean)),
        1 => Just(Step::Accept),
    ];
    prop::collection::vec(step, 1..60)
}

/// Something that was stamped, and how old it is at most: by what has passed, and by clocks that
/// were accepted.
struct Item {
    id: MsgId,
    stamp_ms: u64,
    age_us: u64,
    ago_us: u64,
    is_before_hold: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_ever_said_to_be_older_than_it_is(steps in steps()) {
        let mut machine = Machine::new();
        let mut items: Vec<Item> = Vec::new();
        let lifetimes = [days(1), days(30), days(80)];
        let cuts = |machine: &Machine| {
            let ages = machine.ages();
            lifetimes.map(|age| (ages.newest_of_age(age), ages.expired(age)))
        };
        for step in steps {
            let was_held = machine.is_held();
            let before = cuts(&machine);
            // What lies between the clock and the time that was plausible.
            let calendar_us = machine.ages().calendar_us();
            let mut ahead_us = machine.wall_us.saturating_sub(calendar_us);
            let mut passed_us = 0;
            match step {
                Step::Send => {
                    let id = machine.send();
                    let stamp_ms = machine.ages().stamp_ms();
                    items.push(Item { id, stamp_ms, age_us: 0, ago_us: 0, is_before_hold: false });
                }
                Step::Pass(minutes) => {
                    passed_us = minutes * MINUTE_US;
                    machine.pass(passed_us);
                }
                Step::Jump(days) => {
                    // One of no more than a day is taken for time that has passed.
                    passed_us = if days == 1 { DAY_US } else { 0 };
                    machine.step(days * DAY_US as i64);
                }
                Step::Restart(minutes, clean) => {
                    let off_us = minutes * MINUTE_US;
                    machine.restart(off_us, clean);
                    passed_us = off_us;
                    ahead_us += off_us;
                }
                Step::Accept => machine.accept(true),
            }
            let is_held = machine.is_held();
            for item in &mut items {
                item.age_us += passed_us;
                item.ago_us += passed_us;
                item.is_before_hold |= is_held && !was_held;
                // At worst all of it has passed.
                if !is_held && was_held && item.is_before_hold {
                    item.ago_us += ahead_us;
                }
                item.is_before_hold &= is_held;
            }
            if was_held && is_held {
                for (before, now) in before.into_iter().zip(cuts(&machine)) {
                    let is_more = now.0 > before.0 || now.1 > before.1;
                    prop_assert!(!is_more, "something ended by age while that was held");
                }
            }
            let ages = machine.ages();
            for item in &items {
                let (age_ms, ago_ms) = (ages.age_ms(item.stamp_ms), ages.ago_ms(item.stamp_ms));
                prop_assert!(age_ms <= item.age_us / 1_000 + 1, "{age_ms} {}", item.age_us);
                prop_assert!(ago_ms <= item.ago_us / 1_000 + 1, "{ago_ms} {}", item.ago_us);
                for (lifetime, (old, expired)) in lifetimes.into_iter().zip(cuts(&machine)) {
                    let young = |us| Duration::from_micros(us) < lifetime;
                    prop_assert!(!young(item.age_us) || item.id > old, "{} {old}", item.id);
                    prop_assert!(!young(item.ago_us) || item.id > expired, "{} {expired}", item.id);
                }
            }
        }
    }
}

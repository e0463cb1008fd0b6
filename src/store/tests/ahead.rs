//! A clock that was ahead once, or behind: what was accepted, confirmed and sent keeps its age.

use super::devices::{DAY_US, World};
use super::support::*;

const MINUTE_US: u64 = 60 * 1_000_000;
const FAR_US: i64 = 40 * DAY_US as i64;

/// A send of this name, and whether it was one again.
fn sends(world: &World, name: &str) -> Accepted {
    let draft = with_id(draft("a", &["u"], name), name);
    send(&world.store, draft).unwrap()
}

fn step(world: &World, by_us: i64) {
    let now_us = world.clock.now_us().saturating_add_signed(by_us);
    world.clock.set_us(now_us);
    look(&world.store);
}

/// So many minutes; an idle server looks at the clock more often.
fn pass(world: &World, minutes: u64) {
    for _ in 0..minutes / 10 {
        world.clock.advance_us(10 * MINUTE_US);
        look(&world.store);
    }
}

/// What a login gets.
fn gets(world: &World, resource: &str) -> usize {
    let cursor = world.enter(resource);
    let messages = all(&world.store, &mailbox("d", "u"));
    messages.iter().filter(|m| m.id > cursor).count()
}

/// `web` has confirmed a hundred messages, `phone` fifty of them.
fn with_backlog() -> World {
    let world = World::new();
    for resource in ["web", "phone"] {
        world.enter(resource);
    }
    let ids: Vec<_> = (0..100)
        .map(|_| send_one(&world.store, "a", "u", "1"))
        .collect();
    for (resource, id) in [("web", ids[99]), ("phone", ids[49])] {
        world.confirm(resource, id);
    }
    world.nothing_waits();
    world
}

#[test]
fn one_message_under_a_clock_that_is_wrong_changes_no_cursor_and_stores_nothing_twice() {
    for by_us in [FAR_US, -FAR_US] {
        let mut world = with_backlog();
        let before = sends(&world, "before");
        world.clock.advance_us(MINUTE_US);
        step(&world, by_us);
        let amid = sends(&world, "amid");
        step(&world, -by_us);
        let after = sends(&world, "after");
        let mut is_held = true;
        for (rebuild, accepts) in [(false, false), (true, false), (false, true), (true, false)] {
            world = world.reopen(rebuild);
            assert_eq!(world.store.clock_hold().is_some(), is_held);
            if accepts {
                assert!(world.store.accept_clock().unwrap());
                is_held = false;
            }
            let held = format!("{by_us} {rebuild} {accepts}");
            for (name, sent) in [("before", &before), ("amid", &amid), ("after", &after)] {
                let again = sends(&world, name);
                assert!(again.duplicate, "{name} {held}");
                assert_eq!(again.ids, sent.ids, "{name} {held}");
            }
            assert_eq!(
                (gets(&world, "web"), gets(&world, "phone")),
                (3, 53),
                "{held}"
            );
            assert_eq!(gets(&world, "new"), 3, "{held}");
        }
    }
}

#[test]
fn a_clock_that_is_wrong_for_days_keeps_nothing_from_who_has_not_confirmed_it() {
    for by_us in [FAR_US, -FAR_US] {
        for accepts in [false, true] {
            let world = with_backlog();
            step(&world, by_us);
            match accepts {
                true => assert!(world.store.accept_clock().unwrap()),
                false => {
                    world.clock.advance_us(25 * 60 * MINUTE_US);
                    let is_over = || world.store.clock_hold().is_none();
                    step_until(&world.clock, "it counts", is_over);
                }
            }
            let held = format!("{by_us} {accepts}");
            assert_eq!(
                (gets(&world, "web"), gets(&world, "phone")),
                (0, 50),
                "{held}"
            );
            // And what is not used any more is gone at last.
            world.clock.advance_us(30 * DAY_US);
            assert_eq!(gets(&world, "phone"), 0, "{held}");
        }
    }
}

#[test]
fn what_is_seconds_old_does_not_expire_by_a_step_and_does_in_its_time() {
    let hour_us = 60 * MINUTE_US;
    let kept = Retention {
        all: Some(Duration::from_micros(hour_us)),
        ..Retention::default()
    };
    for by_us in [FAR_US, -FAR_US] {
        let world = with_backlog();
        world.store.set_retention(kept.clone());
        let left = || all(&world.store, &mailbox("d", "u")).len();
        step(&world, by_us);
        assert_eq!(left(), 100, "{by_us}");
        send_one(&world.store, "a", "u", "amid");
        step(&world, -by_us);
        send_one(&world.store, "a", "u", "after");
        assert_eq!(left(), 102, "{by_us}");
        pass(&world, 120);
        assert_eq!(left(), 102, "it is held: {by_us}");
        assert!(world.store.accept_clock().unwrap());
        assert_eq!(left(), 0, "{by_us}");
        // Whose ids are far ahead of the clock, too: late at worst.
        send_one(&world.store, "a", "u", "later");
        pass(&world, 50);
        assert_eq!(left(), 1, "{by_us}");
        pass(&world, 120);
        assert_eq!(left(), 0, "{by_us}");
    }
}

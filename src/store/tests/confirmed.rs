//! What a user has confirmed, when the cursors that said it do so no longer.

use super::devices::{DAY_US, World};
use super::support::*;
use crate::store::data::{CursorChange, CursorValue};
use crate::store::index::{Index, IndexError, Manifest};
use crate::store::journal::Position;
use crate::store::memtable::Memtables;

#[test]
fn what_was_confirmed_outlives_the_cursors_that_said_it() {
    // Of each way in which a cursor stops to say it; whether that is in the index by then; how
    // the store comes back.
    for way in ["age", "lowered", "pushed out", "only waits"] {
        for (in_index, rebuild) in [(false, false), (true, false), (true, true)] {
            let what = format!("{way}, {in_index}, {rebuild}");
            let mut world = World::new();
            let ids: Vec<_> = (0..5)
                .map(|_| send_one(&world.store, "a", "u", "1"))
                .collect();
            world.enter("web");
            world.confirm("web", ids[3]);
            if way != "only waits" {
                world.nothing_waits();
            }
            if in_index {
                world.store.flush();
            }
            match way {
                // What decides, and so drops it, is no login of its own.
                "age" => {
                    world.clock.advance_us(31 * DAY_US);
                    world.write_to("x");
                }
                "pushed out" => {
                    for n in 0..40 {
                        world.clock.advance_us(1_000_000);
                        let device = device("d", "u", &format!("d{n}"));
                        enter(&world.store, &device, Some(MsgId::ZERO)).unwrap();
                    }
                    assert_eq!(world.cursor("web"), None, "{what}");
                }
                _ => {
                    let web = device("d", "u", "web");
                    assert_eq!(enter(&world.store, &web, Some(ids[0])), Ok(ids[0]));
                }
            }
            if in_index {
                world.store.flush();
            }
            world = world.reopen(rebuild);
            assert_eq!(world.enter("new"), ids[3], "{what}");
            let nobody = device("d", "nobody", "new");
            assert_eq!(enter(&world.store, &nobody, None), Ok(MsgId::ZERO));
        }
    }
}

#[test]
fn what_was_confirmed_stays_while_there_are_messages_however_often_all_is_made_anew() {
    let mut world = World::new();
    let old = send_one(&world.store, "a", "u", "1");
    let ids: Vec<_> = (0..5)
        .map(|_| send_one(&world.store, "a", "u", "1"))
        .collect();
    world.enter("web");
    world.confirm("web", ids[3]);
    world.nothing_waits();
    world.clock.advance_us(31 * DAY_US);
    let web = device("d", "u", "web");
    enter(&world.store, &web, Some(MsgId::ZERO)).unwrap();
    for _ in 0..10 {
        send_one(&world.store, "a", "other", &"x".repeat(20_000));
    }
    let compacted = |world: &World| {
        let due = world.dir.path().join("sweep.due");
        step_until(&world.clock, "a compaction", || !due.exists());
    };
    // The segment that held the receipt is rewritten, and so is the index.
    world.store.erase(&web.mailbox, Some(ids[0])).unwrap();
    compacted(&world);
    assert!(all(&world.store, &web.mailbox).iter().all(|m| m.id > old));
    for rebuild in [false, true] {
        world = world.reopen(rebuild);
        world.store.flush();
        let index = world.store.shared().index().unwrap();
        assert_eq!(index.confirmed_of(&web.mailbox).unwrap(), ids[3]);
    }
    assert_eq!(world.enter("new"), ids[3]);
    // Then there is nothing that it could keep from anybody.
    world.store.erase(&web.mailbox, None).unwrap();
    compacted(&world);
    let index = world.store.shared().index().unwrap();
    assert_eq!(index.confirmed_of(&web.mailbox).unwrap(), MsgId::ZERO);
    drop(index);
    let next = send_one(&world.store, "a", "u", "1");
    let fresh = device("d", "u", "fresh");
    assert!(enter(&world.store, &fresh, None).unwrap() < next);
}

#[test]
fn a_flush_cut_short_anywhere_and_repeated_keeps_what_was_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("db"), 1 << 20).unwrap();
    let mut state = Manifest::empty(0);
    let value = |id| {
        let (id, at_ms, used) = (MsgId(id), 1, true);
        CursorValue { id, at_ms, used }
    };
    let lowered = CursorChange::Set(value(2));
    for (name, change) in [("lowered", lowered), ("dropped", CursorChange::Drop)] {
        for steps in 0.. {
            // What a flush before has written is in no later memtable.
            let user = format!("{name}{steps}");
            let mut memtables = Memtables::new(MsgId::ZERO, Position::START);
            let resources = ["web", "phone", "tv"].map(|resource| device("d", &user, resource));
            for (resource, id) in resources.iter().zip([9, 7, 5]) {
                memtables.push_cursor(resource, CursorChange::Set(value(id)));
            }
            let before = memtables.rotate();
            index
                .apply_small(&before, 0, &mut state, &mut |_, _| Ok(()))
                .unwrap();
            for resource in &resources {
                memtables.push_cursor(resource, change);
            }
            let immutable = memtables.rotate();
            let mut left = steps;
            let mut cut = |_: &Index, _| match left {
                0 => Err(IndexError::Panicked),
                _ => {
                    left -= 1;
                    Ok(())
                }
            };
            let done = index.apply_small(&immutable, 0, &mut state, &mut cut);
            index
                .apply_small(&immutable, 0, &mut state, &mut |_, _| Ok(()))
                .unwrap();
            let confirmed = index.confirmed_of(&mailbox("d", &user)).unwrap();
            assert_eq!(confirmed, MsgId(9), "{name} after {steps} writes");
            if done.is_ok() {
                assert!(steps > 3, "{steps}");
                break;
            }
        }
    }
}

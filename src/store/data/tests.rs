//! What is decided among the devices of a user.
#![allow(clippy::unwrap_used)]

use super::cursor::{Changes, CursorChange, CursorValue, push};
use super::devices::{DEVICES_MAX, Decision, Devices, Moment, UserCursors};
use crate::model::{Device, Domain, Mailbox, MsgId, Resource, UserId};
use crate::store::age::Ages;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const NOW_MS: u64 = 1_000 * DAY_MS;

fn moment(at_ms: u64) -> Moment {
    let (ages, low_watermark) = (Ages::plain(at_ms * 1_000), MsgId::ZERO);
    Moment {
        ages,
        low_watermark,
    }
}

fn resource(name: &str) -> Resource {
    Resource::parse(name).unwrap()
}

fn value(id: u64, at_ms: u64, used: bool) -> CursorValue {
    let id = MsgId(id);
    CursorValue { id, at_ms, used }
}

fn devices(stored: &[(&str, CursorValue)]) -> Devices {
    let stored = stored.iter().map(|(name, value)| (resource(name), *value));
    of(stored.collect())
}

fn of(devices: Vec<(Resource, CursorValue)>) -> Devices {
    let confirmed = MsgId::ZERO;
    Devices::new(UserCursors { devices, confirmed })
}

fn dropped(decision: &Decision) -> Vec<&str> {
    let drops = decision.iter().filter(|(_, c)| *c == CursorChange::Drop);
    let mut names: Vec<_> = drops.map(|(resource, _)| resource.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_known_device_that_was_used_lately_changes_nothing() {
    let mut devices = devices(&[("web", value(5, NOW_MS, true)), ("tv", value(9, 0, true))]);
    let later = &moment(NOW_MS + DAY_MS - 1);
    let (id, decision) = devices.enter(&resource("web"), None, later);
    assert_eq!((id, dropped(&decision)), (MsgId(5), vec!["tv"]));
    assert_eq!(
        decision.len(),
        1,
        "what is gone is dropped at the first decision"
    );
    assert_eq!(devices.enter(&resource("web"), Some(MsgId(5)), later).1, []);
    assert_eq!(devices.make_known(&resource("web"), later), []);
    let at_ms = NOW_MS + DAY_MS;
    let later = &moment(at_ms);
    let use_ = (resource("web"), CursorChange::Use { at_ms });
    assert_eq!(devices.make_known(&resource("web"), later), []);
    assert_eq!(devices.enter(&resource("web"), None, later).1, [use_]);
    assert_eq!(devices.enter(&resource("web"), None, later).1, []);
}

#[test]
fn a_start_is_the_highest_that_was_ever_confirmed() {
    let table = [
        (vec![], 0, None, 0),
        (vec![], 7, None, 7),
        (vec![], 7, Some(3), 7),
        (
            vec![
                ("tv", value(5, NOW_MS, true)),
                ("pc", value(9, NOW_MS, false)),
            ],
            0,
            None,
            9,
        ),
        (
            vec![
                ("tv", value(5, NOW_MS, true)),
                ("pc", value(9, NOW_MS, true)),
            ],
            0,
            Some(6),
            6,
        ),
        (
            vec![
                ("tv", value(5, NOW_MS, true)),
                ("pc", value(9, NOW_MS, true)),
            ],
            0,
            Some(12),
            9,
        ),
        (
            vec![("tv", value(5, NOW_MS, true)), ("pc", value(9, 0, true))],
            0,
            None,
            9,
        ),
        (vec![("tv", value(5, NOW_MS, true))], 7, None, 7),
        (
            vec![
                ("web", value(5, NOW_MS, true)),
                ("pc", value(9, NOW_MS, true)),
            ],
            0,
            None,
            5,
        ),
        (
            vec![
                ("web", value(5, NOW_MS, true)),
                ("pc", value(9, NOW_MS, true)),
            ],
            7,
            None,
            9,
        ),
        (
            vec![("web", value(5, 0, true)), ("pc", value(9, NOW_MS, true))],
            0,
            None,
            9,
        ),
        (vec![("web", value(8, NOW_MS, true))], 4, Some(0), 4),
    ];
    for (row, (stored, low_watermark, after, start)) in table.into_iter().enumerate() {
        let moment = &Moment {
            ages: Ages::plain(NOW_MS * 1_000),
            low_watermark: MsgId(low_watermark),
        };
        let web = resource("web");
        let (id, decision) = devices(&stored).enter(&web, after.map(MsgId), moment);
        assert_eq!(id, MsgId(start), "row {row}");
        let set = CursorChange::Set(value(start, NOW_MS, true));
        let unchanged = stored.contains(&("web", value(start, NOW_MS, true)));
        assert_eq!(
            decision.contains(&(web.clone(), set)),
            !unchanged,
            "row {row}"
        );
        if after.is_none() {
            let mut devices = devices(&stored);
            let decision = devices.make_known(&web, moment);
            let set = CursorChange::Set(value(start, NOW_MS, false));
            assert_eq!(
                decision.contains(&(web.clone(), set)),
                !unchanged,
                "row {row}"
            );
            assert!(devices.counts(&web, moment));
        }
    }
}

#[test]
fn those_that_never_logged_in_make_room_first_and_the_new_one_never_does() {
    let names: Vec<String> = (0..DEVICES_MAX).map(|n| format!("d{n:02}")).collect();
    let stored = names.iter().zip(0..).map(|(name, n)| {
        // d05 and d20 were only written to, d20 a moment ago.
        let used = n != 5 && n != 20;
        (resource(name), value(n, NOW_MS + n, used))
    });
    let mut devices = of(stored.collect());
    let later = &moment(NOW_MS + 100);
    for (newcomer, login, leaves) in [
        ("x1", false, "d05"),
        ("x2", true, "d20"),
        // It is the newest, and still the only one that never logged in.
        ("x3", true, "x1"),
        ("x4", false, "d00"),
        ("x5", false, "x4"),
        ("x6", true, "x5"),
        ("x7", true, "d01"),
    ] {
        let newcomer = resource(newcomer);
        let decision = match login {
            true => devices.enter(&newcomer, None, later).1,
            false => devices.make_known(&newcomer, later),
        };
        assert_eq!(dropped(&decision), [leaves]);
        assert!(devices.counts(&newcomer, later));
        assert!(!devices.counts(&resource(leaves), later));
    }
    assert_eq!(
        devices.enter(&resource("d02"), None, later).1,
        [],
        "a known one stays"
    );
}

#[test]
fn too_many_are_brought_down_to_as_many_as_may_be() {
    let names: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    let stored = names
        .iter()
        .zip(0..)
        .map(|(name, n)| (name.as_str(), value(n, NOW_MS + n, true)));
    let mut devices = devices(&stored.collect::<Vec<_>>());
    let (_, decision) = devices.enter(&resource("web"), None, &moment(NOW_MS + 100));
    assert_eq!(dropped(&decision).len(), 50 + 1 - DEVICES_MAX);
    assert!(devices.counts(&resource("d49"), &moment(NOW_MS)));
}

#[test]
fn what_waits_to_be_written_counts_but_makes_nothing_known_durably() {
    let device = |name: &str| Device {
        mailbox: Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        },
        resource: resource(name),
    };
    let raise = |id, at_ms| {
        let id = MsgId(id);
        CursorChange::Raise { id, at_ms }
    };
    let mut waiting = Changes::new();
    push(&mut waiting, &device("web"), raise(7, NOW_MS));
    push(&mut waiting, &device("tv"), raise(6, NOW_MS));
    push(&mut waiting, &device("pc"), raise(8, NOW_MS));
    let waiting = waiting.into_values().next().unwrap();
    let stored = [("tv", value(5, 0, true)), ("pc", value(4, NOW_MS, true))];
    let now = &moment(NOW_MS);
    for (name, id, is_set) in [
        ("web", 7, true),
        ("tv", 6, true),
        ("pc", 8, false),
        ("x", 8, true),
    ] {
        let mut devices = devices(&stored);
        devices.overlay(&waiting, false);
        assert_eq!(devices.counts(&resource(name), now), !is_set, "{name}");
        let (found, decision) = devices.enter(&resource(name), None, now);
        assert_eq!(found, MsgId(id), "{name}");
        let set = (resource(name), CursorChange::Set(value(id, NOW_MS, true)));
        assert_eq!(decision.contains(&set), is_set, "{name}");
        assert_eq!(dropped(&decision), [""; 0], "{name}");
        devices.overlay(&waiting, true);
        assert!(devices.counts(&resource("tv"), now), "now it is durable");
    }
}

//! The judge of the chaos and kill tests is itself judged: by stories made by hand, each with one
//! thing wrong.

use std::time::Duration;

use crate::support::checker::{
    Connection, Device, Fault, Kill, Message, Receipt, Sent, Story, check,
};
use crate::support::processed::Processed;

const IDS: [u64; 6] = [10_001, 10_002, 11_003, 12_004, 12_005, 13_006];

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn message(id: u64) -> Message {
    Message {
        id,
        key: format!("k{id}"),
        from: "s/web".into(),
        to: "u".into(),
        content: id * 7,
        send_at: id / 1000,
        offline: true,
    }
}

fn sent(id: u64) -> Sent {
    Sent {
        key: format!("k{id}"),
        from: "s/web".into(),
        to: vec!["u".into()],
        to_resource: None,
        content: id * 7,
        attempts: 1,
        ids: Some(vec![id]),
    }
}

fn connection(opened: u64, got: &[u64], confirmed: u64) -> Connection {
    let sure = Receipt {
        asked: secs(opened),
        answered: secs(opened + 1),
        id: confirmed,
    };
    Connection {
        opened: secs(opened),
        after: None,
        got: got.iter().map(|id| message(*id)).collect(),
        offered: confirmed,
        sure: if confirmed > 0 { vec![sure] } else { vec![] },
    }
}

/// Two connections of one device; the second repeats the one message that was not confirmed.
fn story() -> Story {
    let device = Device {
        user: "u".into(),
        resource: "phone".into(),
        base: 0,
        connections: vec![
            connection(0, &IDS[..3], IDS[1]),
            connection(10, &IDS[2..], IDS[5]),
        ],
    };
    Story {
        sent: IDS.iter().map(|id| sent(*id)).collect(),
        history: [("u".into(), IDS.iter().map(|id| message(*id)).collect())].into(),
        devices: vec![device],
        kills: Vec::new(),
        wrong: Vec::new(),
    }
}

fn at(number: usize) -> String {
    format!("u/phone #{number}")
}

/// The faults of the story that `change` makes of the good one.
fn faults(change: impl FnOnce(&mut Story, &mut Vec<Connection>)) -> Vec<Fault> {
    let mut story = story();
    let mut connections = std::mem::take(&mut story.devices[0].connections);
    change(&mut story, &mut connections);
    story.devices[0].connections = connections;
    check(&story)
}

#[test]
fn a_good_story_has_no_fault() {
    assert_eq!(check(&story()), []);
    // Nothing was confirmed: all comes again.
    let repeated = faults(|_, c| {
        c[0] = connection(0, &IDS[..3], 0);
        c[1] = connection(10, &IDS, 0);
    });
    assert_eq!(repeated, []);
    // A connection that got nothing says nothing.
    assert_eq!(faults(|_, c| c.insert(1, connection(5, &[], 0))), []);
}

#[test]
fn a_loss_is_found() {
    let id = IDS[5];
    let lost = faults(|_, c| {
        c[1].got.pop();
    });
    assert_eq!(
        lost,
        [Fault::Lost {
            at: "u/phone".into(),
            id
        }]
    );
    // Also where the device never came.
    assert_eq!(faults(|_, c| c.clear()).len(), IDS.len());
}

#[test]
fn a_reorder_is_found() {
    let swapped = faults(|_, c| c[1].got.swap(1, 2));
    let found = Fault::NotRising {
        at: at(1),
        id: IDS[3],
    };
    assert!(swapped.contains(&found), "{swapped:?}");
    let doubled = faults(|_, c| c[1].got.insert(1, message(IDS[2])));
    let id = IDS[2];
    assert_eq!(doubled, [Fault::NotRising { at: at(1), id }]);
}

#[test]
fn a_repeat_of_what_was_confirmed_is_found() {
    let repeated = faults(|_, c| c[1].got.insert(0, message(IDS[1])));
    let (id, sure) = (IDS[1], IDS[1]);
    assert_eq!(
        repeated,
        [Fault::Repeated {
            at: at(1),
            id,
            sure
        }]
    );
    // Given away, but perhaps never handled: it may come again, or not.
    let unsure = |again: bool| {
        faults(|_, c| {
            c[0].sure.clear();
            if again {
                c[1].got.insert(0, message(IDS[1]));
            }
        })
    };
    assert_eq!((unsure(true), unsure(false)), (vec![], vec![]));
}

#[test]
fn a_kill_takes_back_what_was_just_confirmed_and_no_more() {
    // Asked at 0 s, answered at 1 s; the second connection opens at 10 s.
    let kill = |began, ended| {
        faults(|story, c| {
            let (began, ended) = (secs(began), secs(ended));
            story.kills.push(Kill { began, ended });
            c[1].got.insert(0, message(IDS[1]));
        })
    };
    assert_eq!(kill(2, 3), [], "just confirmed");
    assert_eq!(kill(3, 4).len(), 1, "confirmed long before");
    assert_eq!(kill(11, 12).len(), 1, "killed after the login");
    let before = faults(|story, c| {
        let (began, ended) = (secs(1), secs(2));
        story.kills.push(Kill { began, ended });
        c[0].sure[0].asked = secs(3);
        c[0].sure[0].answered = secs(4);
        c[1].got.insert(0, message(IDS[1]));
    });
    assert_eq!(before.len(), 1, "confirmed after the kill");
}

#[test]
fn a_gap_is_found() {
    let within = faults(|_, c| {
        c[1].got.remove(1);
        c.push(connection(20, &IDS[2..], 0));
        c[1].sure.clear();
        c[1].offered = 0;
    });
    let gap = |number, id, missing| Fault::Gap {
        at: at(number),
        id,
        missing,
    };
    assert_eq!(within, [gap(1, IDS[4], IDS[3])]);
    // The third had come, but was not confirmed by anybody: it is due again.
    let between = faults(|_, c| {
        c[1].got.remove(0);
    });
    assert_eq!(between, [gap(1, IDS[3], IDS[2])]);
}

#[test]
fn after_is_where_a_connection_begins() {
    let after = |after, first: usize| {
        faults(|_, c| {
            c[1].after = Some(after);
            c[1].got = IDS[first..].iter().map(|id| message(*id)).collect();
        })
    };
    assert_eq!(after(IDS[0], 1), [], "below the cursor");
    assert_eq!(after(IDS[2], 3), [], "above the cursor");
    assert_eq!(after(0, 0), []);
    assert!(matches!(after(IDS[2], 2)[..], [Fault::Repeated { .. }]));
    assert!(matches!(after(IDS[2], 4)[..], [Fault::Gap { .. }, ..]));
}

#[test]
fn after_lowers_the_cursor_for_good() {
    let then = |first: usize, heard: bool| {
        faults(|_, c| {
            let mut lowering = connection(5, &IDS[1..2], 0);
            lowering.after = Some(IDS[0]);
            if !heard {
                lowering.got.clear();
            }
            c.insert(1, lowering);
            c[2].got = IDS[first..].iter().map(|id| message(*id)).collect();
        })
    };
    assert_eq!(then(1, true), []);
    assert!(matches!(then(2, true)[..], [Fault::Gap { .. }]));
    assert!(matches!(then(0, true)[..], [Fault::Repeated { .. }]));
    // Nobody knows whether that login arrived.
    assert_eq!((then(1, false), then(2, false)), (vec![], vec![]));
}

#[test]
fn a_foreign_message_is_found() {
    let (id, other) = (12_500, IDS[4]);
    let unknown = faults(|_, c| c[1].got.insert(3, message(id)));
    assert_eq!(unknown, [Fault::Foreign { at: at(1), id }]);
    let misdirected = faults(|story, _| story.sent[4].to_resource = Some("web".into()));
    let foreign = Fault::Foreign {
        at: at(1),
        id: other,
    };
    assert_eq!(misdirected, [foreign]);
    // And what is for another device is not due.
    let fine = faults(|story, c| {
        story.sent[4].to_resource = Some("web".into());
        c[1].got.remove(2);
    });
    assert_eq!(fine, []);
}

#[test]
fn an_altered_message_is_found() {
    let id = IDS[4];
    let altered = [Fault::Altered { at: at(1), id }];
    let changes: [fn(&mut Message); 4] = [
        |m| m.content += 1,
        |m| m.from = "t/web".into(),
        |m| m.send_at += 1,
        |m| m.to = "v".into(),
    ];
    for change in changes {
        assert_eq!(faults(|_, c| change(&mut c[1].got[2])), altered);
    }
    let live = faults(|_, c| c[1].got[0].offline = false);
    assert!(live.contains(&Fault::Offline {
        at: at(1),
        id: IDS[2]
    }));
    let older = faults(|_, c| c[1].got[2].offline = false);
    assert_eq!(
        older,
        [Fault::Offline {
            at: at(1),
            id: IDS[5]
        }]
    );
}

#[test]
fn a_late_device_begins_at_the_highest_cursor_of_the_others() {
    let late = |base, first: usize| {
        faults(|story, c| {
            story.devices[0].base = base;
            *c = vec![connection(0, &IDS[first..], 0)];
        })
    };
    assert_eq!(late(IDS[2], 3), []);
    assert_eq!(late(IDS[2], 2), [], "the other's receipt came later");
    assert!(matches!(late(IDS[2], 4)[..], [Fault::Gap { .. }, ..]));
    // Once it is known, its cursor stands.
    let again = faults(|story, c| {
        story.devices[0].base = IDS[2];
        *c = vec![connection(0, &IDS[2..3], 0), connection(10, &IDS[3..], 0)];
    });
    assert!(matches!(again[..], [Fault::Gap { .. }]));
    // It was written to before it came.
    let targeted = faults(|story, c| {
        story.devices[0].base = IDS[2];
        story.sent[1].to_resource = Some("phone".into());
        *c = vec![connection(0, &IDS[2..], 0)];
    });
    assert_eq!(targeted.len(), 2, "a gap and a loss: {targeted:?}");
}

#[test]
fn a_wrong_history_is_found() {
    let one = |change: fn(&mut Vec<Message>)| {
        let found = faults(|story, _| change(story.history.get_mut("u").unwrap()));
        assert!(!found.is_empty());
        found
    };
    let id = IDS[5];
    let missing = one(|history| {
        history.pop();
    });
    let (key, to) = (format!("k{id}"), "u".to_owned());
    assert!(missing.contains(&Fault::NotStored { key, to }));
    one(|history| history.swap(1, 2));
    one(|history| {
        let again = Message {
            id: 20_000,
            send_at: 20,
            ..history[0].clone()
        };
        history.push(again);
    });
    one(|history| history.push(message(20_000)));
    one(|history| history[0].content += 1);
    let unanswered = faults(|story, _| story.sent[0].ids = None);
    assert_eq!(unanswered, [Fault::Unacknowledged(format!("k{}", IDS[0]))]);
}

#[test]
fn sends_that_changed_places_are_found() {
    let swapped = |attempts| {
        faults(|story, _| {
            story.sent.swap(0, 1);
            story.sent[0].attempts = attempts;
        })
    };
    assert!(matches!(swapped(1)[..], [Fault::Swapped { .. }]));
    assert_eq!(swapped(2), [], "its first try may have been the lost one");
    let said = faults(|story, _| story.wrong.push("closed with 4400".into()));
    assert_eq!(said, [Fault::Wrong("closed with 4400".into())]);
}

/// A receipt stands for all below it.
#[test]
fn an_app_that_went_back_behind_where_it_began_says_nothing_of_what_it_got_there() {
    let mut app = Processed::default();
    for id in [10, 11, 12, 11, 12, 13] {
        app.take(id, false);
    }
    app.login(9);
    assert_eq!((app.last(), app.before_last(1)), (13, 12));
    assert_eq!(app.claim(), Some(13));
    app.login(0);
    assert_eq!(app.claim(), None);
    app.take(3, false);
    assert_eq!((app.last(), app.before_last(1)), (3, 0));
    assert_eq!(app.claim(), None);

    let mut from_start = Processed::default();
    from_start.take(10, true);
    from_start.login(0);
    from_start.take(3, false);
    from_start.take(10, false);
    assert_eq!(from_start.claim(), Some(10));
}

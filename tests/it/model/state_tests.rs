//! The model itself, by hand: what is right passes, and what is wrong in one way is found.

use serde_json::{Value, json};

use super::state::{Id, Message, Model, Names, Track};
use super::step::{Device, STRANGER};

const WEB: Device = Device {
    user: 0,
    resource: 0,
};
const PHONE: Device = Device {
    user: 0,
    resource: 1,
};
const TABLET: Device = Device {
    user: 0,
    resource: 2,
};
const OTHER: Device = Device {
    user: 1,
    resource: 0,
};

fn message(id: Id, to: Device, resource: Option<usize>) -> Message {
    Message {
        id,
        to: to.user,
        resource,
        from: STRANGER,
        kind: 10,
        content: json!(format!("content {id}")),
        to_nobody: Some(true),
    }
}

/// 10, 20 and 30 for all devices, 25 for the phone only; 40 for another user.
fn model() -> Model {
    let mut model = Model::new(Names {
        domain: "demo".into(),
        users: ["a".into(), "b".into(), "s".into()],
    });
    let messages = [
        message(10, WEB, None),
        message(20, WEB, None),
        message(25, PHONE, Some(PHONE.resource)),
        message(30, WEB, None),
        message(40, OTHER, None),
    ];
    for message in messages {
        model.stored(message).unwrap();
    }
    model
}

fn delivery(id: Id, offline: bool) -> Value {
    json!({
        "fromId": "s", "fromName": "Name of s", "fromResource": "web", "toId": "a",
        "domain": "demo", "type": 10, "content": format!("content {id}"),
        "sendAt": id / 1000, "offline": offline, "msgId": id,
    })
}

fn login(model: &mut Model, device: Device) -> Track {
    let newest = model.newest(device.user);
    model.logged_in(device, newest, None)
}

/// A login of the device, and these deliveries; what is wrong with the last one.
fn after_login(model: &mut Model, device: Device, ids: &[Id]) -> Result<Track, String> {
    let mut track = login(model, device);
    let (last, before) = ids.split_last().unwrap();
    for id in before {
        let delivered = model.delivered(&mut track, &delivery(*id, true));
        delivered.unwrap();
    }
    model.delivered(&mut track, &delivery(*last, true))?;
    Ok(track)
}

#[track_caller]
fn found(outcome: Result<Track, String>, words: &str) {
    let why = outcome.map(|_| ()).unwrap_err();
    assert!(why.contains(words), "no {words:?} in {why:?}");
}

#[test]
fn what_is_due_passes_and_is_due_no_more() {
    let mut model = model();
    let track = after_login(&mut model, WEB, &[10, 20]).unwrap();
    assert_eq!(model.due(&track), [30]);
    let track = after_login(&mut model, PHONE, &[10, 20, 25, 30]).unwrap();
    assert!(model.due(&track).is_empty());
}

#[test]
fn losses_repeats_and_what_is_not_its_own_are_found() {
    found(after_login(&mut model(), WEB, &[20]), "without [10]");
    found(after_login(&mut model(), WEB, &[10, 30]), "without [20]");
    found(
        after_login(&mut model(), PHONE, &[10, 20, 30]),
        "without [25]",
    );
    found(after_login(&mut model(), WEB, &[10, 10]), "again");
    found(after_login(&mut model(), WEB, &[10, 20, 10]), "again");
    found(
        after_login(&mut model(), WEB, &[10, 20, 25]),
        "another device's",
    );
    found(after_login(&mut model(), WEB, &[40]), "not in its mailbox");
    found(after_login(&mut model(), WEB, &[15]), "not in its mailbox");
    let mut model = model();
    let older = model.stored(message(40, WEB, None));
    assert!(older.unwrap_err().contains("after 40"));
}

#[test]
fn wrong_fields_are_found() {
    let wrong = [
        ("fromId", json!("a")),
        ("fromName", json!("s")),
        ("fromResource", json!("phone")),
        ("toId", json!("b")),
        ("domain", json!("other")),
        ("type", json!("10")),
        ("content", json!("content 20")),
        ("sendAt", json!(10)),
        ("offline", json!(false)),
        ("offline", Value::Null),
    ];
    for (field, value) in wrong {
        let mut model = model();
        let mut track = login(&mut model, WEB);
        let mut given = delivery(10, true);
        given[field] = value;
        let why = model.delivered(&mut track, &given).unwrap_err();
        assert!(why.contains(field), "{why}");
    }
}

#[test]
fn offline_is_what_was_stored_before_the_login() {
    let mut model = model();
    let mut track = login(&mut model, WEB);
    model.stored(message(50, WEB, None)).unwrap();
    for id in [10, 20, 30] {
        model.delivered(&mut track, &delivery(id, true)).unwrap();
    }
    assert!(
        model
            .delivered(&mut track.clone(), &delivery(50, true))
            .is_err()
    );
    model.delivered(&mut track, &delivery(50, false)).unwrap();
    // What is stored during a login is either; once it is false it stays so.
    let mut track = model.logged_in(PHONE, 10, None);
    model.delivered(&mut track, &delivery(10, true)).unwrap();
    model.delivered(&mut track, &delivery(20, false)).unwrap();
    assert!(model.delivered(&mut track, &delivery(25, true)).is_err());
}

#[test]
fn receipts_move_the_cursor_once_they_are_taken() {
    let mut model = model();
    after_login(&mut model, WEB, &[10, 20, 30]).unwrap();
    model.receipt_sent(WEB, 20);
    after_login(&mut model, WEB, &[10]).unwrap();
    model.receipt_sent(WEB, 20);
    // It has been taken: the first delivery shows it.
    after_login(&mut model, WEB, &[30]).unwrap();
    found(after_login(&mut model, WEB, &[10]), "again");
    model.receipt_taken(WEB, 30);
    found(after_login(&mut model, WEB, &[30]), "again");
    assert!(model.is_confirmed(WEB, 30));
    assert!(!model.lacks_before(WEB, 31));
}

#[test]
fn a_new_device_starts_at_what_was_confirmed() {
    let mut model = model();
    after_login(&mut model, WEB, &[10]).unwrap();
    model.receipt_taken(WEB, 10);
    found(after_login(&mut model, TABLET, &[10]), "again");
    // The phone is known since it was written to, when nobody had confirmed anything.
    found(after_login(&mut model, PHONE, &[20]), "without [10]");
    after_login(&mut model, TABLET, &[20]).unwrap();
}

#[test]
fn a_new_device_starts_at_what_was_confirmed_also_where_after_lowered_the_cursor() {
    let mut model = model();
    after_login(&mut model, WEB, &[10]).unwrap();
    model.receipt_taken(WEB, 10);
    model.logged_in(WEB, 30, Some(0));
    found(after_login(&mut model, TABLET, &[10]), "again");
    after_login(&mut model, TABLET, &[20]).unwrap();
    after_login(&mut model, WEB, &[10]).unwrap();
}

#[test]
fn after_lowers_the_cursor_and_never_raises_it() {
    let mut model = model();
    after_login(&mut model, WEB, &[10]).unwrap();
    model.receipt_taken(WEB, 20);
    let track = model.logged_in(WEB, 30, Some(25));
    assert_eq!(model.due(&track), [30]);
    let track = login(&mut model, WEB);
    assert_eq!(model.due(&track), [30], "not raised");
    let track = model.logged_in(WEB, 30, Some(10));
    assert_eq!(model.due(&track), [20, 30]);
    let track = login(&mut model, WEB);
    assert_eq!(model.due(&track), [20, 30], "lowered");
    let mut track = model.logged_in(WEB, 30, Some(1_000));
    model.stored(message(50, WEB, None)).unwrap();
    model.delivered(&mut track, &delivery(50, false)).unwrap();
}

#[test]
fn a_kill_takes_back_what_had_no_time_to_be_stored() {
    let mut model = model();
    after_login(&mut model, WEB, &[10, 20, 30]).unwrap();
    model.receipt_taken(WEB, 10);
    model.rested();
    model.receipt_taken(WEB, 20);
    model.killed();
    found(after_login(&mut model, WEB, &[10]), "again");
    after_login(&mut model, WEB, &[20, 30]).unwrap();
    model.receipt_taken(WEB, 30);
    model.stopped();
    found(after_login(&mut model, WEB, &[30]), "again");
    // Who was given nothing was perhaps not stored either.
    login(&mut model, TABLET);
    model.receipt_taken(WEB, 40);
    model.killed();
    model.logged_in(TABLET, 30, None);
    let cursor = model.cursor(TABLET).unwrap();
    assert_eq!((cursor.sure, cursor.perhaps), (30, 40));
}

/// As by a receipt on its way to the session before it: it is stored a while after that, too.
#[test]
fn what_a_login_shows_to_be_confirmed_was_confirmed_just_then() {
    let mut model = model();
    let mut first = model.logged_in(WEB, 40, None);
    model.delivered(&mut first, &delivery(10, true)).unwrap();
    model.receipt_sent(WEB, 10);
    let before = model.confirmed_at;
    let mut next = model.logged_in(WEB, 40, None);
    model.delivered(&mut next, &delivery(20, true)).unwrap();
    assert!(model.is_confirmed(WEB, 10));
    assert!(model.confirmed_at > before);
}

//! From login to live delivery, and back.

use super::*;

#[test]
fn catching_up_reads_on_when_the_last_chunk_has_left() {
    let (mut session, _) = Harness::new(None);
    let (queue, actions) = session.put(read(vec![message(15), message(25)]));
    assert!(queue.contains(r#""offline":true,"msgId":15"#), "{queue}");
    assert!(queue.contains(r#""offline":false,"msgId":25"#), "{queue}");
    assert!(
        queue.contains("}\u{fffd}\u{2}15"),
        "a Ping behind the first: {queue}"
    );
    assert_eq!(actions, [], "a slow reader costs one chunk");
    assert!(session.machine.is_writing());
    assert_eq!(
        session.put(Input::Event(Event::Flushed)).1,
        [Action::Read(MsgId(25))]
    );
    assert_eq!(session.put(all_read(40)).1, [Action::GoLive(MsgId(40))]);
    assert_eq!(
        session.put(Input::Live(false)).1,
        [Action::Read(MsgId(25))],
        "one was missed"
    );
    assert!(!session.machine.is_live());
}

#[test]
fn what_the_store_has_read_to_its_end_needs_no_second_read() {
    let (mut session, _) = Harness::new(None);
    let backlog = Backlog {
        messages: vec![message(15)],
        upto: Some(MsgId(30)),
    };
    assert_eq!(session.put(Input::Messages(backlog)).1, []);
    assert_eq!(
        session.put(Input::Event(Event::Flushed)).1,
        [Action::GoLive(MsgId(30))]
    );
    assert_eq!(session.put(Input::Live(false)).1, [Action::Read(MsgId(15))]);
}

#[test]
fn what_was_missed_and_then_erased_is_not_waited_for() {
    let (mut session, _) = Harness::new(None);
    let outbox = crate::hub::Outbox::new(1000);
    outbox.deliver(MsgId(35), b"thirty-five");
    // Erased before it was read.
    let actions = session.put(all_read(36)).1;
    let [Action::GoLive(seen)] = actions[..] else {
        panic!("{actions:?}");
    };
    let live = outbox.try_go_live(seen);
    assert!(live, "it would be read for again and again");
    assert_eq!(session.put(Input::Live(live)).1, [], "no receipt came");
    assert!(session.machine.is_live());
}

#[test]
fn another_devices_messages_are_passed_over_and_confirmed_with_what_is_below() {
    let other = |id| Message {
        to_resource: Resource::parse("phone").ok(),
        ..message(id)
    };
    let (mut session, _) = Harness::new(None);
    let (queue, actions) = session.put(read(vec![other(15)]));
    assert_eq!(queue, "");
    assert_eq!(
        actions,
        [Action::Confirm(MsgId(15)), Action::Read(MsgId(15))]
    );
    session.put(read(vec![message(16), other(17)]));
    assert_eq!(
        session.put(Input::Event(Event::Flushed)).1,
        [Action::Read(MsgId(17))]
    );
    assert_eq!(session.pong("16"), [Action::Confirm(MsgId(17))]);
}

#[test]
fn a_client_starts_where_it_says() {
    let (mut session, actions) = Harness::with(|start| start.after = MsgId(14));
    assert_eq!(actions, [Action::Read(MsgId(14))]);
    session.put(all_read(40));
    session.put(Input::Live(true));
    // Nothing was confirmed, so the cursor stays.
    assert!(session.put(output(&[30], false)).1.is_empty());
    assert_eq!(session.pong("30"), [Action::Confirm(MsgId(30))]);
}

#[test]
fn a_session_that_fell_behind_writes_what_it_has_and_then_reads_the_store() {
    let mut session = Harness::live();
    let (queue, actions) = session.put(output(&[30], true));
    assert!(queue.starts_with('.') && actions.is_empty());
    assert!(!session.machine.is_live());
    assert_eq!(
        session.put(Input::Event(Event::Flushed)).1,
        [Action::Read(MsgId(30))]
    );
    let mut session = Harness::live();
    assert_eq!(session.put(output(&[], true)).1, [Action::Read(MsgId(10))]);
}

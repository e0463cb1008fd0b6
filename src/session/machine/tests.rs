use std::time::Duration;

use super::*;
use crate::hub::Output;
use crate::model::{Domain, MessageType, UserId, UserName};

const INTERVAL: Duration = Duration::from_secs(25);

/// An empty Ping, 0x89 0x00, as lossy text.
const PING: &str = "\u{fffd}\0";

struct Harness {
    machine: Machine,
    rules: FrameRules,
    now: Now,
}

fn mailbox() -> Mailbox {
    Mailbox {
        domain: Domain::parse("demo").expect("valid"),
        user: UserId::parse("u2").expect("valid"),
    }
}

fn message(id: u64) -> Message {
    Message {
        id: MsgId(id),
        mailbox: mailbox(),
        to_resource: None,
        from_id: UserId::parse("u1").expect("valid"),
        from_name: UserName::parse("Alice").expect("valid"),
        from_resource: Resource::parse("web").expect("valid"),
        kind: MessageType(10),
        content: format!("{id}").into(),
        recipient_offline: false,
    }
}

fn output(frames: &[u8], passed: u64, behind: bool) -> Input {
    let output = Output {
        frames: frames.into(),
        passed: MsgId(passed),
        behind,
        ..Output::default()
    };
    Input::Taken(Taken {
        output: Some(output),
        ..Taken::default()
    })
}

impl Harness {
    /// A session whose cursor is 10 and before whose login message 20 was the newest.
    fn new(token_expires_at_ms: Option<u64>) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        let start = Start {
            mailbox: mailbox(),
            resource: Resource::parse("web").expect("valid"),
            cursor: MsgId(10),
            newest_at_login: MsgId(20),
            token_expires_at_ms,
            ping_interval: INTERVAL,
        };
        let machine = Machine::new(start, &mut actions);
        let rules = FrameRules {
            content_bytes_max: 100,
            types: MessageType::BASE.into(),
        };
        let now = Now {
            elapsed: Duration::ZERO,
            wall_ms: 1_000,
        };
        (
            Self {
                machine,
                rules,
                now,
            },
            actions,
        )
    }

    fn live() -> Self {
        let (mut session, actions) = Self::new(None);
        assert_eq!(actions, [Action::Read(MsgId(10))]);
        assert_eq!(
            session.put(Input::Messages(vec![])).1,
            [Action::GoLive(MsgId(10))]
        );
        assert_eq!(session.put(Input::Live(true)).1, []);
        assert!(session.machine.is_live());
        session
    }

    fn put(&mut self, input: Input) -> (String, Vec<Action>) {
        let (mut queue, mut actions) = (Vec::new(), Vec::new());
        self.machine
            .handle(input, self.now, &self.rules, &mut queue, &mut actions);
        (String::from_utf8_lossy(&queue).into_owned(), actions)
    }

    fn wait(&mut self, time: Duration) -> (String, Vec<Action>) {
        self.now.elapsed += time;
        self.now.wall_ms += time.as_millis() as u64;
        self.put(Input::Tick)
    }
}

#[test]
fn catching_up_reads_on_only_when_the_last_chunk_has_left() {
    let (mut session, _) = Harness::new(None);
    let (queue, actions) = session.put(Input::Messages(vec![message(15), message(25)]));
    assert!(queue.contains(r#""offline":true,"msgId":15"#), "{queue}");
    assert!(queue.contains(r#""offline":false,"msgId":25"#), "{queue}");
    assert_eq!(actions, [], "a slow reader costs one chunk");
    assert!(session.machine.is_writing());
    assert_eq!(
        session.put(Input::Flushed).1,
        [Action::Confirm(MsgId(25)), Action::Read(MsgId(25))]
    );
    assert_eq!(
        session.put(Input::Messages(vec![])).1,
        [Action::GoLive(MsgId(25))]
    );
    assert_eq!(
        session.put(Input::Live(false)).1,
        [Action::Read(MsgId(25))],
        "one was missed"
    );
    assert!(!session.machine.is_live());
}

#[test]
fn another_devices_messages_are_passed_over_and_confirmed() {
    let (mut session, _) = Harness::new(None);
    let other = Message {
        to_resource: Resource::parse("phone").ok(),
        ..message(15)
    };
    let (queue, actions) = session.put(Input::Messages(vec![other]));
    assert_eq!(queue, "");
    assert_eq!(
        actions,
        [Action::Confirm(MsgId(15)), Action::Read(MsgId(15))]
    );
}

#[test]
fn a_live_delivery_is_confirmed_only_when_it_has_left() {
    let mut session = Harness::live();
    assert_eq!(
        session.put(output(b"frame", 30, false)),
        ("frame".into(), vec![])
    );
    assert_eq!(session.put(Input::Flushed).1, [Action::Confirm(MsgId(30))]);
    assert_eq!(session.put(Input::Flushed).1, []);
}

#[test]
fn a_session_that_fell_behind_writes_what_it_has_and_then_reads_the_store() {
    let mut session = Harness::live();
    assert_eq!(
        session.put(output(b"frame", 30, true)),
        ("frame".into(), vec![])
    );
    assert!(!session.machine.is_live());
    assert_eq!(
        session.put(Input::Flushed).1,
        [Action::Confirm(MsgId(30)), Action::Read(MsgId(30))]
    );
    let mut session = Harness::live();
    assert_eq!(
        session.put(output(b"", 10, true)).1,
        [Action::Read(MsgId(10))]
    );
}

#[test]
fn refused_frames_are_answered_and_good_ones_carried_out() {
    let mut session = Harness::live();
    let (queue, actions) = session.put(Input::Text("{}".into()));
    assert!(queue.contains("invalid_field") && actions.is_empty());
    let (queue, actions) = session.put(Input::Text(r#"{"toId":1,"type":10,"content":2}"#.into()));
    assert!(queue.is_empty() && matches!(actions[..], [Action::Send(_)]));
    assert!(session.put(Input::Text("ping".into())).0.ends_with("pong"));
}

#[test]
fn silence_is_pinged_twice_and_then_ends_the_session() {
    let mut session = Harness::live();
    assert_eq!(session.machine.wake_in(session.now), INTERVAL);
    assert_eq!(session.wait(INTERVAL).0, PING);
    assert_eq!(session.machine.wake_in(session.now), INTERVAL);
    session.put(Input::Heard);
    assert_eq!(session.wait(INTERVAL).0, PING, "it lives: from the start");
    assert_eq!(session.wait(INTERVAL).0, PING);
    assert_eq!(
        session.wait(INTERVAL).1,
        [Action::Close(CloseReason::PingTimeout)]
    );
    assert_eq!(
        session.put(Input::Text("ping".into())),
        (String::new(), vec![]),
        "it is over"
    );
}

#[test]
fn a_token_ends_at_its_time_or_when_it_is_revoked() {
    let (mut session, _) = Harness::new(Some(3_000));
    assert_eq!(session.machine.wake_in(session.now), Duration::from_secs(2));
    assert_eq!(session.wait(Duration::from_millis(1_999)).1, []);
    assert_eq!(
        session.wait(Duration::from_millis(1)).1,
        [Action::Close(CloseReason::TokenExpired)]
    );

    let mut session = Harness::live();
    let recheck = Taken {
        recheck: true,
        ..Taken::default()
    };
    assert_eq!(session.put(Input::Taken(recheck)).1, [Action::CheckToken]);
    session.put(Input::Token(Some(Some(2_000))));
    assert_eq!(session.machine.wake_in(session.now), Duration::from_secs(1));
    assert_eq!(
        session.put(Input::Token(None)).1,
        [Action::Close(CloseReason::TokenRevoked)]
    );
}

#[test]
fn a_close_that_comes_while_the_socket_is_busy_confirms_nothing_that_has_not_left() {
    let mut session = Harness::live();
    session.put(output(b"frame", 30, false));
    let close = Taken {
        close: Some(CloseReason::Replaced),
        ..Taken::default()
    };
    assert_eq!(
        session.put(Input::Taken(close)).1,
        [Action::Close(CloseReason::Replaced)]
    );
}

//! Machine tests: helpers, and tests of a session as a whole.

mod catching_up;
mod pings;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::hub::{Delivery, Output};
use crate::model::{Domain, Message, MessageType, Resource, UserId, UserName};
use crate::protocol::client_frame::FrameRules;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::login::ReceiptMode;
use crate::store::Backlog;

const INTERVAL: Duration = Duration::from_secs(25);

struct Harness {
    machine: Machine,
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

/// A chunk of messages, with possibly more in the store.
fn read(messages: Vec<Message>) -> Input {
    Input::Messages(Backlog {
        messages,
        upto: None,
    })
}

/// An empty read: nothing up to this id will ever come.
fn all_read(upto: u64) -> Input {
    Input::Messages(Backlog {
        messages: Vec::new(),
        upto: Some(MsgId(upto)),
    })
}

/// Output of the outbox: these deliveries with one frame each, and whether the session is behind.
fn output(ids: &[u64], behind: bool) -> Input {
    let delivery = |(id, end): (&u64, u32)| Delivery {
        id: MsgId(*id),
        bytes: 1,
        end,
    };
    let output = Output {
        frames: vec![b'.'; ids.len()],
        deliveries: ids.iter().zip(1..).map(delivery).collect(),
        behind,
        ..Output::default()
    };
    Input::Taken(Taken {
        output: Some(output),
        ..Taken::default()
    })
}

impl Harness {
    /// A session with cursor 10 and 20 as the newest message at login.
    fn new(token_expires_at_ms: Option<u64>) -> (Self, Vec<Action>) {
        Self::with(|start| start.token_expires_at_ms = token_expires_at_ms)
    }

    fn with(change: impl FnOnce(&mut Start)) -> (Self, Vec<Action>) {
        let rules = FrameRules {
            content_bytes_max: 100,
            content_depth_max: 60,
            types: MessageType::BASE.into(),
        };
        let mut start = Start {
            mailbox: mailbox(),
            resource: Resource::parse("web").expect("valid"),
            rules: Arc::new(rules),
            receipts: ReceiptMode::Auto,
            cursor: MsgId(10),
            after: MsgId(10),
            newest_at_login: MsgId(20),
            token_expires_at_ms: None,
            ping_interval: INTERVAL,
            window: Window::default(),
        };
        change(&mut start);
        let mut machine = Machine::new(start);
        let actions = std::iter::from_fn(|| machine.poll_action()).collect();
        let now = Now {
            elapsed: Duration::ZERO,
            wall_ms: 1_000,
        };
        (Self { machine, now }, actions)
    }

    fn live() -> Self {
        Self::live_with(ReceiptMode::Auto)
    }

    fn live_with(mode: ReceiptMode) -> Self {
        let (mut session, actions) = Self::with(|start| start.receipts = mode);
        assert_eq!(actions, [Action::Read(MsgId(10))]);
        assert_eq!(session.put(all_read(40)).1, [Action::GoLive(MsgId(40))]);
        assert_eq!(session.put(Input::Live(true)).1, []);
        assert!(session.machine.is_live());
        session
    }

    fn put(&mut self, input: Input) -> (String, Vec<Action>) {
        let mut actions = Vec::new();
        self.machine.handle(input, self.now);
        while let Some(action) = self.machine.poll_action() {
            match action {
                // No rate is exceeded.
                Action::Refuse(error) => self.machine.handle(Input::Refused(error), self.now),
                action => actions.push(action),
            }
        }
        let output = self.machine.poll_output().unwrap_or_default();
        (String::from_utf8_lossy(&output).into_owned(), actions)
    }

    fn pong(&mut self, payload: &str) -> Vec<Action> {
        self.put(Input::Event(Event::Pong(payload.into()))).1
    }

    fn text(&mut self, text: &str) -> (String, Vec<Action>) {
        self.put(Input::Event(Event::Text(text.into())))
    }

    fn received(&mut self, id: u64) -> (String, Vec<Action>) {
        self.text(&format!("{{\"received\":{id}}}"))
    }

    fn wait(&mut self, time: Duration) -> (String, Vec<Action>) {
        self.now.elapsed += time;
        self.now.wall_ms += time.as_millis() as u64;
        self.put(Input::Tick)
    }
}

const WRONG: Action = Action::Refused(ErrorCode::InvalidField);

#[test]
fn only_a_receipt_moves_the_cursor() {
    let mut session = Harness::live();
    let (queue, actions) = session.put(output(&[30], false));
    assert_eq!((queue.as_str(), actions), (".\u{fffd}\u{2}30", vec![]));
    assert_eq!(session.put(Input::Event(Event::Flushed)).1, []);
    assert_eq!(session.pong("31"), []);
    assert_eq!(session.pong("30"), [Action::Confirm(MsgId(30))]);
    assert_eq!(session.pong("30"), []);
}

#[test]
fn the_applications_receipts_count_and_wrong_ones_are_refused() {
    let mut session = Harness::live_with(ReceiptMode::Manual);
    assert_eq!(session.put(output(&[30, 31, 32], false)).0, "...");
    session.put(Input::Event(Event::Flushed));
    for wrong in [29, 33] {
        let (queue, actions) = session.received(wrong);
        assert!(queue.contains("\"field\":\"received\""), "{queue}");
        assert_eq!(actions, [WRONG]);
    }
    session.put(Input::Event(Event::Flushed));
    assert_eq!(
        session.received(31),
        (String::new(), vec![Action::Confirm(MsgId(31))])
    );
    assert_eq!(session.received(30), (String::new(), vec![]));
    assert!(session.wait(INTERVAL).0.ends_with("32"));
    assert_eq!(session.pong("32"), [], "a sign of life only");
}

#[test]
fn a_receipt_for_what_comes_again_waits_for_it() {
    for (claimed, counts) in [(15, true), (14, false)] {
        let (mut session, _) = Harness::with(|start| start.receipts = ReceiptMode::Manual);
        assert_eq!(session.received(claimed), (String::new(), vec![]));
        let (queue, actions) = session.put(read(vec![message(15), message(16)]));
        assert_eq!(queue.contains("invalid_field"), !counts, "{queue}");
        assert_eq!(actions.contains(&Action::Confirm(MsgId(15))), counts);
    }
    let (mut session, _) = Harness::with(|start| start.receipts = ReceiptMode::Manual);
    session.received(20);
    session.put(all_read(40));
    let (queue, actions) = session.put(Input::Live(true));
    assert!(queue.contains("invalid_field"), "{queue}");
    assert_eq!(actions, [WRONG]);
}

#[test]
fn a_wrong_receipt_takes_no_right_one_with_it() {
    for order in [[15, 16, 14], [16, 14, 15], [14, 15, 16]] {
        let (mut session, _) = Harness::with(|start| start.receipts = ReceiptMode::Manual);
        for id in order {
            assert_eq!(session.received(id), (String::new(), vec![]));
        }
        let (queue, actions) = session.put(read(vec![message(15), message(17)]));
        assert_eq!(queue.matches("invalid_field").count(), 2, "{queue}");
        assert_eq!(actions, [Action::Confirm(MsgId(15)), WRONG, WRONG]);
    }
    let (mut session, _) = Harness::new(None);
    (0..100).for_each(|_| drop(session.received(14)));
    assert_eq!(session.machine.held.len(), held::HELD_MAX);
}

#[test]
fn a_full_window_stops_deliveries_until_half_of_it_is_confirmed() {
    let mut session = Harness::live_with(ReceiptMode::Manual);
    let ids: Vec<u64> = (101..=8292).collect();
    let actions = session.put(output(&ids, false)).1;
    assert_eq!(actions, [Action::FallBehind]);
    session.put(Input::Event(Event::Flushed));
    assert_eq!(session.put(output(&[8300], true)).1, []);
    assert_eq!(session.put(Input::Event(Event::Flushed)).1, []);
    assert_eq!(session.received(4000).1, [Action::Confirm(MsgId(4000))]);
    assert_eq!(
        session.received(4500).1,
        [Action::Confirm(MsgId(4500)), Action::Read(MsgId(8300))]
    );
}

#[test]
fn a_session_says_every_day_that_its_cursor_is_in_use() {
    let mut session = Harness::live();
    let day = Duration::from_secs(24 * 60 * 60);
    session.now.elapsed = day - INTERVAL;
    session.put(Input::Heard);
    assert_eq!(session.wait(INTERVAL).1, [Action::Confirm(MsgId(10))]);
    session.put(Input::Heard);
    assert_eq!(session.wait(INTERVAL).1, []);
}

#[test]
fn refused_frames_are_answered_and_good_ones_carried_out() {
    let mut session = Harness::live();
    let (queue, actions) = session.text("{}");
    assert!(queue.contains("invalid_field"));
    assert_eq!(actions, [WRONG]);
    let (queue, actions) = session.text(r#"{"toId":1,"type":10,"content":2}"#);
    assert!(queue.is_empty() && matches!(actions[..], [Action::Send(_)]));
    assert!(session.text("ping").0.ends_with("pong"));
}

#[test]
fn a_token_ends_at_its_time_or_when_it_is_revoked() {
    let (mut session, _) = Harness::new(Some(3_000));
    assert_eq!(
        session.machine.poll_timeout(session.now),
        Duration::from_secs(2)
    );
    assert_eq!(session.wait(Duration::from_millis(1_999)).1, []);
    assert_eq!(
        session.wait(Duration::from_millis(1)).1,
        [Action::End(End::Close(CloseReason::TokenExpired))]
    );

    let mut session = Harness::live();
    let recheck = Taken {
        recheck: true,
        ..Taken::default()
    };
    assert_eq!(session.put(Input::Taken(recheck)).1, [Action::CheckToken]);
    session.put(Input::Token(Validity::Until(2_000)));
    assert_eq!(
        session.machine.poll_timeout(session.now),
        Duration::from_secs(1)
    );
    assert_eq!(
        session.put(Input::Token(Validity::Ended)).1,
        [Action::End(End::Close(CloseReason::TokenRevoked))]
    );
}

#[test]
fn nothing_moves_after_the_end() {
    let mut session = Harness::live();
    session.put(output(&[30], false));
    let close = Taken {
        close: Some(CloseReason::Replaced),
        ..Taken::default()
    };
    assert_eq!(
        session.put(Input::Taken(close)).1,
        [Action::End(End::Close(CloseReason::Replaced))]
    );
    assert_eq!(session.pong("30"), []);
}

/// How often `act` succeeds, and the close that ends the session.
fn until_closed(mut act: impl FnMut(&mut Harness) -> Vec<Action>) -> (usize, u16, String) {
    let mut session = Harness::live_with(ReceiptMode::Manual);
    let closed = (0..20_000).find_map(|count| {
        let actions = act(&mut session);
        session.put(Input::Event(Event::Flushed));
        match actions.last() {
            Some(Action::End(End::Close(reason))) => {
                Some((count, reason.code(), reason.text().into_owned()))
            }
            _ => None,
        }
    });
    closed.expect("it goes on for ever")
}

#[test]
fn sends_that_stay_above_the_rate_end_the_session() {
    let over_rate = |session: &mut Harness| {
        let error = FrameError {
            code: ErrorCode::RateLimited,
            field: None,
            message: "too many".into(),
            client_msg_id: None,
        };
        let output = Output {
            errors: vec![error],
            ..Output::default()
        };
        let taken = Taken {
            output: Some(output),
            ..Taken::default()
        };
        session.put(Input::Taken(taken)).1
    };
    let text = "retry in 60000 ms: sends stay above the rate";
    assert_eq!(until_closed(over_rate), (100, 4529, text.into()));
}

#[test]
fn requests_that_go_on_end_the_session() {
    let repeat = |session: &mut Harness| {
        let output = Output {
            repeats: 1,
            ..Output::default()
        };
        let taken = Taken {
            output: Some(output),
            ..Taken::default()
        };
        session.put(Input::Taken(taken)).1
    };
    // An earlier session may have delivered a full window, and each delivery here adds one.
    let receipts = 6000 + 8192;
    let text = |text: &'static str| until_closed(|session| session.text(text).1);
    let requests = [
        (6000, text("{}")),
        (6000, text("ping")),
        (6000, text(r#"{"received":99}"#)),
        (receipts, text(r#"{"received":9}"#)),
        (6000, until_closed(repeat)),
        (
            6000,
            until_closed(|session| session.put(Input::Event(Event::Pinged(1))).1),
        ),
        (6000, until_closed(|session| session.pong("5"))),
    ];
    for (number, end) in requests {
        let text = "retry in 60000 ms: too many bad frames, repeats, pings, or Pongs and receipts that nothing asked for";
        assert_eq!(end, (number, 4529, text.into()));
    }
}

#[test]
fn who_answers_each_ping_and_confirms_each_message_goes_on() {
    let mut session = Harness::live_with(ReceiptMode::Manual);
    for id in 100..5000 {
        session.put(output(&[id], false));
        session.put(Input::Event(Event::Flushed));
        assert_eq!(session.received(id).1, [Action::Confirm(MsgId(id))]);
        session.wait(INTERVAL / 1000);
        session.put(Input::Heard);
    }
    for _ in 0..5000 {
        assert_ne!(session.wait(INTERVAL).0, "");
        session.put(Input::Event(Event::Flushed));
        session.put(Input::Heard);
        assert_eq!(session.pong("4999"), []);
    }
}

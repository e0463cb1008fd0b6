//! When Pings are sent and why, and when a peer counts as dead.
#![allow(clippy::unwrap_used)]

use super::*;

const PAUSE: Duration = Duration::from_millis(100);
const NOW: Duration = Duration::ZERO;
const NONE: [u64; 0] = [];

/// A Ping frame as lossy text.
fn ping(payload: &str) -> String {
    format!("\u{fffd}{}{payload}", char::from(payload.len() as u8))
}

impl Harness {
    /// Live deliveries in one batch. Returns the ids that the Pings behind them carry.
    fn burst(&mut self, ids: impl IntoIterator<Item = u64>) -> Vec<u64> {
        self.burst_of(ids, 1)
    }

    /// As `burst`, with deliveries of `bytes` bytes.
    fn burst_of(&mut self, ids: impl IntoIterator<Item = u64>, bytes: u32) -> Vec<u64> {
        let ids: Vec<u64> = ids.into_iter().collect();
        let mut input = output(&ids, false);
        if let Input::Taken(taken) = &mut input {
            let deliveries = &mut taken.output.as_mut().unwrap().deliveries;
            deliveries.iter_mut().for_each(|one| one.bytes = bytes);
        }
        let queue = self.put(input).0;
        self.put(Input::Event(Event::Flushed));
        let last = |part: &str| part.trim_end_matches('.').get(1..).map(str::parse);
        let pings = queue.split('\u{fffd}').skip(1).map(last);
        pings.map(|id| id.unwrap().unwrap()).collect()
    }

    /// Output after this time has passed.
    fn sent_after(&mut self, time: Duration) -> String {
        let queue = self.wait(time).0;
        self.put(Input::Event(Event::Flushed));
        queue
    }

    /// A Pong, and the output in answer to it.
    fn hears(&mut self, payload: u64) -> String {
        self.put(Input::Heard);
        let queue = self
            .put(Input::Event(Event::Pong(payload.to_string().into())))
            .0;
        self.put(Input::Event(Event::Flushed));
        queue
    }

    /// Asserts that the session ends at this time, and not a moment before.
    fn dies_in(&mut self, time: Duration) {
        let moment = Duration::from_millis(1);
        let deadline = self.now.elapsed + time;
        while self.now.elapsed + moment < deadline {
            let rest = deadline - moment - self.now.elapsed;
            let pause = self.machine.poll_timeout(self.now).min(rest);
            assert_eq!(
                self.wait(pause).1,
                [],
                "{:?} too early",
                deadline - self.now.elapsed
            );
            self.put(Input::Event(Event::Flushed));
        }
        let end = self.wait(moment).1;
        assert_eq!(end, [Action::End(End::Close(CloseReason::PingTimeout))]);
    }
}

#[test]
fn large_deliveries_are_asked_about_sooner() {
    let mut session = Harness::live();
    assert_eq!(session.burst(101..132).last(), Some(&131), "then after 32");
    assert_eq!(session.burst_of(132..142, 50 << 10), [134, 137, 140]);
    // The unpinged rest counts; what was pinged does not.
    assert_eq!(session.burst_of([142], 20 << 10), NONE);
    assert_eq!(session.burst_of([143], 60 << 10), [143]);
}

#[test]
fn a_ping_follows_the_first_of_a_burst_and_others_at_growing_distance() {
    let expected = [101, 103, 107, 115, 131, 163, 195, 227];
    // In one batch, in batches of one, from the store, and with one that ends between two.
    assert_eq!(Harness::live().burst(101..240), expected);
    let mut session = Harness::live();
    let pings = (101..240).flat_map(|id| session.burst([id]));
    assert_eq!(pings.collect::<Vec<_>>(), expected);
    let mut session = Harness::live();
    let batches = [101..104, 104..110, 110..240];
    let pings = batches.into_iter().flat_map(|ids| session.burst(ids));
    assert_eq!(pings.collect::<Vec<_>>(), expected);
    let (mut session, _) = Harness::new(None);
    let queue = session.put(read((101..240).map(message).collect())).0;
    let pings = expected.iter().map(|id| ping(&id.to_string()));
    assert_eq!(
        queue.matches("}\u{fffd}\u{3}").count(),
        expected.len(),
        "{queue}"
    );
    for (id, ping) in expected.iter().zip(pings) {
        assert!(
            queue.contains(&format!("\"msgId\":{id}}}{ping}")),
            "{id}: {queue}"
        );
    }
}

#[test]
fn while_one_is_under_way_the_next_waits_for_its_pong_or_the_distance() {
    let mut session = Harness::live();
    assert_eq!(session.burst([30]), [30]);
    assert_eq!(session.burst([31]), NONE);
    assert_eq!(session.sent_after(INTERVAL / 2), "", "one is under way");
    assert_eq!(session.hears(30), ping("31"), "after its Pong");
    assert_eq!(session.burst(32..35), NONE);
    assert_eq!(session.burst([35]), [35], "after four more");
    assert_eq!(session.burst([36]), NONE);
    assert_eq!(session.hears(31), "", "one is still under way");
    assert_eq!(session.sent_after(PAUSE), "");
    assert_eq!(session.hears(35), ping("36"));
}

#[test]
fn what_follows_a_pong_at_once_shares_a_ping() {
    let mut session = Harness::live();
    assert_eq!(session.burst([30]), [30]);
    assert_eq!(session.hears(30), "");
    assert_eq!(session.burst([31]), NONE);
    assert_eq!(session.machine.poll_timeout(session.now), PAUSE);
    assert_eq!(session.pong("31"), [], "it was not asked for");
    assert_eq!(session.sent_after(PAUSE), ping("31"));
    // Answering only the latest Ping confirms everything before it.
    let many: Vec<u64> = (40..72).collect();
    assert_eq!(session.burst(many), [43, 51, 67]);
    assert_eq!(session.pong("67"), [Action::Confirm(MsgId(67))]);
    assert_eq!(session.sent_after(PAUSE), ping("71"));
    assert_eq!(session.hears(71), "");
    assert_eq!(session.sent_after(PAUSE), "");
    assert_eq!(session.burst(80..83), [80, 82], "a new burst");
}

#[test]
fn a_stream_to_a_client_that_answers_at_once_has_few_pings() {
    let mut session = Harness::live();
    let mut pings = 0;
    // Five seconds with a message every millisecond.
    for id in 1000..6000 {
        let mut asked = session.burst([id]);
        let later = session.sent_after(Duration::from_millis(1));
        asked.extend(later.get(4..).map(|id| id.parse::<u64>().unwrap()));
        for id in asked {
            pings += 1;
            assert_eq!(session.hears(id), "");
        }
    }
    assert!((150..165).contains(&pings), "{pings} Pings");
}

#[test]
fn a_ping_that_is_not_answered_is_repeated_whatever_else_arrives() {
    let says: [fn(&mut Harness); 4] = [
        |session| drop(session.put(Input::Heard)),
        |session| drop(session.put(Input::Event(Event::Text("ping".into())))),
        |session| drop(session.put(Input::Event(Event::Pong(Vec::new())))),
        |session| drop(session.hears(30)),
    ];
    for say in says {
        let mut session = Harness::live();
        assert_eq!(session.burst(30..33), [30, 32]);
        for _ in 0..5 {
            for _ in 0..24 {
                session.put(Input::Heard);
                say(&mut session);
                session.put(Input::Event(Event::Flushed));
                assert_eq!(session.sent_after(INTERVAL / 25), "");
            }
            assert_eq!(session.sent_after(INTERVAL / 25), ping("32"));
        }
        assert_eq!(session.pong("32"), [Action::Confirm(MsgId(32))]);
        session.put(Input::Heard);
        assert_eq!(session.sent_after(INTERVAL / 2), "", "all is confirmed");
    }
}

#[test]
fn a_repeat_asks_about_the_newest() {
    let mut session = Harness::live();
    assert_eq!(session.burst(30..32), [30]);
    assert_eq!(session.sent_after(INTERVAL), ping("31"));
}

#[test]
fn repeats_do_not_pile_up_before_a_peer_that_takes_nothing() {
    let mut session = Harness::live();
    session.put(output(&[30, 31, 32], false));
    for _ in 0..20 {
        session.put(Input::Heard);
        assert_eq!(session.wait(INTERVAL).0, "", "one waits to leave");
    }
    session.put(Input::Event(Event::Flushed));
    assert_eq!(session.sent_after(INTERVAL), ping("32"));
    session.put(output(&[33, 34, 35, 36], false));
    // It was alive a moment ago, and then takes and says nothing more.
    session.put(Input::Heard);
    let (last, dead) = (INTERVAL * 2, INTERVAL * 4);
    assert_eq!(session.wait(last).1, []);
    let end = session.wait(dead - last).1;
    assert_eq!(end, [Action::End(End::Close(CloseReason::PingTimeout))]);
}

#[test]
fn with_manual_receipts_pings_ask_for_life_alone() {
    let mut session = Harness::live_with(ReceiptMode::Manual);
    assert_eq!(session.burst(30..130), NONE);
    assert_eq!(session.sent_after(INTERVAL), ping("129"));
    session.put(Input::Heard);
    assert_eq!(session.sent_after(INTERVAL - PAUSE), "");
    assert_eq!(session.sent_after(PAUSE), ping("129"));
}

#[test]
fn silence_is_pinged_twice_and_then_ends_the_session() {
    let mut session = Harness::live();
    assert_eq!(session.machine.poll_timeout(session.now), INTERVAL);
    assert_eq!(session.sent_after(INTERVAL), ping(""));
    assert_eq!(session.machine.poll_timeout(session.now), INTERVAL);
    session.put(Input::Heard);
    let again = session.sent_after(INTERVAL);
    assert_eq!(again, ping(""), "it lives: from the start");
    assert_eq!(session.sent_after(INTERVAL), ping(""));
    let end = session.wait(INTERVAL).1;
    assert_eq!(end, [Action::End(End::Close(CloseReason::PingTimeout))]);
    let after = session.put(Input::Event(Event::Text("ping".into())));
    assert_eq!(after, (String::new(), vec![]), "it is over");
}

#[test]
fn an_app_that_works_on_a_delivery_has_three_intervals_for_it() {
    // However long before the delivery it was last heard.
    for quiet in [NOW, INTERVAL / 2, INTERVAL - PAUSE] {
        for burst in [30..31, 30..38, 30..60] {
            let mut session = Harness::live();
            session.put(Input::Heard);
            session.sent_after(quiet);
            assert_eq!(session.burst(burst)[0], 30);
            session.dies_in(INTERVAL * 3);
        }
    }
    // A minute's work on each of two, at 25 s: the first is confirmed.
    let mut session = Harness::live();
    session.burst(30..34);
    for pause in [INTERVAL, INTERVAL, INTERVAL * 2 / 5] {
        session.sent_after(pause);
    }
    assert_eq!(session.pong("30"), [Action::Confirm(MsgId(30))]);
    session.put(Input::Heard);
    session.dies_in(INTERVAL * 18 / 5);
    // A peer that was silent before was pinged then.
    let mut session = Harness::live();
    assert_eq!(session.sent_after(INTERVAL), ping(""));
    assert_eq!(session.burst(30..34), [30, 32]);
    session.dies_in(INTERVAL * 2);
}

#[test]
fn pongs_without_the_payload_end_a_session_whose_window_is_full() {
    let window = Window {
        messages_max: 8,
        bytes_max: 1000,
    };
    let begin = |mode| {
        let (mut session, _) = Harness::with(|start| {
            start.window = window;
            start.receipts = mode;
        });
        session.put(read((101..109).map(message).collect()));
        session.put(Input::Event(Event::Flushed));
        session
    };
    let foreign = |session: &mut Harness| {
        session.put(Input::Heard);
        session.pong("")
    };
    let mut session = begin(ReceiptMode::Auto);
    for _ in 0..2 {
        assert_eq!(foreign(&mut session), []);
        session.sent_after(INTERVAL);
    }
    let end = foreign(&mut session);
    assert_eq!(end, [Action::End(End::Close(CloseReason::NoReceipts))]);
    assert!(CloseReason::NoReceipts.text().contains("receipts=manual"));
    // One that has ever confirmed anything is at work; one that confirms by itself is another
    // matter.
    let mut at_work = begin(ReceiptMode::Auto);
    assert_eq!(at_work.pong("101"), [Action::Confirm(MsgId(101))]);
    for mut session in [at_work, begin(ReceiptMode::Manual)] {
        for _ in 0..6 {
            assert_eq!(foreign(&mut session), []);
            session.sent_after(INTERVAL);
        }
    }
}

#[test]
fn a_late_answer_to_a_ping_without_a_payload_is_no_pong_without_one() {
    let (mut session, _) = Harness::with(|start| start.window.messages_max = 8);
    for _ in 0..2 {
        assert_eq!(session.sent_after(INTERVAL), ping(""));
    }
    session.put(read((101..109).map(message).collect()));
    session.put(Input::Event(Event::Flushed));
    for _ in 0..2 {
        session.put(Input::Heard);
        assert_eq!(session.pong(""), []);
        session.sent_after(INTERVAL);
        session.sent_after(INTERVAL);
    }
    // None is left for this one to answer.
    session.put(Input::Heard);
    assert_eq!(session.pong(""), []);
    session.sent_after(INTERVAL);
    session.sent_after(INTERVAL);
    let end = session.pong("");
    assert_eq!(end, [Action::End(End::Close(CloseReason::NoReceipts))]);
}

/// Queued because of a sign of life that came along with the flush.
#[test]
fn a_ping_behind_output_that_has_left_is_still_to_leave() {
    let mut session = Harness::live();
    session.put(output(&[30, 31], false));
    session.now.elapsed += INTERVAL;
    for input in [Input::Heard, Input::Event(Event::Flushed)] {
        session.machine.handle(input, session.now);
    }
    let queued = session.machine.poll_output().unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&queued), ping("31"));
    assert!(session.machine.is_writing());
    session.put(Input::Event(Event::Flushed));
    assert!(!session.machine.is_writing());
}

//! Unconfirmed deliveries of a session, and the cursor that receipts move.
//!
//! Invariants:
//! - the cursor only moves up, and only by a receipt for a message delivered here, or over messages
//!   for other devices while nothing below them awaits its receipt;
//! - unconfirmed deliveries are bounded: nothing more is delivered beyond the window.

use std::collections::VecDeque;
use std::time::Duration;

use super::interface::Window;
use crate::model::MsgId;
use crate::protocol::login::ReceiptMode;

/// Digits of the largest `msgId`.
const DIGITS_MAX: usize = 16;

#[derive(Debug)]
struct Delivery {
    id: MsgId,
    bytes: u32,
    /// Whether a Ping has carried this id.
    pinged: bool,
}

/// What Pings have to ask about: nothing if the application confirms.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Owed {
    pub(super) unconfirmed: usize,
    /// Those among them that no Ping has covered.
    pub(super) unpinged: usize,
    pub(super) unpinged_bytes: usize,
}

/// A receipt for a message not delivered here, and the nearest id that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotDelivered(pub(super) Option<MsgId>);

#[derive(Debug, Default)]
pub(super) struct Receipts {
    mode: ReceiptMode,
    window: Window,
    cursor: MsgId,
    /// The cursor last reported.
    reported: MsgId,
    /// Lower bound of deliveries (exclusive).
    start: MsgId,
    /// Id of the last delivery.
    delivered: MsgId,
    unconfirmed: VecDeque<Delivery>,
    bytes: usize,
    paused: bool,
    unpinged: usize,
    unpinged_bytes: usize,
    /// The last delivery of this session that was confirmed; 0 if none.
    confirmed: MsgId,
    /// Pings without a payload that may still be answered.
    blank_pings: u32,
    /// Time of the first Pong that was no receipt, with the window full and nothing ever confirmed.
    unheeded_since: Option<Duration>,
}

impl Receipts {
    /// For a device whose cursor is `cursor`, with deliveries above `start`.
    pub(super) fn new(mode: ReceiptMode, window: Window, cursor: MsgId, start: MsgId) -> Self {
        Self {
            mode,
            window,
            cursor,
            reported: cursor,
            start,
            ..Self::default()
        }
    }

    pub(super) fn cursor(&self) -> MsgId {
        self.cursor
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Records a delivery with a frame of `bytes` bytes.
    pub(super) fn delivered(&mut self, id: MsgId, bytes: u32) {
        self.delivered = id;
        self.bytes += bytes as usize;
        self.unpinged += 1;
        self.unpinged_bytes += bytes as usize;
        self.unconfirmed.push_back(Delivery {
            id,
            bytes,
            pinged: false,
        });
        self.paused |= self.fills(1, 1);
    }

    /// Whether more may be delivered: the window is not full and, once it was, has drained to half.
    /// `stretched` doubles the window.
    pub(super) fn has_room(&self, stretched: bool) -> bool {
        !self.paused || stretched && !self.fills(2, 1)
    }

    /// Whether unconfirmed deliveries fill `times / parts` of the window.
    fn fills(&self, times: usize, parts: usize) -> bool {
        let Window {
            messages_max,
            bytes_max,
        } = self.window;
        self.unconfirmed.len() >= messages_max * times / parts
            || self.bytes >= bytes_max * times / parts
    }

    /// What Pings have to ask about.
    pub(super) fn owed(&self) -> Owed {
        match self.mode {
            ReceiptMode::Auto => Owed {
                unconfirmed: self.unconfirmed.len(),
                unpinged: self.unpinged,
                unpinged_bytes: self.unpinged_bytes,
            },
            ReceiptMode::Manual => Owed::default(),
        }
    }

    /// Whether the last Ping follows everything delivered.
    pub(super) fn is_asked(&self) -> bool {
        self.unpinged == 0
    }

    /// The payload of a Ping sent now: the last delivered `msgId`, or empty if there is none.
    pub(super) fn ping(&mut self) -> Vec<u8> {
        self.unpinged = 0;
        self.unpinged_bytes = 0;
        if let Some(last) = self.unconfirmed.back_mut() {
            last.pinged = true;
        }
        match self.delivered {
            MsgId::ZERO => {
                self.blank_pings += 1;
                Vec::new()
            }
            id => id.to_string().into_bytes(),
        }
    }

    /// Handles a Pong, which counts only as the answer to a Ping that was sent. Returns how long
    /// the window has been full with Pongs arriving and none ever confirming anything.
    pub(super) fn pong(&mut self, payload: &[u8], now: Duration) -> Duration {
        let asked = |delivery: &Delivery| delivery.pinged;
        if let (ReceiptMode::Auto, Some(id)) = (self.mode, decimal(payload))
            && let Ok(at) = self.position(id)
            && self.unconfirmed.get(at).is_some_and(asked)
        {
            self.confirm_through(at);
        }
        // A slow app may answer late the Pings sent before its first delivery.
        let answers_blank = payload.is_empty() && self.blank_pings > 0;
        self.blank_pings -= u32::from(answers_blank);
        if self.mode == ReceiptMode::Manual
            || self.confirmed > MsgId::ZERO
            || !self.paused
            || answers_blank
        {
            return Duration::ZERO;
        }
        now - *self.unheeded_since.get_or_insert(now)
    }

    /// Handles a receipt from the application. Ids at or below the cursor are confirmed already,
    /// and at its login the client declared those at or below the start as processed.
    pub(super) fn received(&mut self, id: MsgId) -> Result<(), NotDelivered> {
        match self.position(id) {
            Ok(at) => self.confirm_through(at),
            Err(at) if id > self.cursor.max(self.start) => {
                return Err(NotDelivered(self.nearest(id, at)));
            }
            Err(_) => {}
        }
        self.cursor = self.cursor.max(id);
        Ok(())
    }

    /// Everything up to `position` was delivered, or is for another device. Returns the cursor if
    /// it moved since the last call.
    pub(super) fn moved(&mut self, position: MsgId) -> Option<MsgId> {
        // Messages between the cursor and a later start were neither delivered nor confirmed here.
        if self.unconfirmed.is_empty() && self.cursor >= self.start {
            self.cursor = self.cursor.max(position);
        }
        let moved = self.cursor > self.reported;
        self.reported = self.cursor;
        moved.then_some(self.cursor)
    }

    fn position(&self, id: MsgId) -> Result<usize, usize> {
        self.unconfirmed
            .binary_search_by_key(&id, |delivery| delivery.id)
    }

    /// The delivery nearest to `id`, which would be at index `at` of the unconfirmed ones.
    fn nearest(&self, id: MsgId, at: usize) -> Option<MsgId> {
        let unconfirmed = |at| {
            self.unconfirmed
                .get(at)
                .map(|delivery: &Delivery| delivery.id)
        };
        let below = match at.checked_sub(1) {
            Some(at) => unconfirmed(at),
            None => Some(self.confirmed).filter(|id| *id > MsgId::ZERO),
        };
        let around = below.into_iter().chain(unconfirmed(at));
        around.min_by_key(|near| near.0.abs_diff(id.0))
    }

    fn confirm_through(&mut self, at: usize) {
        for delivery in self.unconfirmed.drain(..=at) {
            self.bytes -= delivery.bytes as usize;
            self.confirmed = delivery.id;
            // A login may begin below its cursor.
            self.cursor = self.cursor.max(delivery.id);
        }
        self.unpinged = self.unpinged.min(self.unconfirmed.len());
        self.unpinged_bytes = self.unpinged_bytes.min(self.bytes);
        self.paused &= self.fills(1, 2);
        if self.unconfirmed.is_empty() {
            // A session without unconfirmed deliveries holds no memory here.
            self.unconfirmed = VecDeque::new();
        }
    }
}

/// Parses a `msgId` from the payload of a Ping.
fn decimal(payload: &[u8]) -> Option<MsgId> {
    let digits = payload.len() <= DIGITS_MAX && payload.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(payload).ok().filter(|_| digits)?;
    let canonical = !text.starts_with('0');
    text.parse().ok().filter(|_| canonical).map(MsgId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts(mode: ReceiptMode, ids: &[u64]) -> Receipts {
        let mut receipts = Receipts::new(mode, Window::default(), MsgId(5), MsgId(5));
        for id in ids {
            receipts.delivered(MsgId(*id), 100);
        }
        receipts
    }

    #[test]
    fn a_pong_counts_for_what_a_ping_has_asked() {
        let mut receipts = receipts(ReceiptMode::Auto, &[10, 20]);
        receipts.pong(b"20", Duration::ZERO);
        assert_eq!(receipts.cursor(), MsgId(5), "nobody has asked");
        assert_eq!(receipts.ping(), b"20");
        receipts.delivered(MsgId(30), 100);
        for junk in [
            &b""[..],
            b"10",
            b"30",
            b"020",
            b"+20",
            b"20 ",
            b"99999999999999999999",
        ] {
            receipts.pong(junk, Duration::ZERO);
            assert_eq!(receipts.moved(MsgId(30)), None, "{junk:?}");
        }
        receipts.pong(b"20", Duration::ZERO);
        assert_eq!(receipts.moved(MsgId(30)), Some(MsgId(20)));
        assert_eq!(receipts.moved(MsgId(30)), None);
        assert_eq!(receipts.owed().unpinged, 1);
        assert_eq!(receipts.ping(), b"30");
        receipts.pong(b"30", Duration::ZERO);
        assert_eq!(
            receipts.moved(MsgId(35)),
            Some(MsgId(35)),
            "31 to 35 are not for this device"
        );
    }

    #[test]
    fn with_manual_receipts_a_pong_moves_nothing() {
        let mut receipts = receipts(ReceiptMode::Manual, &[10, 20]);
        assert_eq!(receipts.owed().unpinged, 0);
        assert_eq!(receipts.ping(), b"20");
        receipts.pong(b"20", Duration::ZERO);
        assert_eq!(receipts.cursor(), MsgId(5));
    }

    #[test]
    fn the_applications_receipts_are_cumulative_and_name_deliveries() {
        for mode in [ReceiptMode::Auto, ReceiptMode::Manual] {
            let mut receipts = receipts(mode, &[10, 20, 30]);
            let not_delivered = |near| Err(NotDelivered(Some(MsgId(near))));
            let table = [
                (31, not_delivered(30), 5),
                (14, not_delivered(10), 5),
                (16, not_delivered(20), 5),
                (6, not_delivered(10), 5),
                (20, Ok(()), 20),
                (20, Ok(()), 20),
                (7, Ok(()), 20),
                (24, not_delivered(20), 20),
                (26, not_delivered(30), 20),
                (30, Ok(()), 30),
                (31, not_delivered(30), 30),
            ];
            for (id, outcome, cursor) in table {
                assert_eq!(receipts.received(MsgId(id)), outcome, "{id}");
                assert_eq!(receipts.cursor(), MsgId(cursor), "{id}");
            }
        }
    }

    #[test]
    fn where_nothing_was_delivered_nothing_is_near() {
        let mut receipts = receipts(ReceiptMode::Manual, &[]);
        assert_eq!(receipts.received(MsgId(6)), Err(NotDelivered(None)));
    }

    #[test]
    fn what_a_later_start_leaves_out_is_confirmed_by_receipts_alone() {
        let mut receipts =
            Receipts::new(ReceiptMode::Manual, Window::default(), MsgId(5), MsgId(8));
        assert_eq!(receipts.moved(MsgId(9)), None);
        assert_eq!(
            receipts.received(MsgId(7)),
            Ok(()),
            "the client says so itself"
        );
        assert_eq!(receipts.moved(MsgId(9)), Some(MsgId(7)));
        receipts.delivered(MsgId(10), 1);
        assert_eq!(receipts.received(MsgId(10)), Ok(()));
        assert_eq!(receipts.moved(MsgId(11)), Some(MsgId(11)));
    }

    #[test]
    fn what_is_delivered_below_the_cursor_is_confirmed_as_well() {
        for mode in [ReceiptMode::Auto, ReceiptMode::Manual] {
            let mut receipts = Receipts::new(mode, Window::default(), MsgId(20), MsgId(5));
            for id in [10, 20] {
                receipts.delivered(MsgId(id), 100);
                match mode {
                    ReceiptMode::Auto => {
                        let ping = receipts.ping();
                        receipts.pong(&ping, Duration::ZERO);
                    }
                    ReceiptMode::Manual => assert_eq!(receipts.received(MsgId(id)), Ok(())),
                }
                assert!(receipts.unconfirmed.is_empty());
                assert_eq!(receipts.cursor(), MsgId(20));
            }
        }
    }

    #[test]
    fn the_window_closes_when_full_and_opens_when_half_of_it_is_confirmed() {
        let window = Window {
            messages_max: 10,
            bytes_max: 1000,
        };
        for (count, bytes) in [(10, 1), (4, 250)] {
            let mut receipts = Receipts::new(ReceiptMode::Manual, window, MsgId(0), MsgId(0));
            for id in 1..=count {
                assert!(receipts.has_room(false));
                receipts.delivered(MsgId(id), bytes);
            }
            assert!(!receipts.has_room(false) && receipts.has_room(true));
            assert_eq!(receipts.received(MsgId(count / 2 - 1)), Ok(()));
            assert!(!receipts.has_room(false));
            assert_eq!(receipts.received(MsgId(count / 2 + 1)), Ok(()));
            assert!(receipts.has_room(false));
        }
    }
}

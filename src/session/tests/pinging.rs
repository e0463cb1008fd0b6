//! An outside view of Pings: those a session owes its client, those it may not send, and when it
//! may, and must, take the client for dead.

use proptest::prop_assert;

use super::case::{Checked, Facts};

/// Minimum time between Pings for receipts, unless the distance is reached.
const PAUSE_MS: u64 = 100;

/// Most deliveries between two Pings.
const DISTANCE_MAX: usize = 32;

/// Deliveries of a session at the time of an event.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) delivered: usize,
    pub(super) confirmed: usize,
    /// Deliveries pause for lack of receipts.
    pub(super) full: bool,
    /// The number confirmed is not known exactly.
    pub(super) unsure: bool,
}

pub(super) struct Pinging {
    manual: bool,
    interval_ms: u64,
    life_ms: u64,
    last_ms: u64,
    /// Number of deliveries before the last Ping.
    asked: usize,
    /// Time of the last Ping that covered new deliveries.
    asked_ms: Option<u64>,
    distance: usize,
    /// Only a Ping may follow.
    due: bool,
    /// Time of the first Ping since the last sign of life.
    unanswered_ms: Option<u64>,
    /// A Ping may be waiting for the stream. If not, `left_ms` is when everything had left.
    waits: bool,
    left_ms: u64,
}

impl Pinging {
    pub(super) fn new(facts: &Facts) -> Self {
        Self {
            manual: facts.manual,
            interval_ms: facts.settings.interval_ms,
            life_ms: facts.began_ms,
            last_ms: facts.began_ms,
            asked: 0,
            asked_ms: None,
            distance: 1,
            due: false,
            unanswered_ms: None,
            waits: false,
            left_ms: facts.began_ms,
        }
    }

    pub(super) fn alive(&mut self, now_ms: u64) {
        self.life_ms = now_ms;
        self.unanswered_ms = None;
    }

    /// The session waits, and all its output has left.
    pub(super) fn all_left(&mut self, now_ms: u64) {
        if self.waits {
            self.waits = false;
            self.left_ms = now_ms;
        }
    }

    /// Output other than a Ping is queued.
    pub(super) fn check_not_due(&self) -> Checked {
        prop_assert!(!self.due, "no Ping at the distance for one");
        Ok(())
    }

    /// A delivery is queued, counted in `counts`.
    pub(super) fn delivered(&mut self, counts: Counts, now_ms: u64) {
        if counts.delivered == counts.confirmed + 1 && self.is_rested(now_ms) {
            self.distance = 1;
        }
        self.due = !self.manual && !counts.unsure && self.unasked(counts) >= self.distance;
    }

    /// A Ping is queued behind `counts` deliveries.
    pub(super) fn ping(&mut self, counts: Counts, now_ms: u64) -> Checked {
        let unasked = self.unasked(counts);
        let (since_ms, under_way) = (now_ms - self.last_ms, self.is_under_way(counts));
        if self.manual || unasked == 0 {
            let repeat = !self.manual && counts.confirmed < counts.delivered;
            let silent_ms = now_ms - self.life_ms.max(self.last_ms);
            let ms = if repeat || counts.unsure {
                since_ms
            } else {
                silent_ms
            };
            prop_assert!(ms >= self.interval_ms, "a Ping after {ms} ms");
        } else {
            let in_time = self.is_rested(now_ms) && !under_way || since_ms >= self.interval_ms;
            let at_distance = unasked >= self.distance;
            prop_assert!(
                in_time || at_distance || counts.full || counts.unsure,
                "a Ping {since_ms} ms and {unasked} deliveries after the last"
            );
        }
        if unasked > 0 {
            self.asked_ms = Some(now_ms);
            self.distance = DISTANCE_MAX.min(2 * self.distance);
        }
        self.asked = counts.delivered;
        self.last_ms = now_ms;
        self.due = false;
        self.waits = true;
        self.unanswered_ms.get_or_insert(now_ms);
        Ok(())
    }

    /// Nothing more happens before time passes. `deaf`: the session may have counted this as life.
    pub(super) fn check_time(&self, counts: Counts, now_ms: u64, deaf: bool) -> Checked {
        let (interval_ms, asks) = (self.interval_ms, !self.manual && !counts.unsure);
        if asks && self.unasked(counts) > 0 && !self.is_under_way(counts) {
            prop_assert!(
                !self.is_rested(now_ms),
                "no Ping for what the last left out"
            );
        }
        let asked_ms = self.last_ms.max(self.left_ms);
        if asks && counts.confirmed < counts.delivered && !self.waits {
            prop_assert!(now_ms < asked_ms + interval_ms, "no Ping again");
        }
        if deaf {
            return Ok(());
        }
        // A partial frame counts as a sign of life at the next input.
        let silent_ms = self.life_ms.max(asked_ms) + 2 * interval_ms;
        prop_assert!(self.waits || now_ms < silent_ms, "no Ping to a silent peer");
        let dead_ms = match self.unanswered_ms {
            Some(at_ms) => at_ms + 3 * interval_ms,
            None => self.life_ms + 5 * interval_ms,
        };
        prop_assert!(now_ms < dead_ms, "a dead peer's session goes on");
        Ok(())
    }

    /// Whether the client has been silent for so long that its session may end.
    pub(super) fn is_dead(&self, now_ms: u64) -> bool {
        let interval_ms = self.interval_ms;
        let asked = match self.unanswered_ms {
            Some(at_ms) if at_ms < self.life_ms + interval_ms => now_ms >= at_ms + 3 * interval_ms,
            Some(at_ms) => now_ms >= at_ms + 2 * interval_ms,
            None => self.waits,
        };
        asked && now_ms >= self.life_ms + 3 * interval_ms
    }

    fn unasked(&self, counts: Counts) -> usize {
        let confirmed = if counts.unsure { 0 } else { counts.confirmed };
        counts.delivered - confirmed.max(self.asked)
    }

    /// Whether a Ping has asked for a delivery that is not confirmed.
    fn is_under_way(&self, counts: Counts) -> bool {
        counts.confirmed < self.asked
    }

    fn is_rested(&self, now_ms: u64) -> bool {
        self.asked_ms.is_none_or(|at_ms| now_ms >= at_ms + PAUSE_MS)
    }
}

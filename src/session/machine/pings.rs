//! When to send a Ping, and when the peer counts as dead.
//!
//! A Ping asks for the receipt of deliveries, or for a sign of life from a silent peer. Anything
//! heard from the peer counts as a sign of life.
//!
//! Many libraries read only when their app asks for the next message, and reach a Ping once the app
//! has worked through everything before it. The first Ping therefore follows the first delivery
//! directly, and later ones at growing distance. Other libraries answer only the first of several
//! pending Pings. Pings are therefore few, and an unanswered one is repeated alone.

use std::time::Duration;

use super::receipts::Owed;

/// Most deliveries between two Pings.
const DISTANCE_MAX: usize = 32;

/// Bytes of deliveries that also make a full distance: a slow network may take as long for them as
/// an app takes for its work, with no sign of life meanwhile.
const DISTANCE_BYTES: usize = 128 << 10;

/// Minimum time between Pings for receipts, unless the distance is reached.
const PAUSE: Duration = Duration::from_millis(100);

/// Intervals after an unanswered Ping until a silent peer counts as dead.
const INTERVALS_SILENT: u32 = 2;

/// The same after a Ping behind a delivery, which a busy app leaves unanswered for a while.
const INTERVALS_AT_WORK: u32 = 3;

/// The Pings of one session. Times count from its beginning.
#[derive(Debug)]
pub(super) struct Pings {
    interval: Duration,
    heard_at: Duration,
    /// Time of the last Ping.
    sent_at: Option<Duration>,
    /// Time of the first Ping since the peer was last heard.
    unanswered_since: Option<Duration>,
    /// Time of the last Ping that covered new deliveries.
    asked_at: Option<Duration>,
    /// Deliveries after which the next Ping follows at once.
    distance: usize,
}

impl Pings {
    /// Pings after `interval` without a sign of life.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            heard_at: Duration::ZERO,
            sent_at: None,
            unanswered_since: None,
            asked_at: None,
            distance: 1,
        }
    }

    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
        self.unanswered_since = None;
    }

    pub(super) fn sent(&mut self, owed: Owed, now: Duration) {
        self.sent_at = Some(now);
        self.unanswered_since.get_or_insert(now);
        if owed.unpinged > 0 {
            self.asked_at = Some(now);
            self.distance = DISTANCE_MAX.min(self.distance * 2);
        }
    }

    /// Whether a Ping must follow the delivery just counted in `owed`.
    pub(super) fn delivery_due(&mut self, owed: Owed, now: Duration) -> bool {
        if owed.unconfirmed == 1 && self.rest_at() <= now {
            // A burst begins.
            self.distance = 1;
        }
        owed.unpinged >= self.distance || owed.unpinged_bytes >= DISTANCE_BYTES
    }

    /// Whether a Ping is due, for deliveries after the last one or for a sign of life.
    pub(super) fn due(&self, owed: Owed, now: Duration) -> bool {
        self.due_at(owed) <= now
    }

    /// Whether the peer has been silent for too long.
    pub(super) fn is_dead(&self, now: Duration) -> bool {
        self.dead_at().is_some_and(|at| at <= now)
    }

    /// Time of the next check.
    pub(super) fn wake_at(&self, owed: Owed) -> Duration {
        let due_at = self.due_at(owed);
        self.dead_at().map_or(due_at, |at| at.min(due_at))
    }

    fn due_at(&self, owed: Owed) -> Duration {
        let sent_at = self.sent_at.unwrap_or_default();
        match owed {
            Owed { unconfirmed: 0, .. } => self.heard_at.max(sent_at) + self.interval,
            // No Ping is pending.
            Owed {
                unconfirmed,
                unpinged,
                ..
            } if unconfirmed == unpinged => self.rest_at(),
            // Repeated whatever was heard: the peer may have skipped this Ping for an earlier one.
            _ => sent_at + self.interval,
        }
    }

    fn rest_at(&self) -> Duration {
        self.asked_at.map_or(Duration::ZERO, |at| at + PAUSE)
    }

    fn dead_at(&self) -> Option<Duration> {
        let since = self.unanswered_since?;
        let intervals = match since >= self.heard_at + self.interval {
            true => INTERVALS_SILENT,
            false => INTERVALS_AT_WORK,
        };
        Some(since + self.interval * intervals)
    }
}

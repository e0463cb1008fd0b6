//! When to send a Ping, and when its peer counts as dead.
//!
//! A Ping asks for the receipt of deliveries, or for a sign of life from a peer that is silent.
//! Anything that is heard from the peer answers it, as far as its life is concerned.
//!
//! Many libraries read only when their app asks for the next message: they come to a Ping once the app
//! has worked on all that stands before it. So the first Ping stands directly behind the first delivery,
//! and further ones at growing distance. Others answer only the first of several Pings that wait
//! together: so there are few, and one that is not answered is repeated alone.

use std::time::Duration;

use super::receipts::Owed;

/// Most deliveries between two Pings.
const DISTANCE_MAX: usize = 32;

/// So many bytes of deliveries are a distance, too: a slow network may take as long for them as an app
/// for its work, and shows no sign of life meanwhile.
const DISTANCE_BYTES: usize = 128 << 10;

/// From a Ping for receipts to the next, unless deliveries are at the distance for it.
const PAUSE: Duration = Duration::from_millis(100);

/// Intervals after an unanswered Ping to a silent peer at which that counts as dead.
const INTERVALS_SILENT: u32 = 2;

/// The same after a Ping behind a delivery, which an app that works on it leaves unanswered meanwhile.
const INTERVALS_AT_WORK: u32 = 3;

/// The Pings of one session. Times are since its beginning.
#[derive(Debug)]
pub(super) struct Pings {
    interval: Duration,
    heard_at: Duration,
    /// The last Ping.
    sent_at: Option<Duration>,
    /// The first Ping since the peer was heard.
    unanswered_since: Option<Duration>,
    /// The last Ping that asked about a delivery which none had asked about.
    asked_at: Option<Duration>,
    /// After so many deliveries the next Ping follows at once.
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

    /// The peer lives.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
        self.unanswered_since = None;
    }

    /// A Ping leaves.
    pub(super) fn sent(&mut self, owed: Owed, now: Duration) {
        self.sent_at = Some(now);
        self.unanswered_since.get_or_insert(now);
        if owed.unpinged > 0 {
            self.asked_at = Some(now);
            self.distance = DISTANCE_MAX.min(self.distance * 2);
        }
    }

    /// Whether a Ping is to follow the delivery that has just made `owed` what it is.
    pub(super) fn delivery_due(&mut self, owed: Owed, now: Duration) -> bool {
        if owed.unconfirmed == 1 && self.rest_at() <= now {
            // A burst begins.
            self.distance = 1;
        }
        owed.unpinged >= self.distance || owed.unpinged_bytes >= DISTANCE_BYTES
    }

    /// Whether a Ping is due for what the last one has left out, or for a sign of life.
    pub(super) fn due(&self, owed: Owed, now: Duration) -> bool {
        self.due_at(owed) <= now
    }

    /// Whether the peer has answered nothing for too long.
    pub(super) fn is_dead(&self, now: Duration) -> bool {
        self.dead_at().is_some_and(|at| at <= now)
    }

    /// When to look again.
    pub(super) fn wake_at(&self, owed: Owed) -> Duration {
        let due_at = self.due_at(owed);
        self.dead_at().map_or(due_at, |at| at.min(due_at))
    }

    fn due_at(&self, owed: Owed) -> Duration {
        let sent_at = self.sent_at.unwrap_or_default();
        match owed {
            Owed { unconfirmed: 0, .. } => self.heard_at.max(sent_at) + self.interval,
            // None is under way.
            Owed {
                unconfirmed,
                unpinged,
                ..
            } if unconfirmed == unpinged => self.rest_at(),
            // Again, whatever was heard: it may have been passed over for one before it.
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

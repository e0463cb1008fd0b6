//! When to send a Ping, and when its peer counts as dead.
//!
//! A Ping asks for the receipt of deliveries, or for a sign of life from a peer that is silent.
//! Anything that is heard from the peer answers it, as far as its life is concerned.

use std::time::Duration;

/// As many deliveries get a Ping at once.
const RECEIPTS_MAX: usize = 32;

/// Between two Pings that ask for receipts, unless there are many to ask for.
const RECEIPTS_PAUSE: Duration = Duration::from_millis(100);

/// Intervals after an unanswered Ping at which its peer counts as dead.
const INTERVALS_UNANSWERED: u32 = 2;

/// The Pings of one session. Times are since its beginning.
#[derive(Debug)]
pub(super) struct Pings {
    interval: Duration,
    heard_at: Duration,
    /// The last Ping.
    sent_at: Option<Duration>,
    /// The first Ping since the peer was heard.
    unanswered_since: Option<Duration>,
    /// When the next Ping for receipts is to be sent.
    receipts_at: Option<Duration>,
}

impl Pings {
    /// Pings after `interval` without a sign of life.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            heard_at: Duration::ZERO,
            sent_at: None,
            unanswered_since: None,
            receipts_at: None,
        }
    }

    /// The peer lives.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
        self.unanswered_since = None;
    }

    /// A Ping leaves.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent_at = Some(now);
        self.unanswered_since.get_or_insert(now);
        self.receipts_at = None;
    }

    /// Whether a Ping for so many deliveries is due. The first goes out at once, with its delivery in
    /// one write; those that follow closely wait for one another.
    pub(super) fn receipts_due(&mut self, deliveries: usize, now: Duration) -> bool {
        if deliveries == 0 {
            self.receipts_at = None;
            return false;
        }
        let at = self.sent_at.map_or(now, |sent_at| sent_at + RECEIPTS_PAUSE);
        self.receipts_at = Some(at);
        deliveries >= RECEIPTS_MAX || at <= now
    }

    /// Whether a Ping for a sign of life is due.
    pub(super) fn life_due(&self, now: Duration) -> bool {
        self.life_at() <= now
    }

    /// Whether the peer has answered nothing for too long.
    pub(super) fn is_dead(&self, now: Duration) -> bool {
        self.dead_at().is_some_and(|at| at <= now)
    }

    /// When to look again.
    pub(super) fn wake_at(&self) -> Duration {
        let others = [self.receipts_at, self.dead_at()];
        others
            .into_iter()
            .flatten()
            .fold(self.life_at(), Duration::min)
    }

    fn life_at(&self) -> Duration {
        self.heard_at.max(self.sent_at.unwrap_or_default()) + self.interval
    }

    fn dead_at(&self) -> Option<Duration> {
        let since = self.unanswered_since?;
        Some(since + self.interval * INTERVALS_UNANSWERED)
    }
}

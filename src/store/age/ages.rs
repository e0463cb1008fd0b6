//! Ages of ids and stamps at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::span::{Span, micros};
use crate::model::MsgId;

/// Ages at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Ages {
    now_us: u64,
    /// The wall clock at that moment.
    wall_us: u64,
    /// The age time since which age is held.
    held_us: Option<u64>,
    spans: Arc<Vec<Span>>,
}

impl Ages {
    pub(super) fn new(
        now_us: u64,
        wall_us: u64,
        held_us: Option<u64>,
        spans: &Arc<Vec<Span>>,
    ) -> Self {
        Self {
            now_us,
            wall_us,
            held_us,
            spans: spans.clone(),
        }
    }

    /// With a clock that was never stepped.
    #[cfg(test)]
    pub(crate) fn plain(now_us: u64) -> Self {
        Self::new(now_us, now_us, None, &Arc::new(vec![Span::default()]))
    }

    /// The stamp of an event at this moment, in milliseconds.
    pub(crate) fn stamp_ms(&self) -> u64 {
        self.now_us / 1_000
    }

    /// Age for decisions on expiry, in milliseconds. Gaps do not count.
    pub(crate) fn age_ms(&self, stamp_ms: u64) -> u64 {
        (self.deciding_us() / 1_000).saturating_sub(stamp_ms)
    }

    /// Age by the accepted clock, in milliseconds. Gaps count.
    pub(crate) fn ago_ms(&self, stamp_ms: u64) -> u64 {
        self.ago_us(stamp_ms) / 1_000
    }

    /// A stamp in terms of the wall clock, in milliseconds. Stable unless the clock is stepped.
    pub(crate) fn wall_ms(&self, stamp_ms: u64) -> u64 {
        self.wall_us.saturating_sub(self.ago_us(stamp_ms)) / 1_000
    }

    fn ago_us(&self, stamp_ms: u64) -> u64 {
        let gaps_us = self.gaps_us(|span| span.since_us / 1_000 > stamp_ms);
        let passed_us = self.now_us.saturating_sub(stamp_ms.saturating_mul(1_000));
        passed_us.saturating_add(gaps_us)
    }

    /// The newest id of at least this age, for decisions on expiry. Gaps do not count.
    pub(crate) fn newest_of_age(&self, age: Duration) -> MsgId {
        self.newest(age, |_| 0)
    }

    /// The newest id that has expired by a retention, by the accepted clock. Gaps count.
    pub(crate) fn expired(&self, kept: Duration) -> MsgId {
        self.newest(kept, |span| span.gap_us)
    }

    fn newest(&self, age: Duration, gap_us: impl Fn(&Span) -> u64) -> MsgId {
        let gaps = self.spans.iter().map(&gap_us);
        let mut gaps_us = gaps.fold(0, u64::saturating_add);
        let now_us = self.deciding_us().saturating_add(gaps_us);
        let Some(cut_us) = now_us.checked_sub(micros(age)) else {
            return MsgId::ZERO;
        };
        // The next later span.
        let mut next: Option<&Span> = None;
        for span in self.spans.iter().rev() {
            if cut_us >= span.since_us.saturating_add(gaps_us) {
                let at_us = cut_us - gaps_us;
                return match next {
                    Some(next) if at_us >= next.since_us => next.after,
                    next => {
                        let id = at_us
                            .saturating_add_signed(span.offset_us)
                            .min(MsgId::MAX.0);
                        let end = next.map_or(MsgId::MAX, |next| next.after);
                        MsgId(id).max(span.after).min(end)
                    }
                };
            }
            gaps_us = gaps_us.saturating_sub(gap_us(span));
            next = Some(span);
        }
        MsgId::ZERO
    }

    /// This moment by the accepted clock.
    pub(super) fn calendar_us(&self) -> u64 {
        self.now_us.saturating_add(self.gaps_us(|_| true))
    }

    /// Age time for decisions: it stands still while age is held.
    fn deciding_us(&self) -> u64 {
        self.held_us.unwrap_or(self.now_us)
    }

    fn gaps_us(&self, is_counted: impl Fn(&Span) -> bool) -> u64 {
        let spans = self.spans.iter().filter(|span| is_counted(span));
        spans.map(|span| span.gap_us).fold(0, u64::saturating_add)
    }
}

//! The clock of ages, which notices when the wall clock is stepped.

use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};

use super::ages::Ages;
use super::span;
use super::span::{Span, micros};
use crate::model::MsgId;

/// A larger step is no adjustment of the clock, and is not believed at once.
const STEP_MIN_US: u64 = 24 * HOUR_US;
/// How long the new time must hold.
const HELD_US: u64 = 24 * HOUR_US;
/// Interval of spans while ids are ahead of the clock: the precision of the age of a message.
const SPAN_US: u64 = HOUR_US;
/// The clock may be set back this far before a span begins.
const BEHIND_US: i64 = 1_000_000;
const HOUR_US: u64 = 60 * 60 * 1_000_000;
/// How far the recorded age time may be behind, also while age is held.
const NOTED_US: u64 = HOUR_US;
const NOTED_HELD_US: u64 = HOUR_US / 6;
/// A smaller lag is left at a clean stop.
const NOTED_END_US: u64 = 60 * 1_000_000;

/// The recorded part.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AgeState {
    /// Age time, in microseconds. Equals the wall clock if that was never stepped.
    pub(crate) now_us: u64,
    /// The wall clock at that moment.
    pub(crate) wall_us: u64,
    /// How far the running clock is ahead of age time. After a smaller step back the clock is
    /// behind that, and age time waits for it.
    pub(crate) offset_us: i64,
    pub(crate) hold: Option<Hold>,
    pub(crate) spans: Arc<Vec<Span>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Hold {
    /// The age time of the first step.
    pub(crate) since_us: u64,
    /// Observed time since the last step.
    pub(crate) passed_us: u64,
    /// How far the clock moved unobserved: the server may have been off that long.
    pub(crate) stop_us: u64,
}

/// Age is held because of a step of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockHold {
    /// Seconds by which the clock is ahead of the plausible time; negative if behind.
    pub ahead_s: i64,
    /// Time until the hold ends by itself.
    pub left: Duration,
}

/// The running age time.
#[derive(Debug, Clone)]
pub(crate) struct AgeClock {
    state: AgeState,
    /// The monotonic clock at `state`.
    at_us: u64,
    /// The monotonic clock at the last record.
    noted_us: u64,
    /// More than the time has changed since.
    is_news: bool,
}

impl AgeState {
    /// For a directory without a record. Its stamps are from the clock, or from the last id if that
    /// was ahead.
    fn unknown(last_id: MsgId, wall_us: u64) -> Self {
        let known_us = wall_us.max(last_id.0);
        let is_far = last_id > MsgId::ZERO && known_us - last_id.0 > STEP_MIN_US;
        Self {
            now_us: known_us,
            wall_us: known_us,
            offset_us: 0,
            hold: is_far.then_some(Hold {
                since_us: last_id.0,
                passed_us: 0,
                stop_us: 0,
            }),
            spans: Arc::new(vec![Span::default()]),
        }
    }

    fn last(&self) -> Span {
        self.spans.last().copied().unwrap_or_default()
    }

    /// Age time at this wall clock without a step.
    fn of_wall(&self, wall_us: u64) -> u64 {
        let now_us = wall_us.saturating_add_signed(self.offset_us.saturating_neg());
        now_us.max(self.now_us)
    }

    /// Counts small steps back together: age time would otherwise wait for the clock.
    fn is_step(&self, wall_us: u64, passed_us: u64) -> bool {
        let expected_us = self.wall_us.saturating_add(passed_us);
        let behind_us = self
            .offset_us
            .saturating_sub(offset_us(wall_us, self.now_us));
        wall_us.abs_diff(expected_us) > STEP_MIN_US || behind_us > STEP_MIN_US as i64
    }

    /// Ages at the time of the record.
    pub(crate) fn ages(&self) -> Ages {
        Ages::new(
            self.now_us,
            self.wall_us,
            self.hold.map(|hold| hold.since_us),
            &self.spans,
        )
    }
}

impl AgeClock {
    /// Continues the record of a directory, which may have been closed for a while. `last_id`: the
    /// last id issued.
    pub(crate) fn resume(
        state: Option<AgeState>,
        last_id: MsgId,
        wall_us: u64,
        monotonic: Duration,
    ) -> Self {
        let at_us = micros(monotonic);
        let known = state.is_some();
        let state = state.unwrap_or_else(|| AgeState::unknown(last_id, wall_us));
        let mut clock = Self {
            at_us,
            noted_us: at_us,
            is_news: !known && state.hold.is_some(),
            state,
        };
        clock.look(wall_us, monotonic, last_id, true);
        clock
    }

    /// Observes the clocks. `last_id`: the last id issued. True if the clock was stepped.
    pub(crate) fn observe(&mut self, wall_us: u64, monotonic: Duration, last_id: MsgId) -> bool {
        self.look(wall_us, monotonic, last_id, false)
    }

    fn look(&mut self, wall_us: u64, monotonic: Duration, last_id: MsgId, is_start: bool) -> bool {
        let passed_us = micros(monotonic).saturating_sub(self.at_us);
        self.at_us += passed_us;
        let is_step = self.state.is_step(wall_us, passed_us);
        let state = &mut self.state;
        if is_step {
            state.now_us = state.now_us.saturating_add(passed_us);
            state.offset_us = offset_us(wall_us, state.now_us);
            let before = state.hold.unwrap_or(Hold {
                since_us: state.now_us,
                passed_us: 0,
                stop_us: 0,
            });
            // An observed step is no stop of the server.
            let stop_us = match is_start {
                true => wall_us.saturating_sub(state.wall_us),
                false => 0,
            };
            state.hold = Some(Hold {
                passed_us: 0,
                stop_us: before.stop_us.saturating_add(stop_us),
                ..before
            });
            self.begin_span(last_id, self.state.offset_us);
        } else {
            state.now_us = state.of_wall(wall_us);
            if let Some(hold) = &mut state.hold {
                hold.passed_us = hold.passed_us.saturating_add(passed_us);
            }
            self.keep_spans(wall_us, last_id);
        }
        self.state.wall_us = wall_us;
        is_step
    }

    /// Begins a span when the last one no longer dates ids well.
    fn keep_spans(&mut self, wall_us: u64, last_id: MsgId) {
        let state = &self.state;
        let last = state.last();
        // Below `state.offset_us` only while age time waits for the clock.
        let offset_us = offset_us(wall_us, state.now_us);
        if offset_us < last.offset_us.saturating_sub(BEHIND_US) {
            return self.begin_span(last_id, offset_us);
        }
        if offset_us >= state.offset_us && last.offset_us < state.offset_us {
            return self.begin_span(last_id, state.offset_us);
        }
        let is_ahead = last.age_of(last_id) > state.now_us.saturating_add(SPAN_US);
        let is_long = state.now_us.saturating_sub(last.since_us) >= SPAN_US;
        if is_ahead && is_long && last_id > last.after {
            self.begin_span(last_id, last.offset_us);
        }
    }

    fn begin_span(&mut self, after: MsgId, offset_us: i64) {
        let spans = Arc::make_mut(&mut self.state.spans);
        spans.push(Span {
            after,
            since_us: self.state.now_us,
            offset_us,
            gap_us: 0,
        });
        span::merge(spans);
        self.is_news = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state
            .hold
            .is_some_and(|hold| hold.passed_us >= HELD_US)
    }

    /// The clock once accepted: by the operator, or after a day, and then with a gap no longer than
    /// the server may have been off. `None` if age is not held.
    pub(crate) fn accepted(&self, by_operator: bool) -> Option<Self> {
        let hold = self.state.hold?;
        let mut accepted = self.clone();
        let calendar_us = self.state.ages().calendar_us();
        let mut gap_us = self.state.wall_us.saturating_sub(calendar_us);
        if !by_operator {
            gap_us = gap_us.min(hold.stop_us);
        }
        let spans = Arc::make_mut(&mut accepted.state.spans);
        // The span of the first step, or what it was merged into.
        let behind = spans.partition_point(|span| span.since_us < hold.since_us);
        let is_there = |span: &Span| span.since_us == hold.since_us;
        let at = match spans.get(behind).is_some_and(is_there) {
            true => behind,
            false => behind.saturating_sub(1),
        };
        if let Some(span) = spans.get_mut(at) {
            span.gap_us = span.gap_us.saturating_add(gap_us);
        }
        accepted.state.hold = None;
        accepted.is_news = true;
        Some(accepted)
    }

    pub(crate) fn ages(&self, wall_us: u64, monotonic: Duration) -> Ages {
        let state = &self.state;
        let passed_us = micros(monotonic).saturating_sub(self.at_us);
        let since_us = state.hold.map(|hold| hold.since_us);
        // The step has not been observed yet.
        let (now_us, since_us) = match state.is_step(wall_us, passed_us) {
            true => {
                let now_us = state.now_us.saturating_add(passed_us);
                (now_us, since_us.or(Some(now_us)))
            }
            false => (state.of_wall(wall_us), since_us),
        };
        Ages::new(now_us, wall_us, since_us, &state.spans)
    }

    pub(crate) fn hold(&self, wall_us: u64) -> Option<ClockHold> {
        let hold = self.state.hold?;
        let ahead = i128::from(wall_us) - i128::from(self.state.ages().calendar_us());
        Some(ClockHold {
            ahead_s: i64::try_from(ahead / 1_000_000).unwrap_or_default(),
            left: Duration::from_micros(HELD_US.saturating_sub(hold.passed_us)),
        })
    }

    pub(crate) fn state(&self) -> &AgeState {
        &self.state
    }

    /// Whether a record is due.
    pub(crate) fn is_due(&self) -> bool {
        let pause_us = match self.state.hold {
            Some(_) => NOTED_HELD_US,
            None => NOTED_US,
        };
        self.is_news || self.behind_us() >= pause_us
    }

    /// Whether a record is due at a clean stop.
    pub(crate) fn is_due_at_end(&self) -> bool {
        self.is_news || self.behind_us() >= NOTED_END_US
    }

    fn behind_us(&self) -> u64 {
        self.at_us.saturating_sub(self.noted_us)
    }

    /// A record was written.
    pub(crate) fn note(&mut self) {
        self.is_news = false;
        self.noted_us = self.at_us;
    }
}

/// How far the clock is ahead of age time.
fn offset_us(wall_us: u64, now_us: u64) -> i64 {
    let ahead_us = i128::from(wall_us) - i128::from(now_us);
    i64::try_from(ahead_us).unwrap_or_default()
}

#[cfg(test)]
mod tests;

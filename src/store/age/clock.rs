//! The clock of ages, which notices when the wall clock is stepped.

use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};

use super::ages::Ages;
use super::span;
use super::span::{Span, micros};
use crate::model::MsgId;

/// A step of more than this is none of a clock that is being set right, and is not believed at once.
const STEP_MIN_US: u64 = 24 * HOUR_US;
/// So long must pass at the new time.
const HELD_US: u64 = 24 * HOUR_US;
/// While ids are ahead of the clock, a span begins so often: a message's age is known to within it.
const SPAN_US: u64 = HOUR_US;
/// So much the clock may be set back before that counts for ids.
const BEHIND_US: i64 = 1_000_000;
const HOUR_US: u64 = 60 * 60 * 1_000_000;
/// How long what is on disk may be behind, and while age is held, too.
const NOTED_US: u64 = HOUR_US;
const NOTED_HELD_US: u64 = HOUR_US / 6;
/// At a clean end, what is less behind is left so.
const NOTED_END_US: u64 = 60 * 1_000_000;

/// What is kept of it in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AgeState {
    /// Age time, in microseconds; where the clock was never stepped, it is that of the clock.
    pub(crate) now_us: u64,
    /// What the clock showed then.
    pub(crate) wall_us: u64,
    /// How far the clock is ahead of age time while that goes on with it. A clock that was set back
    /// by less than a day is behind that: age time waits for it.
    pub(crate) offset_us: i64,
    pub(crate) hold: Option<Hold>,
    pub(crate) spans: Arc<Vec<Span>>,
}

/// Age is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Hold {
    /// The age time of the step, or of the first of several.
    pub(crate) since_us: u64,
    /// How much has passed since the last step, as far as somebody looked.
    pub(crate) passed_us: u64,
    /// How far the clock went while nobody looked: so long the server may have been off.
    pub(crate) stop_us: u64,
}

/// Age is held because of a step of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockHold {
    /// How far the clock is ahead of the time that was plausible, or behind it, in seconds.
    pub ahead_s: i64,
    /// How long nothing ends by age, unless the operator accepts the clock as it is.
    pub left: Duration,
}

/// Age time, going on.
#[derive(Debug, Clone)]
pub(crate) struct AgeClock {
    state: AgeState,
    /// The monotonic clock at `state`.
    at_us: u64,
    /// The monotonic clock when it was last noted on disk.
    noted_us: u64,
    /// Something has changed since, beside that time has passed.
    is_news: bool,
}

impl AgeState {
    /// Of a directory that says nothing of it: `last_id` is the last that is known, and the stamps
    /// in it are of the clock, or of the last id where that was ahead.
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

    /// The age time of a clock that shows this, if it was not stepped.
    fn of_wall(&self, wall_us: u64) -> u64 {
        let now_us = wall_us.saturating_add_signed(self.offset_us.saturating_neg());
        now_us.max(self.now_us)
    }

    /// Also where several small ones have come to that: then age time would wait for the clock.
    fn is_step(&self, wall_us: u64, passed_us: u64) -> bool {
        let expected_us = self.wall_us.saturating_add(passed_us);
        let behind_us = self
            .offset_us
            .saturating_sub(offset_us(wall_us, self.now_us));
        wall_us.abs_diff(expected_us) > STEP_MIN_US || behind_us > STEP_MIN_US as i64
    }

    /// What can be said by it alone.
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
    /// Goes on behind what a directory says, which may have been closed for a while. Ids up to
    /// `last_id` were given before.
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

    /// Takes note of what the clocks show. Ids up to `last_id` were given before. Whether the clock
    /// was stepped.
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
            // Of a step that somebody saw it is known that it is none.
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

    /// Begins a span where the last one would say too much of ids, or too little.
    fn keep_spans(&mut self, wall_us: u64, last_id: MsgId) {
        let state = &self.state;
        let last = state.last();
        // Less than the clock is ahead of age time only while that waits for it.
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

    /// Whether a day has passed since the last step.
    pub(crate) fn is_over(&self) -> bool {
        self.state
            .hold
            .is_some_and(|hold| hold.passed_us >= HELD_US)
    }

    /// As it is when the clock is taken for right, by the operator or since a day has passed: then
    /// a gap is no longer than the server may have been off. `None` where nothing is held.
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

    /// What can be said at this moment.
    pub(crate) fn ages(&self, wall_us: u64, monotonic: Duration) -> Ages {
        let state = &self.state;
        let passed_us = micros(monotonic).saturating_sub(self.at_us);
        let since_us = state.hold.map(|hold| hold.since_us);
        // Nobody has taken note of the step yet.
        let (now_us, since_us) = match state.is_step(wall_us, passed_us) {
            true => {
                let now_us = state.now_us.saturating_add(passed_us);
                (now_us, since_us.or(Some(now_us)))
            }
            false => (state.of_wall(wall_us), since_us),
        };
        Ages::new(now_us, wall_us, since_us, &state.spans)
    }

    /// Whether age is held, and for how long.
    pub(crate) fn hold(&self, wall_us: u64) -> Option<ClockHold> {
        let hold = self.state.hold?;
        let ahead = i128::from(wall_us) - i128::from(self.state.ages().calendar_us());
        Some(ClockHold {
            ahead_s: i64::try_from(ahead / 1_000_000).unwrap_or_default(),
            left: Duration::from_micros(HELD_US.saturating_sub(hold.passed_us)),
        })
    }

    /// What is to be noted on disk.
    pub(crate) fn state(&self) -> &AgeState {
        &self.state
    }

    /// Whether that has to be noted now.
    pub(crate) fn is_due(&self) -> bool {
        let pause_us = match self.state.hold {
            Some(_) => NOTED_HELD_US,
            None => NOTED_US,
        };
        self.is_news || self.behind_us() >= pause_us
    }

    /// Whether it has to be noted at a clean end.
    pub(crate) fn is_due_at_end(&self) -> bool {
        self.is_news || self.behind_us() >= NOTED_END_US
    }

    fn behind_us(&self) -> u64 {
        self.at_us.saturating_sub(self.noted_us)
    }

    /// It was noted as it is.
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

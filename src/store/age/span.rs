//! Spans between two steps of the wall clock, and the age of an id within its span.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::model::MsgId;

/// Most of them. Behind a clock that was ahead by years there is one for each hour; older ones are
/// then merged.
const SPANS_MAX: usize = 256;
/// The newest are not merged: by them the age of sends is told, whose repeats are known for a day.
const SPANS_WHOLE: usize = 32;

/// One of them. The first begins with all time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Span {
    /// Ids above it were given in this span or later.
    pub(crate) after: MsgId,
    /// The age time at which it began, in microseconds.
    pub(crate) since_us: u64,
    /// So far are ids ahead of age time, at least.
    pub(crate) offset_us: i64,
    /// What was found later to have passed before it: what is older than this span is older by that.
    pub(crate) gap_us: u64,
}

impl Span {
    /// The age time at which an id was given in this span, at the latest.
    pub(crate) fn age_of(&self, id: MsgId) -> u64 {
        let at_us = id.0.saturating_add_signed(self.offset_us.saturating_neg());
        at_us.max(self.since_us)
    }
}

/// Keeps them few. What is told by merged ones is younger than it is, never older.
pub(super) fn merge(spans: &mut Vec<Span>) {
    while spans.len() > SPANS_MAX {
        let mergeable = spans.len() - SPANS_WHOLE;
        let length = |at: &usize| {
            spans[*at + 1]
                .since_us
                .saturating_sub(spans[*at - 1].since_us)
        };
        let Some(at) = (1..mergeable).min_by_key(length) else {
            return;
        };
        let gone = spans.remove(at);
        let into = &mut spans[at - 1];
        into.offset_us = into.offset_us.min(gone.offset_us);
        into.gap_us = into.gap_us.saturating_add(gone.gap_us);
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

//! Spans between two steps of the wall clock, and the age of an id within its span.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::model::MsgId;

/// Most spans. After a clock that was ahead by years there is one for each hour; older ones are
/// merged.
const SPANS_MAX: usize = 256;
/// The newest spans stay whole: they date the sends whose repeats are recognised.
const SPANS_WHOLE: usize = 32;

/// The first span begins with all time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Span {
    /// Ids above it were issued in this span or later.
    pub(crate) after: MsgId,
    /// Age time at its beginning, in microseconds.
    pub(crate) since_us: u64,
    /// Ids are ahead of age time by at least this.
    pub(crate) offset_us: i64,
    /// Time found later to have passed before this span, which makes everything before it older.
    pub(crate) gap_us: u64,
}

impl Span {
    /// Age time of an id of this span, at the latest.
    pub(crate) fn age_of(&self, id: MsgId) -> u64 {
        let at_us = id.0.saturating_add_signed(self.offset_us.saturating_neg());
        at_us.max(self.since_us)
    }
}

/// Bounds their number. Merged spans make ids younger, never older.
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

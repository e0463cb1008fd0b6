//! When the reserve grows for a large memtable, and how long a refusal holds.

use std::time::Duration;

/// The pause after there was no room for that: it is taken for a moment to find that out. It doubles
/// with each, so often at most.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
const REFUSED_DOUBLINGS_MAX: u32 = 6;

/// What is kept back for a large memtable.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// When that was last looked at.
    pub(super) looked: Option<Duration>,
    /// When the memtables were large last.
    pub(super) large: Option<Duration>,
    /// How often in a row there was no room, and when it is tried again.
    pub(super) refused: Option<(u32, Duration)>,
}

impl Growth {
    pub(super) fn note_refused(&mut self, now: Duration) {
        let times = self.refused.map_or(0, |(times, _)| times);
        let pause = REFUSED_PAUSE * 2_u32.pow(times.min(REFUSED_DOUBLINGS_MAX));
        self.refused = Some((times + 1, now + pause));
    }
}

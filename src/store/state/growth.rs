//! When the reserve grows for large memtables, and how long a refusal holds. All times are of the
//! store's monotonic clock.

use std::time::Duration;

/// The pause after there was no room to grow: finding that out takes the space for a moment. It
/// doubles with each refusal, up to `REFUSED_DOUBLINGS_MAX` times.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
const REFUSED_DOUBLINGS_MAX: u32 = 6;

#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// When the bound of the memtables was last looked at.
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

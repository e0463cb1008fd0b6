//! Sends above the rate. A single one is refused; a session that goes on with it is ended.

use std::time::Duration;

/// In so long
const PERIOD: Duration = Duration::from_secs(60);
/// so many sends may be refused.
const REFUSALS_MAX: u32 = 100;

/// How many sends were refused lately.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    since: Duration,
    count: u32,
}

impl Strikes {
    /// One more was refused, at this time of the session. Answers when to come back, where there
    /// were too many.
    pub(super) fn note(&mut self, elapsed: Duration) -> Option<Duration> {
        if self.count == 0 || elapsed >= self.since + PERIOD {
            self.since = elapsed;
            self.count = 0;
        }
        self.count += 1;
        (self.count > REFUSALS_MAX).then_some(PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_goes_on_is_ended() {
        let mut strikes = Strikes::default();
        let at = Duration::from_secs;
        for second in 0..10_000 {
            assert_eq!(strikes.note(at(second)), None, "one a second is no flood");
        }
        let mut refusals = 0;
        while strikes.note(at(20_000)).is_none() {
            refusals += 1;
        }
        assert_eq!(refusals, REFUSALS_MAX);
    }
}

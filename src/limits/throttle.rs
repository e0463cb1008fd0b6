//! Throttles repeated log lines: one line per interval, with the number of occurrences.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Minimum time between two lines about the same event.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line through per interval and counts the rest.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    quiet_until: Option<Instant>,
    times: u64,
}

impl Throttle {
    /// The number of occurrences since the last line, this one included, if a line is due.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.times += 1;
        if state.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        state.quiet_until = Some(now + INTERVAL);
        Some(std::mem::take(&mut state.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_an_interval_says_how_often_it_was() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.due_at(now), Some(1));
        assert_eq!(throttle.due_at(now), None);
        assert_eq!(throttle.due_at(now + INTERVAL), Some(2));
    }
}

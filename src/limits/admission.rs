//! Logins at a bounded rate. Who is one too many is told when to come back: each at a time of
//! its own, one behind the other, so that a crowd that is sent away does not come back as one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rates::Limiter;
use crate::model::Rate;

/// The longest that anyone is told to wait: who is told more forgets it.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The rate, and the time up to which returns have been promised.
pub(super) struct Admission {
    limiter: Limiter<()>,
    spacing: Duration,
    promised: Mutex<Instant>,
}

impl Admission {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            limiter: Limiter::new(rate),
            spacing: rate.per / rate.count.get(),
            promised: Mutex::new(Instant::now()),
        }
    }

    /// Admits one, or says when to come back.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        self.limiter
            .check(&(), 1)
            .map_err(|wait| self.promise(wait, Instant::now()))
    }

    fn promise(&self, wait: Duration, now: Instant) -> Duration {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*promised + self.spacing).max(now + wait);
        *promised = next.min(now + RETRY_MAX);
        promised.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_crowd_is_spread_over_time() {
        let count = NonZeroU32::new(100).expect("not zero");
        let admission = Admission::new(Rate {
            count,
            per: Duration::from_secs(1),
        });
        let now = Instant::now();
        let wait = Duration::from_millis(10);
        let hints: Vec<_> = (0..100).map(|_| admission.promise(wait, now)).collect();
        assert!(
            hints
                .windows(2)
                .all(|two| two[1] - two[0] == Duration::from_millis(10))
        );
        let long: Vec<_> = (0..10_000).map(|_| admission.promise(wait, now)).collect();
        assert_eq!(long.last(), Some(&RETRY_MAX));
        // Promises that are over count no more.
        let later = now + RETRY_MAX + Duration::from_secs(1);
        assert_eq!(admission.promise(wait, later), wait);
    }
}

//! Wall-clock and monotonic time behind a trait, so that tests can set the clock, hold it and step
//! it backwards.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// Wall-clock time and, apart from it, monotonic time.
pub trait Clock: Debug + Send + Sync {
    /// Microseconds since the Unix epoch. Never used to measure durations: the clock may be
    /// stepped.
    fn now_us(&self) -> u64;

    /// Monotonic time since an arbitrary origin. Ignores clock steps; runs on while the machine is
    /// suspended.
    fn monotonic(&self) -> Duration;

    /// Both at one moment, wall-clock time first: a step shows as a difference between them.
    fn read(&self) -> (u64, Duration) {
        (self.now_us(), self.monotonic())
    }

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }
}

/// The system clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> u64 {
        // A clock before 1970 counts as 1970: msgIds stay increasing whatever it says.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        Duration::new(
            time.tv_sec.unsigned_abs(),
            time.tv_nsec.unsigned_abs() as u32,
        )
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    /// As [`Clock::read`] returns them.
    both: Mutex<(u64, Duration)>,
}

impl ManualClock {
    /// A clock set to `now_us` microseconds since the Unix epoch.
    pub fn new(now_us: u64) -> Self {
        Self {
            both: Mutex::new((now_us, Duration::ZERO)),
        }
    }

    /// Steps the wall clock, forwards or backwards; monotonic time stays.
    pub fn set_us(&self, now_us: u64) {
        self.both.lock().0 = now_us;
    }

    /// Advances both wall-clock and monotonic time.
    pub fn advance_us(&self, by_us: u64) {
        let mut both = self.both.lock();
        both.0 += by_us;
        both.1 += Duration::from_micros(by_us);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.read().0
    }

    fn monotonic(&self) -> Duration {
        self.read().1
    }

    fn read(&self) -> (u64, Duration) {
        *self.both.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_beside_a_manual_clock_that_goes_on_sees_no_step() {
        let clock = ManualClock::new(7);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..100_000).for_each(|_| clock.advance_us(3)));
            for _ in 0..100_000 {
                let (wall_us, monotonic) = clock.read();
                assert_eq!(u128::from(wall_us), 7 + monotonic.as_micros());
            }
        });
    }
}

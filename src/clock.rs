//! Wall-clock and monotonic time behind a trait, so that tests can set the clock, hold it and step
//! it backwards.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Wall-clock time and, apart from it, monotonic time.
pub trait Clock: Debug + Send + Sync {
    /// Microseconds since the Unix epoch. Never used to measure durations: the clock may be
    /// stepped.
    fn now_us(&self) -> u64;

    /// Monotonic time since an arbitrary origin. Ignores clock steps; runs on while the machine is
    /// suspended.
    fn monotonic(&self) -> Duration;

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
    now_us: AtomicU64,
    passed_us: AtomicU64,
}

impl ManualClock {
    /// A clock set to `now_us` microseconds since the Unix epoch.
    pub fn new(now_us: u64) -> Self {
        Self {
            now_us: AtomicU64::new(now_us),
            passed_us: AtomicU64::default(),
        }
    }

    /// Steps the wall clock, forwards or backwards; monotonic time stays.
    pub fn set_us(&self, now_us: u64) {
        self.now_us.store(now_us, Ordering::SeqCst);
    }

    /// Advances both wall-clock and monotonic time.
    pub fn advance_us(&self, by_us: u64) {
        self.passed_us.fetch_add(by_us, Ordering::SeqCst);
        self.now_us.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.now_us.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.passed_us.load(Ordering::SeqCst))
    }
}

//! Wall-clock and monotonic time behind a trait, so that tests can set the clock, hold it and step
//! it backwards.

use std::fmt::Debug;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
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

    /// Waits for a notification of `event` after `seen`, or until [`Self::monotonic`] has reached
    /// `deadline`. May return early, so callers check what they wait for.
    fn wait(&self, event: &Arc<EventCount>, seen: u64, deadline: Duration);
}

/// Wakes threads that wait for a change: each takes the count, checks its condition, and waits for
/// a notification after that count, so that none is lost in between.
#[derive(Debug, Default)]
pub struct EventCount {
    count: Mutex<u64>,
    notified: Condvar,
}

impl EventCount {
    /// The number of notifications so far.
    pub fn count(&self) -> u64 {
        *self.count.lock()
    }

    /// Wakes all that wait.
    pub fn notify(&self) {
        *self.count.lock() += 1;
        self.notified.notify_all();
    }

    /// Waits for a notification after `seen`.
    fn wait(&self, seen: u64) {
        let mut count = self.count.lock();
        self.notified.wait_while(&mut count, |now| *now == seen);
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

    fn wait(&self, event: &Arc<EventCount>, seen: u64, deadline: Duration) {
        // The timeout does not run while the machine is suspended: the wait is longer then, and
        // never ends before its deadline.
        let max = deadline.saturating_sub(self.monotonic());
        let mut count = event.count.lock();
        let is_unseen = |now: &mut u64| *now == seen;
        event.notified.wait_while_for(&mut count, is_unseen, max);
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    /// As [`Clock::read`] returns them.
    both: Mutex<(u64, Duration)>,
    /// The event counts that are waited for by this clock.
    waiting: Mutex<Vec<Weak<EventCount>>>,
}

impl ManualClock {
    /// A clock set to `now_us` microseconds since the Unix epoch.
    pub fn new(now_us: u64) -> Self {
        Self {
            both: Mutex::new((now_us, Duration::ZERO)),
            waiting: Mutex::default(),
        }
    }

    /// Steps the wall clock, forwards or backwards; monotonic time stays.
    pub fn set_us(&self, now_us: u64) {
        self.both.lock().0 = now_us;
    }

    /// Advances both wall-clock and monotonic time.
    pub fn advance_us(&self, by_us: u64) {
        self.advance(by_us, Duration::from_micros(by_us));
    }

    /// Advances monotonic time alone: waits end, and messages grow no older.
    pub fn advance_monotonic(&self, by: Duration) {
        self.advance(0, by);
    }

    fn advance(&self, wall_us: u64, monotonic: Duration) {
        {
            let mut both = self.both.lock();
            both.0 += wall_us;
            both.1 += monotonic;
        }
        let notify = |event: &Weak<EventCount>| {
            let event = event.upgrade();
            event.inspect(|event| event.notify()).is_some()
        };
        self.waiting.lock().retain(notify);
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

    /// Blocks until somebody advances the clock or notifies.
    fn wait(&self, event: &Arc<EventCount>, seen: u64, deadline: Duration) {
        {
            let mut waiting = self.waiting.lock();
            if !waiting
                .iter()
                .any(|known| known.as_ptr() == Arc::as_ptr(event))
            {
                waiting.push(Arc::downgrade(event));
            }
        }
        // Read after the registration, so that no step is missed.
        if self.monotonic() < deadline {
            event.wait(seen);
        }
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

    #[test]
    fn a_wait_by_a_manual_clock_ends_once_it_was_advanced_to_the_deadline() {
        let (clock, event) = (ManualClock::new(7), Arc::new(EventCount::default()));
        let hour = Duration::from_secs(3_600);
        let waited = || {
            while clock.monotonic() < hour {
                clock.wait(&event, event.count(), hour);
            }
            clock.monotonic()
        };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(waited);
            (0..60).for_each(|_| clock.advance_us(60_000_000));
            assert_eq!(waiting.join().expect("it ends"), hour);
        });
    }

    #[test]
    fn a_wait_ends_by_a_notification_or_by_its_deadline_whichever_comes_first() {
        let event = Arc::new(EventCount::default());
        let clocks: [&dyn Clock; 2] = [&SystemClock, &ManualClock::new(7)];
        for clock in clocks {
            let now = clock.monotonic();
            let seen = event.count();
            event.notify();
            clock.wait(&event, seen, now + Duration::from_secs(3_600));
            clock.wait(&event, event.count(), now);
        }
        let soon = SystemClock.monotonic() + Duration::from_millis(5);
        SystemClock.wait(&event, event.count(), soon);
        assert!(SystemClock.monotonic() >= soon);
    }
}

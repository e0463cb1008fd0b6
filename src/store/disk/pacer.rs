//! Paces background work, so that foreground work gets the processor and the disk.

use std::time::{Duration, Instant};

/// Others wait for a processor or the disk for about so long at most; a disk that is slow is left
/// alone for longer.
const WORK_MAX: Duration = Duration::from_micros(500);

/// Makes the pauses of one thread's work.
#[derive(Debug)]
pub(crate) struct Pacer {
    since: Instant,
    /// How many times as long as the work a pause is,
    factor: u32,
    /// and how long at most: a store that closes waits for its end.
    pause_max: Duration,
}

impl Pacer {
    /// One that begins to work now, and pauses for as long as it worked.
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            factor: 1,
            pause_max: Duration::from_millis(100),
        }
    }

    /// The same for what has all the time in the world: it works for a tenth of the time.
    pub(crate) fn unhurried() -> Self {
        Self {
            factor: 9,
            pause_max: Duration::from_millis(500),
            ..Self::new()
        }
    }

    /// Behind a piece of work: pauses if it is time.
    pub(crate) fn step(&mut self) {
        let worked = self.since.elapsed();
        if worked >= WORK_MAX {
            std::thread::sleep((worked * self.factor).min(self.pause_max));
            self.since = Instant::now();
        }
    }
}

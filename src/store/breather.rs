//! Pauses of work that nobody waits for.

use std::time::{Duration, Instant};

/// Others wait for a processor or the disk for about so long at most, and have it to themselves
/// for as long as the work took then: a disk that is slow is left alone for longer.
const WORK_MAX: Duration = Duration::from_micros(500);
/// Of what has time, others hardly notice anything.
const UNHURRIED_FACTOR: u32 = 9;
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Makes the pauses of one thread's work.
#[derive(Debug)]
pub(super) struct Breather {
    since: Instant,
    /// How many times as long as the work a pause is.
    factor: u32,
}

impl Breather {
    /// One that begins to work now.
    pub(super) fn new() -> Self {
        Self::with(1)
    }

    /// The same for work that has all the time in the world.
    pub(super) fn unhurried() -> Self {
        Self::with(UNHURRIED_FACTOR)
    }

    fn with(factor: u32) -> Self {
        Self {
            since: Instant::now(),
            factor,
        }
    }

    /// Behind a piece of work: pauses if it is time.
    pub(super) fn step(&mut self) {
        let worked = self.since.elapsed();
        if worked >= WORK_MAX {
            std::thread::sleep((worked * self.factor).min(PAUSE_MAX));
            self.since = Instant::now();
        }
    }
}

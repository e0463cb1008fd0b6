//! Pauses of work that nobody waits for.

use std::time::{Duration, Instant};

/// Others wait for a processor or the disk for about so long at most,
const WORK_MAX: Duration = Duration::from_micros(500);
/// and have it to themselves for so long then.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes the pauses of one thread's work.
#[derive(Debug)]
pub(super) struct Breather {
    since: Instant,
}

impl Breather {
    /// One that begins to work now.
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    /// Behind a piece of work: pauses if it is time.
    pub(super) fn step(&mut self) {
        if self.since.elapsed() >= WORK_MAX {
            std::thread::sleep(PAUSE);
            self.since = Instant::now();
        }
    }
}

//! Paces background work, so that foreground work gets the processor and the disk.

use std::time::{Duration, Instant};

/// Others wait about so long for a processor or the disk. A slow disk gets longer pauses.
const WORK_MAX: Duration = Duration::from_micros(500);

/// Paces one thread's work.
#[derive(Debug)]
pub(crate) struct Pacer {
    since: Instant,
    /// The length of a pause, as a multiple of the work before it.
    factor: u32,
    /// A store that closes waits for the end of a pause.
    pause_max: Duration,
}

impl Pacer {
    /// Pauses for as long as it worked.
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            factor: 1,
            pause_max: Duration::from_millis(100),
        }
    }

    /// For work without urgency: works a tenth of the time.
    pub(crate) fn unhurried() -> Self {
        Self {
            factor: 9,
            pause_max: Duration::from_millis(500),
            ..Self::new()
        }
    }

    /// Called after each piece of work: pauses if it is time.
    pub(crate) fn step(&mut self) {
        let worked = self.since.elapsed();
        if worked >= WORK_MAX {
            std::thread::sleep((worked * self.factor).min(self.pause_max));
            self.since = Instant::now();
        }
    }
}

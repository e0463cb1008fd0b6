//! Reads sealed segments again from time to time: nobody else would notice that a disk has
//! changed a byte of one, until the index has to be made anew from it.
//!
//! Only tells: what is damaged stays as it is.

use std::time::{Duration, Instant};

use super::super::journal::{Sealed, list};
use super::super::shared::Shared;

/// All segments are read again after this.
const ROUND_PAUSE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The pause after each segment.
const SEGMENT_PAUSE: Duration = Duration::from_millis(100);

/// How far it is.
pub(super) struct Scrub {
    /// The number of the segment that comes next.
    next: u64,
    not_before: Instant,
}

impl Scrub {
    /// Begins a round.
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            not_before: Instant::now(),
        }
    }

    /// Reads one segment, if it is time.
    pub(super) fn step(&mut self, shared: &Shared) {
        if Instant::now() < self.not_before {
            return;
        }
        let (files, dir) = (shared.files.as_ref(), shared.journal_dir());
        let segments = match list(files, &dir) {
            Ok(segments) => segments,
            Err(error) => {
                tracing::error!(%error, "the journal cannot be verified");
                self.not_before = Instant::now() + ROUND_PAUSE;
                return;
            }
        };
        let mut pairs = segments.windows(2);
        let pair = pairs.find_map(|pair| match *pair {
            [name, next] if name.number >= self.next => Some(Sealed { name, next }),
            _ => None,
        });
        let Some(sealed) = pair else {
            *self = Self {
                next: 1,
                not_before: Instant::now() + ROUND_PAUSE,
            };
            return;
        };
        // No other form may come into its place between its header and its frames.
        let alone = shared.segments();
        let read = sealed.verify(files, &dir, &|| !shared.queue.is_open());
        drop(alone);
        if let Err(error) = read {
            tracing::error!(%error, "the journal is damaged: `relaybox check` says more");
        }
        self.next = sealed.name.number + 1;
        self.not_before = Instant::now() + SEGMENT_PAUSE;
    }
}

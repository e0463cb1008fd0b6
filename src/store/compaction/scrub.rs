//! Rereads sealed segments from time to time: bit rot would otherwise show only when the index has
//! to be rebuilt from them.
//!
//! Reports only; damage stays as it is.

use std::time::Duration;

use crate::store::disk::Pacer;
use crate::store::journal::{Sealed, list};
use crate::store::state::Shared;

/// All segments are read again after this.
const ROUND_PAUSE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The pause after each segment.
const SEGMENT_PAUSE: Duration = Duration::from_millis(100);
/// A segment that was broken off so often is then read to its end, whatever there is to do.
pub(super) const BROKEN_OFF_MAX: u32 = 3;

/// The progress of a round.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    /// The lowest number that the next segment may have.
    pub(super) next: u64,
    /// How often that segment was broken off.
    pub(super) broken_off: u32,
    /// By the store's monotonic clock.
    not_before: Duration,
}

impl Scrub {
    /// Reads one segment, if it is time; begins it again another time where `is_called` says that
    /// there is something else to do.
    pub(super) fn step(&mut self, shared: &Shared, is_called: &dyn Fn() -> bool) {
        let now = || shared.clock.monotonic();
        if now() < self.not_before {
            return;
        }
        let (files, dir) = (shared.files.as_ref(), shared.journal_dir());
        let segments = match list(files, &dir) {
            Ok(segments) => segments,
            Err(error) => {
                tracing::error!(%error, "the journal cannot be verified");
                self.not_before = now() + ROUND_PAUSE;
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
                not_before: now() + ROUND_PAUSE,
                ..Self::default()
            };
            return;
        };
        let yields = self.broken_off < BROKEN_OFF_MAX;
        let mut pacer = Pacer::unhurried();
        let mut ends = false;
        let mut read = sealed.verify(files, &dir, &mut || {
            pacer.step();
            ends = !shared.queue.is_open() || (yields && is_called());
            ends
        });
        if ends {
            self.broken_off += 1;
            return;
        }
        if read.is_err() {
            // Another form may have come into its place between its header and its frames.
            let _alone = shared.segments.lock();
            read = sealed.verify(files, &dir, &mut || !shared.queue.is_open());
        }
        if let Err(error) = read {
            tracing::error!(%error, "the journal is damaged: `relaybox check` says more");
        }
        self.next = sealed.name.number + 1;
        self.broken_off = 0;
        self.not_before = now() + SEGMENT_PAUSE;
    }
}

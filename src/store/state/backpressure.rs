//! Backpressure: whether the memtables accept more, and how commits wait until they do.
//!
//! Every write of a flush makes space, not only its end: a load that the index cannot keep up with
//! is slowed to its pace and never stalls.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use crate::store::api::AppendError;
use crate::store::disk::MEMTABLE_BYTES;
use crate::store::index::location;
use crate::store::indexing::{check_space, file_space, flush_bytes, needed_bytes};

/// How long a batch is held up when the memtables are all but full.
const CROWDED_PAUSE_MAX: Duration = Duration::from_millis(20);
/// How long a batch waits for a flush to make room in the memtables.
const BACKPRESSURE_WAIT_MAX: Duration = Duration::from_secs(30);
/// A memtable of this size soon outgrows what the reserve always holds.
const LARGE_BYTES: usize = MEMTABLE_BYTES / 4;
/// The reserve keeps what it has grown by for this long after the last large memtable.
pub(crate) const CALM_PAUSE: Duration = Duration::from_secs(60);
/// Interval at which the bound of the memtables is looked at during other work.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

impl Shared {
    /// How full the memtables are: see [`crate::store::memtable::Memtables::fullness`].
    pub(crate) fn fullness(&self) -> f64 {
        let put_off = self.health.lock().index.is_some();
        self.memtables()
            .fullness(self.memtable_bytes_max(), put_off)
    }

    /// As `bound_memtables`, for use in the middle of other work: at intervals.
    pub(crate) fn step_memtables(&self) {
        let (looked, now) = (self.growth.lock().looked, self.clock.monotonic());
        if looked.is_none_or(|at| now >= at + LOOK_PAUSE) {
            self.bound_memtables();
        }
    }

    /// As `bound_memtables`, before work during which it cannot be called for long.
    pub(crate) fn expect_large_memtables(&self) {
        self.growth.lock().large = Some(self.clock.monotonic());
        self.bound_memtables();
    }

    /// Bounds the memtables by the free space, and grows or shrinks the reserve to match.
    pub(crate) fn bound_memtables(&self) {
        let (mut growth, now) = (self.growth.lock(), self.clock.monotonic());
        let before = self.memtable_bytes_max();
        growth.looked = Some(now);
        let (reserve, options) = (&self.reserve, &self.options);
        let path = location::path(&options.dir, self.indexed.lock().number);
        // The margin has room for the smallest one.
        let file_space =
            file_space(&path, false).map_or(MEMTABLE_BYTES, |room| room.max(MEMTABLE_BYTES));
        let most = options.memtable_bytes_max.min(file_space);
        let files = reserve.others().as_ref();
        let is_full = self.health.lock().journal.is_some();
        let is_scarce = is_full || check_space(files, &options.dir, most).is_err();
        let bound = match is_scarce {
            true => most.min(MEMTABLE_BYTES),
            false => most,
        };
        self.memtable_bytes_max.store(bound, Ordering::Relaxed);
        let bytes = self.memtables().bytes();
        if bytes >= LARGE_BYTES {
            growth.large = Some(now);
        }
        let is_busy = growth.large.is_some_and(|at| now < at + CALM_PAUSE);
        let may_grow = !is_scarce && growth.refused.is_none_or(|(_, until)| now >= until);
        if bytes <= MEMTABLE_BYTES && (is_scarce || !is_busy) {
            reserve.shrink();
        } else if is_busy && may_grow {
            // Much is left beside it: what is kept back is not to be what fills the disk.
            match reserve.grow(bound, 2 * needed_bytes(bound)) {
                Ok(()) => growth.refused = None,
                Err(error) => {
                    tracing::debug!(%error, "the tail stays small");
                    growth.note_refused(now);
                }
            }
        }
        if self.memtable_bytes_max() > before {
            self.changed.notify();
        }
    }

    /// Memtable limit: at most the size that the reserve covers.
    fn memtable_bytes_max(&self) -> usize {
        let most = self.memtable_bytes_max.load(Ordering::Relaxed);
        most.min(self.reserve.memtable_bytes_max())
    }

    /// Whether the memtables take more. The full limit is usable while flushes are deferred.
    pub(crate) fn has_room(&self) -> bool {
        self.fullness() < 1.0
    }

    /// Waits until the memtables have room, as long as there is reason to hope for it. Where it
    /// is getting full, a batch is held up before it has to wait.
    pub(crate) fn wait_for_space(&self) -> Result<(), AppendError> {
        let deadline = self.clock.monotonic() + BACKPRESSURE_WAIT_MAX;
        let crowd = (self.fullness() - 0.5) * 2.0;
        if crowd > 0.0 {
            // Real time, since the flush that it gives a lead takes real time.
            std::thread::sleep(CROWDED_PAUSE_MAX.mul_f64((crowd * crowd).min(1.0)));
        }
        if !self.has_room() {
            // The flush may not have seen that it is due.
            self.changed.notify();
        }
        loop {
            let seen = self.changed.count();
            if self.has_room() {
                return Ok(());
            }
            let reason = self.health.lock().index.clone();
            let late = self.clock.monotonic() >= deadline;
            if let Some(reason) = reason.or(late.then(|| "the index is too slow".to_owned())) {
                return Err(AppendError::Unavailable(reason));
            }
            if self.queue.aborted() {
                return Err(AppendError::Closed);
            }
            self.wait_for_change(seen, deadline);
        }
    }

    /// Bytes in the active memtable at which a flush is due.
    pub(crate) fn flush_bytes(&self) -> usize {
        flush_bytes(self.memtable_bytes_max())
    }
}

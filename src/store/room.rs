//! Whether the tail takes more, and how commits wait until it does.
//!
//! Room is made by everything that a checkpoint writes, not only by its end: a load that the
//! index cannot keep up with is slowed down to its pace, and never stands still.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::api::AppendError;
use super::indexing::KEPT_TAIL_BYTES;
use super::shared::Shared;

/// How long a batch is held up when the tail is all but full.
const CROWDED_PAUSE_MAX: Duration = Duration::from_millis(20);
/// How long a batch waits for a checkpoint to make room in the tail.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it looks whether there is.
const ROOM_PAUSE: Duration = Duration::from_millis(2);

impl Shared {
    /// How full the tail is: see [`super::tail::Tail::fullness`].
    pub(super) fn fullness(&self) -> f64 {
        let put_off = self.health().index.is_some();
        self.tail().fullness(self.tail_bytes_max(), put_off)
    }

    /// Most bytes in the tail. While space is scarce, no more than can go into the index when there
    /// is none but what is kept back.
    fn tail_bytes_max(&self) -> usize {
        let bytes = self.options.tail_bytes_max;
        match self.is_scarce.load(Ordering::Relaxed) {
            true => bytes.min(KEPT_TAIL_BYTES),
            false => bytes,
        }
    }

    /// Whether the tail takes more. While checkpoints are put off, all of it may be filled.
    pub(super) fn has_room(&self) -> bool {
        self.fullness() < 1.0
    }

    /// Waits until the tail has room, as long as there is reason to hope for it. Where it
    /// is getting full, a batch is held up before it has to wait.
    pub(super) fn wait_for_room(&self) -> Result<(), AppendError> {
        let deadline = Instant::now() + ROOM_WAIT_MAX;
        let crowd = (self.fullness() - 0.5) * 2.0;
        if crowd > 0.0 {
            std::thread::sleep(CROWDED_PAUSE_MAX.mul_f64((crowd * crowd).min(1.0)));
        }
        while !self.has_room() {
            let reason = self.health().index.clone();
            let late = Instant::now() >= deadline;
            if let Some(reason) = reason.or(late.then(|| "the index is too slow".to_owned())) {
                return Err(AppendError::Unavailable(reason));
            }
            if self.queue.aborted() {
                return Err(AppendError::Closed);
            }
            self.wait_for_checkpoint(ROOM_PAUSE);
        }
        Ok(())
    }

    /// Bytes in the active tail at which a checkpoint is due.
    pub(super) fn checkpoint_bytes(&self) -> usize {
        checkpoint_bytes(self.tail_bytes_max())
    }
}

/// Bytes of a tail at which a checkpoint is due: half of what it may hold. The more of a mailbox goes
/// into the index at once, the less is written for each message.
pub(super) fn checkpoint_bytes(tail_bytes_max: usize) -> usize {
    (tail_bytes_max / 2).max(1)
}

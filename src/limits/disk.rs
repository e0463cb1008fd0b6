//! The floor of free disk: below it user tokens send nothing, so that nobody's users fill the disk
//! for everyone. What is free is told by whoever has the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Limits;
use crate::metrics::Gauge;

/// How often it is to be told.
pub const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Once it was reached, so much more than the floor is to be free: this part of it. Else what is
/// accepted and what is swept would open and close it all the time.
const AGAIN_PART: u64 = 16;

#[derive(Debug)]
pub(super) struct Disk {
    is_short: AtomicBool,
    floor: Gauge,
}

impl Disk {
    pub(super) fn new(floor: Gauge) -> Self {
        Self {
            is_short: AtomicBool::new(false),
            floor,
        }
    }
}

impl Limits {
    /// So many bytes are free of those of the disk. Says in the log where that makes a difference.
    pub fn tell_disk(&self, free_bytes: u64, disk_bytes: u64) {
        let floor = self.rules().options.disk_free_min.bytes(disk_bytes);
        self.disk
            .floor
            .set(i64::try_from(floor).unwrap_or(i64::MAX));
        let was_short = self.is_disk_short();
        let more = if was_short { floor / AGAIN_PART } else { 0 };
        let is_short = free_bytes < floor.saturating_add(more);
        self.disk.is_short.store(is_short, Ordering::Relaxed);
        match (was_short, is_short) {
            (false, true) => tracing::warn!(
                free_bytes,
                disk_free_min = floor,
                "the disk is short: user tokens send nothing until there is more room"
            ),
            (true, false) => tracing::info!(free_bytes, "the disk has room again for all who send"),
            _ => {}
        }
    }

    /// Whether user tokens send nothing because little of the disk is free.
    pub fn is_disk_short(&self) -> bool {
        self.disk.is_short.load(Ordering::Relaxed)
    }
}

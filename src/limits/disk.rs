//! Minimum of free disk space: below it, sends with user tokens are refused, so one domain's users
//! cannot fill the disk for everyone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::metrics::Gauge;

/// Interval between reports of free disk space.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Hysteresis: once short, this fraction of the floor must be free on top of it. Otherwise each
/// compaction would lift the refusal and each send would bring it back.
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

    /// Takes the number of free bytes and logs a change of state.
    pub(super) fn update(&self, free_bytes: u64, floor: u64) {
        self.floor.set(i64::try_from(floor).unwrap_or(i64::MAX));
        let was_short = self.is_short();
        let more = if was_short { floor / AGAIN_PART } else { 0 };
        let is_short = free_bytes < floor.saturating_add(more);
        self.is_short.store(is_short, Ordering::Relaxed);
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

    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }
}

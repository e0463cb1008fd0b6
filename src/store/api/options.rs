//! Where a store lives and how much it may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::opening::Opening;
use crate::metrics::Metrics;
use crate::model::Retention;

/// Location and limits of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// Size of a journal segment in bytes, preallocated.
    pub segment_bytes: u64,
    /// Most bytes of the memtables: beyond it appends are refused. Lower while the disk is nearly
    /// full.
    pub memtable_bytes_max: usize,
    /// Memory for cached parts of the index.
    pub cache_bytes: u64,
    /// Most jobs in the queue of the committer.
    pub queue_max: usize,
    /// Retention of messages.
    pub retention: Retention,
    /// Notice period of a stricter retention, from its announcement on.
    pub retention_notice: Duration,
    /// Counts commits.
    pub metrics: Arc<Metrics>,
    /// Progress of the opening, and its stop.
    pub opening: Arc<Opening>,
}

impl StoreOptions {
    /// Sizes for a small store; those of a server come from its settings.
    pub fn small(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 1 << 20,
            memtable_bytes_max: 8 << 20,
            cache_bytes: 4 << 20,
            queue_max: 16_384,
            retention: Retention::default(),
            retention_notice: Duration::from_secs(60),
            metrics: Arc::default(),
            opening: Arc::default(),
        }
    }
}

//! Where a store lives and how much it may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::opening::Opening;
use crate::metrics::Metrics;
use crate::model::Retention;

/// Where the store lives and what it may use.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// Size of a journal segment in bytes, preallocated.
    pub segment_bytes: u64,
    /// Most bytes of messages in memory that are not yet in the index; above it appends are refused.
    /// Less while little of the disk is free.
    pub memtable_bytes_max: usize,
    /// Bytes of the index kept in memory.
    pub cache_bytes: u64,
    /// Most appends waiting for the committer.
    pub queue_max: usize,
    /// How long messages are kept.
    pub retention: Retention,
    /// How long a retention that erases more than the one before waits once it was told what.
    pub retention_notice: Duration,
    /// What commits are counted in.
    pub metrics: Arc<Metrics>,
    /// Told how far the opening is, and asked whether it is to go on.
    pub opening: Arc<Opening>,
}

impl StoreOptions {
    /// A small store in a directory; a server's sizes come from its settings.
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

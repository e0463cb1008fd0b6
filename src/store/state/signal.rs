//! What the threads of the store ask of one another, and why writing is impossible.

use crate::store::indexing::Builder;

/// Why nothing can be written at the moment.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The journal's reason.
    pub(crate) journal: Option<String>,
    /// Why flushes are put off.
    pub(crate) index: Option<String>,
}

/// A rebuilt index, ready to replace the current one.
pub(crate) struct Successor {
    pub(crate) builder: Box<Builder>,
    /// What [`Shared::rebuilds`](super::Shared::rebuilds) was when the build began.
    pub(crate) rebuilds: u64,
}

/// Requests to the flush thread, and its replies.
#[derive(Default)]
pub(crate) struct Signal {
    /// How often a flush was asked for, and up to which of these it is done.
    pub(crate) asked: u64,
    pub(crate) done: u64,
    /// Make a last flush and end.
    pub(crate) finish: bool,
    /// End at once.
    pub(crate) abort: bool,
    /// The thread has ended.
    pub(crate) ended: bool,
    pub(crate) successor: Option<Successor>,
    /// Whether the last successor took its place.
    pub(crate) succeeded: Option<bool>,
}

/// Requests for a compaction.
#[derive(Debug, Default)]
pub(crate) struct CompactionRequests {
    /// Counts up behind everything that makes something go.
    pub(crate) asked: u64,
    /// Of these, how many are under way: their low watermarks are not there yet.
    pub(super) under_way: u64,
    /// Whether the mark is on disk.
    pub(crate) marked: bool,
}

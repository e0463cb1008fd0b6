//! The state of an open store, and everything that is asked of it: reads, cursors, usage,
//! backpressure. The threads above work on it.

mod backpressure;
mod clock;
mod compaction;
mod cursors;
mod dedup;
mod growth;
pub(crate) mod pending_retention;
mod queue;
mod read;
mod retention;
mod shared;
mod signal;
mod usage;

#[cfg(test)]
pub(crate) use backpressure::CALM_PAUSE;
pub(crate) use queue::{ChangeReply, Dequeued, Job, Queue};
pub(crate) use shared::Shared;
pub(crate) use signal::{Health, Signal, Successor};

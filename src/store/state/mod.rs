//! The shared state of an open store, and its reads: mailboxes, cursors, backpressure. Used by the
//! threads of `commit`, `flush` and `compaction`.

mod backpressure;
mod compaction;
mod cursors;
mod growth;
pub(crate) mod pending_retention;
mod queue;
mod read;
mod retention;
mod shared;
mod signal;
mod view;

#[cfg(test)]
pub(crate) use backpressure::CALM_PAUSE;
pub(crate) use queue::{ChangeReply, Dequeued, Job, Queue};
pub use read::List;
pub(crate) use shared::Shared;
pub(crate) use signal::{Health, Signal, Successor};
pub use view::View;

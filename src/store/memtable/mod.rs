//! What is committed but not yet in the index, in memory, readable at once.
//!
//! Two generations: `active` takes what is committed; `frozen` is what a checkpoint is
//! writing into the index right now, and is dropped when it is all there and durable.
//! What a generation holds is never changed, only added to.
//!
//! Invariant: all of `frozen` is older than all of `active`, and whatever is in neither
//! is in the index. So who reads the tail first and the index second misses nothing; who
//! then takes from the index only what is below the tail's first (or at most the tail's
//! last id) sees nothing twice.

mod batch;
mod mailbox;
mod pair;
mod table;
mod usage;

pub(crate) use batch::Batch;
pub(crate) use mailbox::TailMailbox;
pub(crate) use pair::Tail;
pub(crate) use table::Generation;

//! The one writer: gives ids, makes durable, then lets the world know.
//!
//! A thread that takes all that waits as one batch, writes it as one journal frame,
//! syncs, puts it into the memtables and hands it to the publisher. Order needs no lock
//! because nobody else gives ids.
//!
//! Invariants: ids rise strictly; nothing is answered or published before its frame is
//! synced, also no repeat of a send whose original is in the same batch; of a frame that
//! failed, nothing is in memory.

mod age;
mod batch;
mod committer;
mod cursors;
pub(crate) mod publisher;
mod sends;
mod write;

pub(crate) use committer::Committer;

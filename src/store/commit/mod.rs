//! The single writer: assigns ids, makes batches durable, then publishes them.
//!
//! One thread takes everything queued as one batch, writes it as one journal frame, syncs, adds it
//! to the active memtable and hands it to the publisher. Order needs no lock because nobody else
//! assigns ids.
//!
//! Invariants: ids rise strictly; nothing is answered or published before its frame is synced, not
//! even a repeat of a send in the same batch; a failed frame leaves nothing in memory.

mod age;
mod batch;
mod committer;
mod cursors;
pub(crate) mod publisher;
mod sends;
mod write;

pub(crate) use committer::Committer;

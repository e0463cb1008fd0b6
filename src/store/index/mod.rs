//! The index: sled's trees and a blob file, for reads by mailbox, sender and id.
//!
//! Holds nothing that is not in the journal too, and can be thrown away at any time.
//! Only one thread writes an index: the flush, or the one that builds it.
//!
//! Trees: `messages` (mailbox, first id → chunk of messages), `contents` (domain, first id → what messages share),
//! `summaries` (mailbox, first id → senders of so many
//! messages), `senders` (mailbox, sender, first id → chunk of ids), `cursors`, `domains`,
//! `erased` (mailbox → up to which id), `sends-<day>` (the ids of sends, by UTC day of the id),
//! `age` (the last recorded age time), `trailer` (of the last flush).
//!
//! Invariants: within a mailbox, positions count from 0 without gaps, and so they do for
//! each sender in it; no value is longer than a few KiB.

mod apply;
mod blob;
mod chunk;
mod contents;
mod copy;
mod database;
mod engine;
mod error;
mod fixed;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod key;
pub(crate) mod location;
mod manifest;
pub(crate) mod manifest_file;
mod messages;
mod packing;
mod read;
mod retire;
mod scratch;
mod search;
mod sender;
mod senders;
mod small;
mod trailer;
mod unpacked;
mod varint;
mod verify;
mod write;

pub(crate) use apply::syncing;
pub(crate) use copy::Kept;
pub(crate) use database::Index;
pub(crate) use engine::guarded;
pub(crate) use error::IndexError;
#[cfg(test)]
pub(crate) use location::numbers;
pub(crate) use manifest::{Manifest, SmallCounts};
pub(crate) use manifest_file::{Loaded, Origin, expect_fewer_cursors, save};
pub(crate) use read::List;
pub(crate) use retire::retire;
pub(crate) use scratch::Scratch;
pub use scratch::Scratches;
pub(crate) use write::{Pacing, SYNC_BYTES};

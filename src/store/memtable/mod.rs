//! Memtables: what is committed but not yet in the index, readable at once.
//!
//! There are two: `active` takes commits; `immutable` is being flushed, and is dropped once all of
//! it is durable in the index. Memtables are append-only.
//!
//! Invariant: all of `immutable` is older than all of `active`, and whatever is in neither is in
//! the index. So a reader that looks at the memtables first and the index second misses nothing;
//! and if it takes from the index only ids up to the one behind which they start, it sees nothing
//! twice.

mod batch;
mod mailbox;
mod pair;
mod snapshot;
mod table;
mod usage;

pub(crate) use batch::EncodedBatch;
pub(crate) use mailbox::MailboxPart;
pub(crate) use pair::Memtables;
pub(crate) use snapshot::Snapshot;
pub(crate) use table::Memtable;

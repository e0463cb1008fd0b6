//! What is committed but not yet in the index, in memory, readable at once.
//!
//! Two memtables: `active` takes what is committed; `immutable` is what a flush is
//! writing into the index right now, and is dropped when it is all there and durable.
//! What a memtable holds is never changed, only added to.
//!
//! Invariant: all of `immutable` is older than all of `active`, and whatever is in neither
//! is in the index. So who reads the memtables first and the index second misses nothing; who
//! then takes from the index only what is below the memtables' first (or at most the memtables'
//! last id) sees nothing twice.

mod batch;
mod mailbox;
mod pair;
mod table;
mod usage;

pub(crate) use batch::EncodedBatch;
pub(crate) use mailbox::MailboxPart;
pub(crate) use pair::Memtables;
pub(crate) use table::Memtable;

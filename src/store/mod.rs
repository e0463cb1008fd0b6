//! Answers "what is in this mailbox above or below this id", durably.
//!
//! Knows nothing of sockets, HTTP or sessions. Everything that must survive is
//! written to the journal and synced before anyone is told of it.
//!
//! ```text
//! append → queue → commit ─ frame, sync → journal ┄┄ replay ┄┄┐
//!                    │                                        ↓
//!                    ├→ memtable ────────── flush ─────────→ index (sled)
//!                    └→ publisher → sink, then the senders' answers
//! reads: memtables first, then index
//! ```
//!
//! A data directory holds `VERSION`, `LOCK`, `journal/` (the truth), `db/` (the index,
//! rebuilt from the journal whenever it is missing, torn or short) and `db.state`, its
//! manifest (how far the index is). Other files in it are left alone.
//!
//! The rooms, top to bottom; each uses only those below it:
//!
//! - `handle`, `threads`: the store as its callers see it, and the threads behind it;
//! - `recovery`, `survey`, `stored_domains`: from a directory to a running store, and what can
//!   be read from a stopped one;
//! - `repair`, `backup`, `check`: work on a stopped directory;
//! - `commit`, `flush`, `compaction`: the threads that write;
//! - `state`: what these threads and all readers share;
//! - `indexing`, `index`: the index, and how it is brought up to the journal;
//! - `memtable`, `directory`, `journal`: what is in memory and what is on disk;
//! - `disk`, `data`, `age`, `api`: file operations, stored records, expiry, public types.

mod age;
mod api;
mod backup;
mod check;
mod commit;
mod compaction;
mod data;
mod directory;
mod disk;
mod flush;
mod handle;
mod index;
mod indexing;
mod journal;
mod memtable;
mod recovery;
mod repair;
mod state;
mod stored_domains;
mod survey;
#[cfg(test)]
mod tests;
mod threads;

/// Round trips of the stored forms.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing {
    pub use super::data::record::fuzzing::record_round_trip;
    pub use super::index::fuzzing::{chunk_round_trip, manifest_round_trip};
    pub use super::journal::frame_round_trip;
}

pub use age::ClockHold;
pub use api::{
    Accepted, AppendError, Backlog, CommitSink, Damage, DiskBytes, DiskRoom, Done, EnterDone,
    Entered, FileError, OpenError, Opening, Portion, ReadError, StoreOptions, StoreStats,
};
pub use backup::{BackupError, Copied, Restored, backup, restore};
pub use check::{CheckReport, IndexCondition, Note, Progress, check};
pub use data::stored_bytes;
pub use directory::{Claim, Holder, Owner, holder, owner_of};
pub use handle::Store;
pub use index::Scratches;
pub use journal::Position;
pub use repair::{Loss, Repaired, repair};
pub use state::{List, View};
pub use stored_domains::stored_domains;
pub use survey::{Survey, survey};

//! Backups: copies of the journal that are brought up to date, verified, and put back.
//!
//! A backup is a directory like the data directory, without what can be rebuilt: `VERSION`,
//! `relaybox.toml` if there, `journal/`, and `BACKUP`, which says how far it got.
//!
//! Invariants: a running server is only read from, and waits for nothing; every frame is
//! verified before it takes its place in the backup; files take their place whole, in
//! ascending order, so that a backup that is interrupted holds a beginning of the journal
//! that is at least as long as before.

mod copy;
mod error;
mod restore;
mod run;
mod small_files;
mod target;

pub use error::BackupError;
pub use restore::{RestoreError, Restored, restore};
pub use run::{Copied, backup};

//! Backups: copies of the journal that are brought up to date, verified, and restored.
//!
//! A backup is a data directory without what can be rebuilt: `VERSION`, `relaybox.toml` if there is
//! one, `journal/`, and `BACKUP`, which records how far it reaches.
//!
//! Invariants: a running server is only read from and never waits; every frame is verified before
//! it becomes part of the backup; files are renamed into place whole and in ascending order, so an
//! interrupted backup holds a prefix of the journal, at least as long as before.

mod copy;
mod error;
mod restore;
mod run;
mod target;

pub use error::BackupError;
pub use restore::{Restored, restore};
pub use run::{Copied, backup};

//! Reads a whole data directory, or a backup, and says what is wrong with it.
//!
//! Invariants: all damage is named, not only the first; nothing of the journal is written;
//! memory for one segment at most, and only where it is damaged.

mod condition;
mod journal;
mod judge;
mod known;
mod note;
mod report;
mod run;
pub(crate) mod segment;
mod walk;

pub(crate) use judge::{end_note, judge};
pub(crate) use known::{known, segments};
pub use note::Note;
pub use report::{CheckReport, Damage, IndexCondition, Progress};
pub use run::check;
pub(crate) use segment::{Piece, Plain, plain, read_headless};
pub(crate) use walk::{Next, Walk};

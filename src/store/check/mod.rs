//! Reads a whole data directory, or a backup, and reports all damage.
//!
//! Invariants: all damage is reported, not only the first; the journal is never written; at most
//! one segment is held in memory, and only if it is damaged.

mod condition;
mod journal;
mod judge;
mod note;
mod report;
mod run;
mod walk;

pub(crate) use judge::{end_note, judge};
pub use note::Note;
pub use report::{CheckReport, IndexCondition, Progress};
pub use run::check;
pub(crate) use walk::{Next, Walk};

//! Mends a damaged journal: keeps everything that can be read and sets the rest aside.
//!
//! Invariants: no byte is destroyed: every file that is not kept as it is lies in
//! `journal.damaged-<n>` afterwards; what takes room is made there first, before anything is
//! changed, and then only changes places; at any moment each name leads to a whole file, so an
//! interrupted repair is simply done again; the index is rebuilt at the next start.

mod chain;
mod plan;
mod run;
mod scan;

pub use plan::Loss;
pub use run::{Repaired, repair};

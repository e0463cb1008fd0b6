//! Repairs a damaged journal: keeps everything readable and sets the rest aside.
//!
//! Invariants: no byte is destroyed: every file that is not kept as it is ends up in
//! `journal.damaged-<n>`; everything that needs disk space is written there first, before anything
//! changes, and is then only renamed; at any moment each name leads to a whole file, so an
//! interrupted repair is simply repeated; the index is rebuilt at the next start.

mod chain;
mod plan;
mod run;
mod scan;

pub use run::{Repaired, repair};
pub use scan::Loss;

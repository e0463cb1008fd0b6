//! Compaction: gives back the disk space of erased and expired messages and of removed domains.
//!
//! Low watermarks hide this data at once. A compaction then rewrites the sealed segments that hold
//! them, rebuilds the index beside the current one, and has the flush thread swap it in. Reads and
//! commits go on meanwhile.
//!
//! Invariants: a segment is rewritten only when the index is past it; segments are rewritten in
//! ascending order, so the record of an erasure outlives what it hides; `sweep.due` is written before
//! an erasure takes effect and removed once none of the erased data is left on disk, so an
//! interrupted compaction is repeated.

mod compactor;
mod compression;
mod error;
mod filter;
mod gone;
mod rebuild;
mod scrub;
#[cfg(test)]
mod tests;

pub(crate) use compactor::Compactor;
pub(crate) use compression::compress_sealed;

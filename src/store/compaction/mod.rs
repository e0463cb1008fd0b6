//! The thread that gives back the space of what is gone: erased, expired, of removed domains.
//!
//! Low watermarks hide what is gone at once. A compaction removes it: it rewrites the sealed segments that
//! hold some of it, then rebuilds the index beside the one that counts, and has the
//! flush put it in place. Readers and commits go on meanwhile.
//!
//! Invariants: a segment is rewritten only when the index that counts is beyond it; segments
//! are gone through upwards, so the record of an erasure outlives what it hides; the file
//! `sweep.due` is there from before an erasure counts until nothing of it is on disk, so that
//! a compaction that was interrupted is done again.

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

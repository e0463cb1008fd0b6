//! The thread that gives back the space of what is gone: erased, expired, of removed domains.
//!
//! Floors hide what is gone at once. A sweep removes it: it makes the sealed segments that
//! hold some of it anew, then makes the index anew beside the one that counts, and has the
//! checkpoint put it in place. Readers and commits go on meanwhile.
//!
//! Invariants: a segment is made anew only when the index that counts is beyond it; segments
//! are gone through upwards, so the record of an erasure outlives what it hides; the file
//! `sweep.due` is there from before an erasure counts until nothing of it is on disk, so that
//! a sweep that was interrupted is done again.

mod compactor;
mod compression;
mod error;
mod filter;
mod gone;
mod rebuild;
mod scrub;
#[cfg(test)]
mod tests;

pub(crate) use compactor::Sweeper;
pub(crate) use compression::compress_sealed;

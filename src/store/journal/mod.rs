//! The journal: everything that must survive, in order.
//!
//! A directory of numbered segments, each a header and frames; a frame is one group commit. The
//! journal is the source of truth: everything else in the data directory can be rebuilt from it.
//!
//! Invariants: a frame is written once, synced, and only then acknowledged; sequences rise by one
//! across segments; a segment that has a successor is never written again; damage is reported with
//! file and offset, never skipped.

mod frame;
mod pack;
mod position;
mod reader;
mod rewrite;
mod salvage;
mod scanner;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

#[cfg(any(test, feature = "fuzzing"))]
pub use frame::fuzzing::frame_round_trip;
pub(crate) use frame::{Frame, FrameBuffer, MARK_BYTES};
pub(crate) use pack::{Packer, Unpacker, compress, is_compressed};
pub use position::Position;
pub(crate) use reader::{End, Outcome, check_headers, clear, list, replay, segments};
pub(crate) use rewrite::{RecordFilter, Sealed};
pub(crate) use scanner::{Event, Scanner, bad_in_sealed, follows, header_of};
#[cfg(test)]
pub(crate) use segment::ZSTD_MAGIC;
pub(crate) use segment::{HEADER_BYTES, SegmentHeader, SegmentName, TEMPORARY};
pub(crate) use writer::{Writer, WriterStart};

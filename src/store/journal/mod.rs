//! The journal: everything that must survive, in the order in which it happened.
//!
//! A directory of numbered segments, each a header and frames; a frame is one group
//! commit. The journal is the truth, all else in the data directory can be made from it.
//!
//! Invariants: a frame is written once, synced, and only then told of; sequences rise
//! by one over all segments; a segment that has a successor is never written again; what
//! is damaged is reported with file and offset, never skipped.

mod frame;
mod pack;
mod reader;
mod rewrite;
mod segment;
mod stream;
mod writer;

pub(super) use frame::{Frame, FrameBuffer, MARK_BYTES, find_valid};
pub(super) use pack::{PART_BYTES, Packer, compress};
pub(super) use reader::{End, Outcome, check_headers, clear, list, replay};
pub(super) use rewrite::{Sealed, Sieve, last_id_before};
pub(super) use segment::{
    HEADER_BYTES, SegmentHeader, SegmentName, TEMPORARY, ZSTD_MAGIC, is_compressed,
};
pub(super) use stream::{SegmentStream, Step, uncompressed};
pub(super) use writer::{Writer, WriterStart};

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) struct Position {
    /// The segment's number.
    pub(super) segment: u64,
    /// Bytes from its (uncompressed) beginning.
    pub(super) offset: u64,
    /// The sequence of the frame that comes here.
    pub(super) sequence: u64,
}

impl Position {
    /// Before the first frame of all.
    pub(super) const START: Self = Self {
        segment: 1,
        offset: segment::HEADER_BYTES as u64,
        sequence: 1,
    };
}

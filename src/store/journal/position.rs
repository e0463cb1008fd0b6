//! A position in the journal.

use super::segment;

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Position {
    /// The segment's number.
    pub(crate) segment: u64,
    /// Bytes from its (uncompressed) beginning.
    pub(crate) offset: u64,
    /// The sequence of the frame that comes here.
    pub(crate) sequence: u64,
}

impl Position {
    /// Before the first frame of all.
    pub(crate) const START: Self = Self {
        segment: 1,
        offset: segment::HEADER_BYTES as u64,
        sequence: 1,
    };
}

/// How far a journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEnd {
    /// The segment that is written on.
    pub segment: u64,
    /// Its bytes up to here.
    pub offset: u64,
    /// The sequence of the frame that comes next.
    pub sequence: u64,
}

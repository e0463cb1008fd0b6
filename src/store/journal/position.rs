//! A position in the journal.

use serde::{Deserialize, Serialize};

use super::frame::Frame;
use super::segment;

/// A position between two frames. The end of a journal is one: everything that was acknowledged is
/// before it.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from its (uncompressed) beginning.
    pub offset: u64,
    /// The sequence of the frame that comes here.
    pub sequence: u64,
}

impl Position {
    /// Before the first frame of all.
    pub(crate) const START: Self = Self {
        segment: 1,
        offset: segment::HEADER_BYTES as u64,
        sequence: 1,
    };

    /// Behind `frame`, which begins here.
    pub(crate) fn behind(self, frame: &Frame<'_>) -> Self {
        Self {
            segment: self.segment,
            offset: self.offset + frame.bytes.len() as u64,
            sequence: frame.sequence.saturating_add(1),
        }
    }
}

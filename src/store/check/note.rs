//! Notes about a data directory in which nothing is damaged.

use std::path::PathBuf;

/// An oddity. Everything present is valid all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// The newest segment is sealed. A running server always has an open one, and begins it before
    /// its predecessor counts as sealed.
    #[error(
        "the newest segment is sealed, and what followed it may be missing: {0} is the last one \
         here. A tool that leaves out files that change makes such a copy (rclone does), and so \
         does one in whose time the segment was sealed. Copy it again, or use relaybox backup"
    )]
    Sealed(PathBuf),
    /// A backup's last run was interrupted.
    #[error(
        "the last backup into this place was interrupted, and what came last may be missing; run \
         it again"
    )]
    Interrupted,
    /// Left by a crash, or by a tool that copies in blocks.
    #[error(
        "behind the last frame stand {0} bytes that a crash left; nobody was told of them, and the \
         next start cuts them off"
    )]
    Torn(u64),
    /// A copy whose journal ends between two frames: it was copied before the index, or the copying
    /// was interrupted.
    #[error(
        "the index was copied later than the journal; it is rebuilt; if the copying came to its \
         end, nothing that was acknowledged before the copy is missing"
    )]
    IndexCopiedLater,
    /// A copy whose journal ends within a frame, or lacks a segment that the index names.
    #[error(
        "the journal breaks off in segment {segment} before frame {ends}, and what followed it may \
         be missing: the index is in segment {index_segment} and has everything before frame \
         {indexed}. So it is where the journal was read earlier than the index, and where not all \
         of it was copied. Copy it again, or use relaybox backup"
    )]
    BreaksOff {
        /// The last segment.
        segment: u64,
        /// The sequence that comes behind it.
        ends: u64,
        /// The segment that the index is in.
        index_segment: u64,
        /// The sequence that it is at.
        indexed: u64,
    },
    /// Perhaps a copy: the index knows of frames that the journal lacks.
    #[error(
        "the journal ends before frame {ends}, but the index has everything before frame \
         {indexed}, and nothing tells whether this is a copy. If it is one, its index was copied \
         later than its journal, or not all of the journal was copied; if it is none, its newest \
         messages are missing"
    )]
    IndexAhead {
        /// The sequence that comes behind the journal.
        ends: u64,
        /// The one that the index is at.
        indexed: u64,
    },
    /// The file is missing or empty.
    #[error("VERSION is missing: it is made anew at the next start")]
    NoVersion,
    /// Segments with zeros behind their end.
    #[error(
        "zeros stand behind the end of {files} sealed segments, the first {first}: tools that \
         copy in blocks leave them, and they are no damage"
    )]
    Padded {
        /// How many.
        files: u64,
        /// The first.
        first: PathBuf,
    },
}

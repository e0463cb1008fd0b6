//! Why a compaction did not finish.

use std::io;

use crate::store::api::FileError;
use crate::store::disk::OutOfSpace;
use crate::store::index::IndexError;
use crate::store::indexing::BuildError;

/// Why a compaction did not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompactionError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] FileError),
    /// The index cannot be read or made.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store closes.
    #[error("the store is closing")]
    Stopped,
}

impl OutOfSpace for CompactionError {
    fn is_out_of_space(&self) -> bool {
        match self {
            Self::Io(error) => error.is_out_of_space(),
            Self::Index(error) => error.is_out_of_space(),
            Self::Journal(_) | Self::Stopped => false,
        }
    }
}

impl From<BuildError> for CompactionError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Journal(error) => error.into(),
            BuildError::Index(error) => error.into(),
            BuildError::Surroundings(error) => error.into(),
        }
    }
}

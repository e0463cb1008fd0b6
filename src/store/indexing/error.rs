//! Errors of bringing an index up to the journal.

use crate::store::api::FileError;
use crate::store::disk::OutOfSpace;
use crate::store::index::IndexError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] FileError),
    /// The index is unusable: build a new one.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A file beside the index cannot be written, or there is no space. The index itself is fine.
    #[error("the index cannot be brought up to the journal: {0}")]
    Surroundings(#[from] std::io::Error),
}

impl OutOfSpace for BuildError {
    fn is_out_of_space(&self) -> bool {
        match self {
            Self::Journal(_) => false,
            Self::Index(error) => error.is_out_of_space(),
            Self::Surroundings(error) => error.is_out_of_space(),
        }
    }
}

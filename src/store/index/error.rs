//! Why the index did not do what it was asked for.

use std::io;

use crate::store::api::{AppendError, ReadError};
use crate::store::disk::OutOfSpace;

#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum IndexError {
    /// sled, or a file of the index, refused.
    #[error("{0}")]
    Engine(String),
    /// Temporarily unavailable: being exchanged, or still in use.
    #[error("{0}")]
    Busy(&'static str),
    #[error("{0}")]
    Damaged(String),
    /// The index of a copied data directory, whose files are of different moments.
    #[error("it was copied file by file")]
    Copied,
    /// No space to write. Everything durable is valid.
    #[error("{0}")]
    OutOfSpace(String),
    #[error("the index panicked")]
    Panicked,
    /// The caller has given up.
    #[error("the store is closing")]
    Closing,
}

impl OutOfSpace for IndexError {
    fn is_out_of_space(&self) -> bool {
        matches!(self, Self::OutOfSpace(_))
    }
}

/// A finding about stored bytes.
impl From<&str> for IndexError {
    fn from(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }
}

impl From<String> for IndexError {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        match error.is_out_of_space() {
            true => Self::OutOfSpace(error.to_string()),
            false => Self::Engine(error.to_string()),
        }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Damaged(what) => Self::Damaged(what),
            _ => Self::Index(error.to_string()),
        }
    }
}

impl From<IndexError> for AppendError {
    fn from(error: IndexError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

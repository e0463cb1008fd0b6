//! Why the index did not do what it was asked for.

use std::io;

use crate::store::api::{AppendError, ReadError};
use crate::store::disk::OutOfSpace;

/// Why the index did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum IndexError {
    /// sled, or a file of the index, refused.
    #[error("{0}")]
    Engine(String),
    /// It is away, or still in use: not for long.
    #[error("{0}")]
    Busy(&'static str),
    /// A stored value is not what it must be.
    #[error("{0}")]
    Damaged(String),
    /// It came with a copy of the data directory, and each of its files is of another moment.
    #[error("it was copied file by file")]
    Copied,
    /// There is no room to write it. What is durable of it is right.
    #[error("{0}")]
    OutOfSpace(String),
    /// sled gave up in a panic.
    #[error("the index panicked")]
    Panicked,
    /// Whoever wanted something of it wants it no more.
    #[error("the store is closing")]
    Closing,
}

impl OutOfSpace for IndexError {
    fn is_out_of_space(&self) -> bool {
        matches!(self, Self::OutOfSpace(_))
    }
}

/// A finding in stored bytes.
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

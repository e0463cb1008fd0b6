//! Errors of a backup.

use std::path::PathBuf;

use crate::store::api::{Damage, FileError, OpenError};

/// Why there is no backup. What was in its place before is still there, or more of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data directory, or the backup, cannot be read or written.
    #[error(transparent)]
    Files(OpenError),
    /// The backup's place is within what is backed up.
    #[error("the backup {dest} would be inside the data directory {dir}: choose another place")]
    Inside {
        /// The place.
        dest: PathBuf,
        /// The data directory.
        dir: PathBuf,
    },
    /// The place holds something else.
    #[error("{dest} is neither empty nor a backup: it holds {entry:?}")]
    NoBackup {
        /// The place.
        dest: PathBuf,
        /// Something in it.
        entry: String,
    },
    /// It is not an earlier state of the same data directory.
    #[error("{dest} is no earlier backup of {dir}: {why}; choose another place")]
    Another {
        /// The place.
        dest: PathBuf,
        /// The data directory.
        dir: PathBuf,
        /// What says so.
        why: String,
    },
    /// The data directory is damaged, or the disk of the backup does not keep what it is given.
    #[error("the backup is not complete: {0}; relaybox check tells more")]
    Damaged(Damage),
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::File(FileError::Damaged(damage)) => Self::Damaged(damage),
            other => Self::Files(other),
        }
    }
}

impl From<FileError> for BackupError {
    fn from(error: FileError) -> Self {
        OpenError::from(error).into()
    }
}

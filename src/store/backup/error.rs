//! Errors of a backup and of a restore.

use std::path::PathBuf;

use crate::store::api::{Damage, FileError, OpenError};

/// Why there is no backup, or nothing was restored. Of a backup, what was in its place before is
/// still there, or more of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A directory is in use, or cannot be read or written.
    #[error(transparent)]
    Files(#[from] OpenError),
    /// The backup's place is within what is backed up.
    #[error("the backup {dest} would be inside the data directory {dir}: choose another place")]
    Inside {
        /// The place.
        dest: PathBuf,
        /// The data directory.
        dir: PathBuf,
    },
    /// The backup's place holds something else.
    #[error("{dest} is neither empty nor a backup: it holds {entry:?}")]
    Occupied {
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
    Incomplete(Damage),
    /// There is nothing to restore.
    #[error("{0} is neither a backup nor a copy of a data directory")]
    NoBackup(PathBuf),
    /// The place of a restore is taken.
    #[error("{dir} is not empty: it holds {entry:?}; restore into a new directory")]
    NotEmpty {
        /// The place.
        dir: PathBuf,
        /// Something in it.
        entry: String,
    },
    /// What is to be restored is damaged.
    #[error(
        "the backup is damaged in {places} places, the first: {first}; relaybox check names \
         them all, and with --repair keeps what can be read"
    )]
    Damaged {
        /// How many places.
        places: u64,
        /// The first.
        first: Damage,
    },
}

impl From<FileError> for BackupError {
    fn from(error: FileError) -> Self {
        Self::Files(error.into())
    }
}

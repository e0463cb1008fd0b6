//! Why the store refused an append, a read or an open. Each is a sentence for its reader.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why a change was not accepted. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The journal or the index cannot be written.
    #[error("the storage cannot be written: {0}")]
    Unavailable(String),
    /// The queue is full.
    #[error("the storage has too many messages waiting")]
    Overloaded,
    /// The domain has been removed.
    #[error("the domain has been removed")]
    DomainRemoved,
    /// No such send was accepted within the last 24 hours.
    #[error("it was not sent before")]
    NotRepeated,
    /// The store has been closed.
    #[error("the server is shutting down")]
    Closed,
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The index could not be read.
    #[error("the index cannot be read: {0}")]
    Index(String),
    /// A stored value is damaged.
    #[error("the index is damaged: {0}")]
    Damaged(String),
}

/// Why a data directory could not be opened. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("the data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// A file that is written in place has a second name elsewhere.
    #[error(
        "{0} has another name, too, as in a copy that is made of hard links: whatever is written \
         into one is written into the other; make a real copy (cp -a, relaybox backup), and remove \
         this one or that one"
    )]
    Linked(PathBuf),
    /// A file of it cannot be read or written, or is damaged where it must not be.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something else has its path.
    #[error("{path} is no data directory: {what}")]
    NoDirectory {
        /// The path.
        path: PathBuf,
        /// What is found there.
        what: &'static str,
    },
    /// It does not exist.
    #[error("there is no data directory {0}: --data DIR or RELAYBOX_DATA names the right one")]
    Missing(PathBuf),
    /// A restore was interrupted.
    #[error(
        "a restore into {0} was interrupted, and it does not hold everything: run the restore again"
    )]
    HalfRestored(PathBuf),
    /// No space for a repair.
    #[error(
        "there is no room to repair {dir}, and nothing of it was changed: make room for up to {} \
         MiB and {files} files ({source})",
        bytes.div_ceil(1 << 20)
    )]
    NoRoom {
        /// The directory.
        dir: PathBuf,
        /// Bytes needed, at most.
        bytes: u64,
        /// Files needed, at most.
        files: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// The opening was stopped.
    #[error("the start was stopped")]
    Stopped,
    /// A newer relaybox wrote it.
    #[error("the data directory has version {found}, and this relaybox knows only up to {known}")]
    TooNew {
        /// The directory's version.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
}

/// Why a file of the data directory could not be used. What reads and writes the journal returns.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// An operation on it failed.
    #[error("{action} {path}: {source}{}", remedy(path, source))]
    Io {
        /// What was tried: "cannot create", "cannot read", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} is damaged at byte {offset}: {what}")]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes; of a compressed segment, in its uncompressed ones.
    pub offset: u64,
    /// What was found.
    pub what: String,
}

impl FileError {
    pub(crate) fn damaged(path: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged(Damage {
            path: path.into(),
            offset,
            what: what.into(),
        })
    }
}

/// Puts what was tried, and on what, beside the system's reason.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io {
        action,
        path,
        source,
    }
}

/// What helps if a file belongs to another user than its directory: the end of a sentence.
fn remedy(path: &Path, error: &io::Error) -> String {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let (Some(dir), true) = (path.parent(), denied) else {
        return String::new();
    };
    let (Ok(file), Ok(around)) = (fs::metadata(path), fs::metadata(dir)) else {
        return String::new();
    };
    match (file.uid(), around.uid()) {
        (user, owner) if user != owner => {
            let dir = dir.display();
            format!(
                "; it belongs to user {user}, but {dir} to user {owner}: chown -R {owner} {dir}"
            )
        }
        _ => String::new(),
    }
}

//! What the store takes and answers: its words, without its workings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::opening::Opening;
use crate::metrics::Metrics;
use crate::model::{Message, MsgId, Retention};

/// Where the store lives and what it may use.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// Size of a journal segment in bytes, preallocated.
    pub segment_bytes: u64,
    /// Most bytes of messages in memory that are not yet in the index; above it appends are refused.
    /// Less while little of the disk is free.
    pub tail_bytes_max: usize,
    /// Bytes of the index kept in memory.
    pub cache_bytes: u64,
    /// Most appends waiting for the committer.
    pub queue_max: usize,
    /// How long messages are kept.
    pub retention: Retention,
    /// How long a retention that erases more than the one before waits once it was told what.
    pub retention_notice: Duration,
    /// What commits are counted in.
    pub metrics: Arc<Metrics>,
    /// Told how far the opening is, and asked whether it is to go on.
    pub opening: Arc<Opening>,
}

impl StoreOptions {
    /// A small store in a directory; a server's sizes come from its settings.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 1 << 20,
            tail_bytes_max: 8 << 20,
            cache_bytes: 4 << 20,
            queue_max: 16_384,
            retention: Retention::default(),
            retention_notice: Duration::from_secs(60),
            metrics: Arc::default(),
            opening: Arc::default(),
        }
    }
}

/// How much is where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Sends and logins that wait for the journal.
    pub queue: usize,
    /// Bytes of these sends.
    pub queue_bytes: usize,
    /// Bytes in memory that are not in the index yet, about.
    pub tail_bytes: usize,
    /// How long the oldest of them has been there.
    pub tail_age: Duration,
    /// The number of the journal segment that is written on.
    pub segment: u64,
    /// Group commits since the directory was made.
    pub frames: u64,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskBytes {
    /// Of the journal.
    pub journal: u64,
    /// Of the index.
    pub index: u64,
    /// That the file system has left.
    pub free: u64,
}

/// The file system of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskRoom {
    /// Bytes that this user may still write; 0 where no more files can be made.
    pub free: u64,
    /// All its bytes.
    pub total: u64,
}

/// A part of what a mailbox has above an id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// Where they are all: up to this id there is nothing else, and nothing will ever come. `None`
    /// where there may be more.
    pub upto: Option<MsgId>,
}

/// Receives every committed message once, in the order of `msgId`, from one thread.
pub trait CommitSink: Send + Sync {
    /// Called when the messages are durable and readable. Must not block.
    fn committed(&self, messages: &[Message]);
}

/// Tells the sender of a draft what became of it.
pub type Done = Box<dyn FnOnce(Result<Accepted, AppendError>) + Send>;

/// Tells a device that logs in its receipt cursor.
pub type EnterDone = Box<dyn FnOnce(Result<Entered, AppendError>) + Send>;

/// A draft that has been accepted, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// One id for each recipient, in their order.
    pub ids: Vec<MsgId>,
    /// Whether the same `clientMsgId` had been accepted before; the ids are then that one's.
    pub duplicate: bool,
    /// What that has added to [`super::Store::usage`].
    pub stored_bytes: u64,
}

/// A device that has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Its receipt cursor.
    pub cursor: MsgId,
    /// What that has added to [`super::Store::usage`].
    pub stored_bytes: u64,
}

/// Why something was not accepted; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The journal or the index cannot be written; tried again when there is reason to.
    #[error("the storage cannot be written: {0}")]
    Unavailable(String),
    /// More appends are waiting than may.
    #[error("the storage has too many messages waiting")]
    Overloaded,
    /// The domain has been removed.
    #[error("the domain has been removed")]
    DomainRemoved,
    /// It is no repeat of a send that was accepted within the last 24 hours.
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
    /// A stored value does not parse: damage.
    #[error("the index is damaged: {0}")]
    Damaged(String),
}

/// Why a data directory could not be opened. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// It shares a file that is written in place with another directory.
    #[error(
        "{0} has another name, too, as in a copy that is made of hard links: whatever is written \
         into one is written into the other; make a real copy (cp -a, relaybox backup), and remove \
         this one or that one"
    )]
    Linked(PathBuf),
    /// A file operation failed.
    #[error("{action} {path}: {source}{}", super::owner::remedy(path, source))]
    Io {
        /// What was tried: "cannot create", "cannot read", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of it is damaged where it must not be.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// Something else stands in its place.
    #[error("{path} is no data directory: {what}")]
    NoDirectory {
        /// The place.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// There is none.
    #[error("there is no data directory {0}: --data DIR or RELAYBOX_DATA names the right one")]
    Missing(PathBuf),
    /// A restore into it did not come to its end.
    #[error(
        "a restore into {0} was interrupted, and it does not hold everything: run the restore again"
    )]
    HalfRestored(PathBuf),
    /// There is no room for a repair.
    #[error(
        "there is no room to repair {dir}, and nothing of it was changed: make room for up to {} \
         MiB and {files} files ({source})",
        bytes.div_ceil(1 << 20)
    )]
    NoRoom {
        /// The directory.
        dir: PathBuf,
        /// Bytes that it takes at most,
        bytes: u64,
        /// and files.
        files: usize,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The opening was stopped.
    #[error("the start was stopped")]
    Stopped,
    /// It was written by a newer relaybox.
    #[error("the data directory has version {found}, and this relaybox knows only up to {known}")]
    TooNew {
        /// The directory's version.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
}

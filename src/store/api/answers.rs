//! What the store answers, and the callbacks through which it does.

use std::time::Duration;

use super::error::AppendError;
use crate::model::{Message, MsgId};

/// Sizes of a running store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Sends and logins in the queue of the committer.
    pub queue: usize,
    /// Bytes of their contents.
    pub queue_bytes: usize,
    /// Approximate bytes of the memtables.
    pub memtable_bytes: usize,
    /// Age of their oldest entry.
    pub memtable_age: Duration,
    /// Number of the open journal segment.
    pub segment: u64,
    /// Group commits since the directory was made.
    pub frames: u64,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskBytes {
    /// Size of the journal.
    pub journal: u64,
    /// Size of the index.
    pub index: u64,
    /// Free space.
    pub free: u64,
}

/// The file system of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskRoom {
    /// Bytes that this user may still write; 0 if no more files can be created.
    pub free: u64,
    /// Size of the file system.
    pub total: u64,
}

/// Messages of a mailbox above an id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// `Some(id)`: complete up to `id`. `None`: there may be more.
    pub upto: Option<MsgId>,
}

/// Receives every committed message once, in the order of `msgId`, from one thread.
pub trait CommitSink: Send + Sync {
    /// Called when the messages are durable and readable. Must not block.
    fn committed(&self, messages: &[Message]);
}

/// Receives the outcome of a draft.
pub type Done = Box<dyn FnOnce(Result<Accepted, AppendError>) + Send>;

/// Receives the outcome of a login.
pub type EnterDone = Box<dyn FnOnce(Result<Entered, AppendError>) + Send>;

/// An accepted draft, new or repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// One id for each recipient, in their order.
    pub ids: Vec<MsgId>,
    /// Whether the same `clientMsgId` had been accepted before. The ids are those of that send.
    pub duplicate: bool,
    /// Bytes added to [`crate::store::Store::usage`].
    pub stored_bytes: u64,
}

/// A completed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Its receipt cursor.
    pub cursor: MsgId,
    /// What that has added to [`crate::store::Store::usage`].
    pub stored_bytes: u64,
}

//! What the store answers, and the callbacks through which it does.

use std::time::Duration;

use super::error::AppendError;
use crate::model::{Message, MsgId};

/// How much is where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Sends and logins that wait for the journal.
    pub queue: usize,
    /// Bytes of these sends.
    pub queue_bytes: usize,
    /// Bytes in memory that are not in the index yet, about.
    pub memtable_bytes: usize,
    /// How long the oldest of them has been there.
    pub memtable_age: Duration,
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
    /// What that has added to [`crate::store::Store::usage`].
    pub stored_bytes: u64,
}

/// A device that has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Its receipt cursor.
    pub cursor: MsgId,
    /// What that has added to [`crate::store::Store::usage`].
    pub stored_bytes: u64,
}

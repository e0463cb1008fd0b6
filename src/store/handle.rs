//! The handle of an open store: everything that callers may ask of it.

mod devices;
mod usage;

use std::sync::Arc;

use parking_lot::Mutex;

use super::threads;
use super::threads::Threads;
use crate::clock::Clock;
use crate::model::{ClientMsgId, Domain, DomainRecord, Draft, Mailbox, MsgId, Retention};
use crate::store::age::ClockHold;
use crate::store::api::{
    AppendError, Backlog, CommitSink, Done, OpenError, ReadError, StoreOptions,
};
use crate::store::data::SendKey;
use crate::store::directory::Claim;
use crate::store::disk::{FileSystem, RealFileSystem};
use crate::store::journal::Position;
use crate::store::state::{ChangeReply, Job, Shared, View};

/// The messages, cursors, idempotency keys and domains of one data directory.
///
/// Dropping the last clone without [`Store::close`] is like a crash: nothing that was
/// accepted is lost, but the next open has to verify the index.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let threads = self.threads.get_mut();
        if let Some(threads) = threads.take() {
            threads.abort();
        }
    }
}

impl Store {
    pub(super) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Hands a draft to the committer. Never blocks. `done` is called once: from another thread,
    /// after the sink has the messages or with the error; from this one if the draft is refused at
    /// once (overloaded, closed).
    pub fn append(&self, draft: Draft, done: Done) {
        let draft = Box::new(draft);
        self.shared().queue.push(Job::Append { draft, done });
    }

    /// Answers a repeat of an accepted send as [`Store::append`] does. Anything else gets
    /// [`AppendError::NotRepeated`], and nothing is stored.
    pub fn repeat(&self, sender: &Mailbox, client_msg_id: ClientMsgId, done: Done) {
        let key = Box::new(SendKey {
            domain: sender.domain.clone(),
            from_id: sender.user.clone(),
            client_msg_id,
        });
        self.shared().queue.push(Job::Repeat { key, done });
    }

    /// Whether the committer keeps up. A caller that accepts no sends while it does not is never
    /// refused as [`AppendError::Overloaded`].
    pub fn has_room(&self) -> bool {
        self.shared().queue.has_room()
    }

    /// The store as it is now, for a read in several steps.
    pub fn view(&self) -> View<'_> {
        self.shared().view()
    }

    /// Messages above `after`, oldest first: at most `count_max`, and about `bytes_max` bytes of
    /// content, but at least one if there is one. Blocks on disk.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn messages_after(
        &self,
        mailbox: &Mailbox,
        after: MsgId,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Backlog, ReadError> {
        let view = self.view();
        view.messages_after(mailbox, after, count_max, bytes_max)
    }

    /// The newest id that is durable and readable: nobody has seen a message above it.
    pub fn last_id(&self) -> MsgId {
        self.shared().memtables().active.last_id
    }

    /// All domains.
    pub fn domains(&self) -> Vec<DomainRecord> {
        self.shared().domains().records()
    }

    /// Adds a domain or replaces its record, durably. Blocks.
    ///
    /// # Errors
    /// It was not stored.
    pub fn put_domain(&self, record: DomainRecord) -> Result<(), AppendError> {
        self.change(|reply| Job::PutDomain(record, reply))?;
        Ok(())
    }

    /// Removes a domain: its messages, cursors and idempotency keys are never served again, even if
    /// a domain of that name is added later. `false` if it does not exist. Blocks.
    ///
    /// # Errors
    /// It was not removed.
    pub fn remove_domain(&self, domain: &Domain) -> Result<bool, AppendError> {
        self.shared()
            .with_compaction(|| self.change(|reply| Job::RemoveDomain(domain.clone(), reply)))
    }

    /// Erases the messages of a mailbox below `before` (exclusive), or all of them, delivered or
    /// not. They are gone for all readers, durably, when this returns; the disk space comes back in
    /// the background. Blocks.
    ///
    /// # Errors
    /// It was not stored, and nothing is erased.
    pub fn erase(&self, mailbox: &Mailbox, before: Option<MsgId>) -> Result<(), AppendError> {
        let below = before.map_or(MsgId::MAX, |before| MsgId(before.0.saturating_sub(1)));
        if self.shared().has_nothing(mailbox, below) {
            return Ok(());
        }
        let erase = |reply| Job::Erase(mailbox.clone(), before, reply);
        self.shared().with_compaction(|| self.change(erase))?;
        Ok(())
    }

    /// Sets the retention. What it keeps longer than before is kept at once. What it erases is
    /// announced in the log first, and is erased [`StoreOptions::retention_notice`] later unless
    /// another retention is set meanwhile. Blocks while the one in force is written to disk.
    pub fn set_retention(&self, retention: Retention) {
        self.shared().set_retention(retention);
    }

    fn change(&self, job: impl FnOnce(ChangeReply) -> Job) -> Result<bool, AppendError> {
        self.shared().queue.change(job)
    }

    /// Whether appends are accepted.
    ///
    /// # Errors
    /// The reason.
    pub fn writable(&self) -> Result<(), AppendError> {
        let shared = self.shared();
        if !shared.queue.is_open() {
            return Err(AppendError::Closed);
        }
        let full = !shared.has_room();
        let health = shared.health.lock();
        let index = health.index.as_ref().filter(|_| full);
        match health.journal.as_ref().or(index) {
            Some(reason) => Err(AppendError::Unavailable(reason.clone())),
            None => Ok(()),
        }
    }

    /// Flushes the memtables into the index, if possible. Blocks.
    pub fn flush(&self) {
        self.shared().flush();
    }

    /// The durable end of the journal: everything acknowledged is before it.
    pub fn journal_end(&self) -> Position {
        self.shared().memtables().active.end
    }

    /// Device and inode of the data directory.
    pub fn directory(&self) -> (u64, u64) {
        self.shared().hold.identity
    }

    /// Refuses further appends, makes everything durable, stops the threads, marks the directory as
    /// cleanly closed and releases its lock. Blocks, unless called from an answer or the sink:
    /// there it only begins. Idempotent.
    pub fn close(&self) {
        // Before the lock: another closing caller may hold it and wait for us.
        let shared = self.shared();
        shared.queue.close();
        if threads::is_own() {
            shared.changed.notify();
            return;
        }
        let mut threads = self.handle.threads.lock();
        if let Some(threads) = threads.take() {
            threads.close();
        }
    }
}

impl Store {
    /// Opens or creates the data directory, locks it, recovers, and starts the threads.
    ///
    /// # Errors
    /// The directory is in use, damaged, of a newer version, or cannot be read or written.
    pub fn open(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        Self::open_with(options, clock, sink, Arc::new(RealFileSystem))
    }

    /// As [`Store::open`], for a directory that is locked already. May take long:
    /// [`StoreOptions::opening`] tells its progress, and stops it.
    ///
    /// # Errors
    /// As those of [`Store::open`], or it was stopped.
    pub fn open_claimed(
        claim: Claim,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        let threads = Threads::start(claim, clock, sink)?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared: threads.shared().clone(),
                threads: Mutex::new(Some(threads)),
            }),
        })
    }

    pub(crate) fn open_with(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
        files: Arc<dyn FileSystem>,
    ) -> Result<Self, OpenError> {
        Self::open_claimed(Claim::take_with(options, files)?, clock, sink)
    }
}

impl Store {
    /// The hold on expiry after a step of the clock by more than a day, or a stop of that length.
    pub fn clock_hold(&self) -> Option<ClockHold> {
        self.shared().clock_hold()
    }

    /// Accepts the clock after a step: expiry continues. False if it was not held. Blocks.
    ///
    /// # Errors
    /// It was not stored, and nothing has changed.
    pub fn accept_clock(&self) -> Result<bool, AppendError> {
        self.change(Job::AcceptClock)
    }
}

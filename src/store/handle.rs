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

    /// Hands a draft to the committer. Never blocks. `done` is called once, from another
    /// thread, after the messages have been handed to the sink (or with the error); where
    /// the draft is refused at once (overloaded, closed), from this one.
    pub fn append(&self, draft: Draft, done: Done) {
        let draft = Box::new(draft);
        self.shared().queue.push(Job::Append { draft, done });
    }

    /// Answers a send that was accepted before, as [`Store::append`] answers its repeat; any other
    /// with [`AppendError::NotRepeated`], and nothing is stored.
    pub fn repeat(&self, sender: &Mailbox, client_msg_id: ClientMsgId, done: Done) {
        let key = Box::new(SendKey {
            domain: sender.domain.clone(),
            from_id: sender.user.clone(),
            client_msg_id,
        });
        self.shared().queue.push(Job::Repeat { key, done });
    }

    /// Whether the committer keeps up. Who takes no more from its clients while it does not
    /// is not refused as [`AppendError::Overloaded`].
    pub fn has_room(&self) -> bool {
        self.shared().queue.has_room()
    }

    /// The store as it is now, for a read in several steps.
    pub fn view(&self) -> View<'_> {
        self.shared().view()
    }

    /// Messages above `after`, oldest first: at most `count_max`, and at most about
    /// `bytes_max` bytes of content, but at least one where there is one; and up to which id
    /// they are all, where they are. Blocks on disk.
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

    /// Adds a domain or replaces its record; returns when it is on disk. Blocks.
    ///
    /// # Errors
    /// It was not stored.
    pub fn put_domain(&self, record: DomainRecord) -> Result<(), AppendError> {
        self.change(|reply| Job::PutDomain(record, reply))?;
        Ok(())
    }

    /// Removes a domain: its messages, cursors and idempotency keys are never served again,
    /// also if a domain of that name is added later. `false` where there is none. Blocks.
    ///
    /// # Errors
    /// It was not removed.
    pub fn remove_domain(&self, domain: &Domain) -> Result<bool, AppendError> {
        self.shared()
            .with_compaction(|| self.change(|reply| Job::RemoveDomain(domain.clone(), reply)))
    }

    /// Erases what a mailbox has below `before` (exclusive), or all that it has now, also what
    /// is not delivered yet. Gone for all who read when this returns, and durably so; the disk
    /// space comes back in the background. Blocks.
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

    /// Messages are to be kept so long. What that keeps longer than before counts at once; what it
    /// erases is told in the log first, and counts [`StoreOptions::retention_notice`] after that,
    /// unless another retention is set meanwhile. Blocks while the one in force is noted on disk.
    pub fn set_retention(&self, retention: Retention) {
        self.shared().set_retention(retention);
    }

    fn change(&self, job: impl FnOnce(ChangeReply) -> Job) -> Result<bool, AppendError> {
        self.shared().queue.change(job)
    }

    /// Whether appends are accepted, or the reason why not.
    ///
    /// # Errors
    /// The reason.
    pub fn writable(&self) -> Result<(), AppendError> {
        let shared = self.shared();
        if !shared.queue.is_open() {
            return Err(AppendError::Closed);
        }
        let full = !shared.has_room();
        let health = shared.health();
        let index = health.index.as_ref().filter(|_| full);
        match health.journal.as_ref().or(index) {
            Some(reason) => Err(AppendError::Unavailable(reason.clone())),
            None => Ok(()),
        }
    }

    /// Writes what is in memory into the index now, if that can be done. Blocks.
    pub fn flush(&self) {
        self.shared().flush();
    }

    /// How far the journal is durable now: everything that was acknowledged is before it.
    pub fn journal_end(&self) -> Position {
        self.shared().memtables().active.end
    }

    /// Device and inode of the data directory, by which it is known whatever leads to it.
    pub fn directory(&self) -> (u64, u64) {
        self.shared().hold.identity
    }

    /// Refuses further appends, makes everything durable, stops the threads, marks the
    /// directory as cleanly closed and gives up its lock. Blocks, unless called from
    /// within an answer or the sink, where it only begins. Idempotent.
    pub fn close(&self) {
        // Before the lock, which another who closes may hold while we are waited for.
        self.shared().queue.close();
        if threads::is_own() {
            return;
        }
        let mut threads = self.handle.threads.lock();
        if let Some(threads) = threads.take() {
            threads.close();
        }
    }
}

impl Store {
    /// Opens (or makes) the data directory, takes its lock, recovers, and starts the threads.
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

    /// As [`Store::open`], where the directory is taken already. It may take long:
    /// [`StoreOptions::opening`] says how far it is, and ends it.
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
    /// Whether nothing ends by age, since the clock was stepped (or nobody was here) by a day.
    pub fn clock_hold(&self) -> Option<ClockHold> {
        self.shared().clock_hold()
    }

    /// Takes the clock for right though it was stepped: from now on everything ends by age again.
    /// Whether it was held. Blocks.
    ///
    /// # Errors
    /// It was not stored, and nothing has changed.
    pub fn accept_clock(&self) -> Result<bool, AppendError> {
        self.change(Job::AcceptClock)
    }
}

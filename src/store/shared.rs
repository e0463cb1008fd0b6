//! What the store's threads and its readers share, each part behind its own lock.
//!
//! Locks are held for memory operations only, never over a disk's. Where two are held
//! at once the order is: pending, domains, tail, index; and keeping before retention. Only `keeping`
//! is held while its file is written, by the thread that erases and by who sets the retention; and
//! `growth`, which is the checkpoint thread's own, while files are made.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Duration;

use super::age::{AgeClock, Ages};
use super::api::StoreOptions;
use super::builder::Builder;
use super::cursors::Changes;
use super::domains::Domains;
use super::files::FileSystem;
use super::hold::Hold;
use super::index::{Index, IndexError, IndexState, guarded};
use super::keeping::Keeping;
use super::queue::Queue;
use super::reserve::Reserve;
use super::room::Growth;
use super::sweep::Sweeping;
use super::tail::Tail;
use crate::clock::Clock;
use crate::model::{Domain, Mailbox, MsgId, Retention};

/// Why nothing can be written at the moment.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The journal's reason.
    pub(super) journal: Option<String>,
    /// Why checkpoints are put off.
    pub(super) index: Option<String>,
}

/// An index that is to take the place of the one that counts.
pub(super) struct Successor {
    pub(super) builder: Box<Builder>,
    /// What [`Shared::rebuilds`] was when its making began.
    pub(super) rebuilds: u64,
}

/// What the checkpoint thread is asked for.
#[derive(Default)]
pub(super) struct Signal {
    /// How often a checkpoint was asked for, and up to which of these it is done.
    pub(super) asked: u64,
    pub(super) done: u64,
    /// Make a last checkpoint and end.
    pub(super) finish: bool,
    /// End at once.
    pub(super) abort: bool,
    /// The thread has ended.
    pub(super) ended: bool,
    /// An index that is to take the place of the one that counts.
    pub(super) successor: Option<Successor>,
    /// What became of the last one.
    pub(super) succeeded: Option<bool>,
}

/// The store's memory.
pub(super) struct Shared {
    pub(super) options: StoreOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) age: RwLock<AgeClock>,
    pub(super) files: Arc<dyn FileSystem>,
    /// The data directory is this process' own.
    pub(super) hold: Arc<Hold>,
    /// What is kept back of the disk.
    pub(super) reserve: Arc<Reserve>,
    pub(super) queue: Queue,
    /// What happened to cursors and is not in the journal yet.
    pub(super) pending: Mutex<Changes>,
    pub(super) domains: RwLock<Domains>,
    /// The retention that is in force.
    pub(super) retention: RwLock<Retention>,
    pub(super) keeping: Mutex<Keeping>,
    pub(super) tail: RwLock<Tail>,
    /// `None` while it is being rebuilt, and after closing.
    pub(super) index: RwLock<Option<Arc<Index>>>,
    /// Who read the index found it damaged.
    pub(super) index_suspect: AtomicBool,
    /// Most bytes of the tail, by how much is free.
    pub(super) tail_bytes_max: AtomicUsize,
    /// When what is kept back for it grows and shrinks.
    pub(super) growth: Mutex<Growth>,
    /// What the index that counts holds, durably.
    pub(super) indexed: Mutex<IndexState>,
    /// How often the checkpoint has begun to make the index anew in place of all others.
    pub(super) rebuilds: AtomicU64,
    /// Held by whoever removes indexes, and while one is made anew that does not count yet.
    pub(super) places: Mutex<()>,
    /// Held by whoever puts a segment's other form in its place, or must have none put there.
    pub(super) segments: Mutex<()>,
    pub(super) sweeping: Mutex<Sweeping>,
    pub(super) health: Mutex<Health>,
    pub(super) signal: Mutex<Signal>,
    /// Something in `signal` changed, or a checkpoint made room in the tail.
    pub(super) changed: Condvar,
}

impl Shared {
    pub(super) fn pending(&self) -> MutexGuard<'_, Changes> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn domains(&self) -> RwLockReadGuard<'_, Domains> {
        self.domains.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn domains_mut(&self) -> RwLockWriteGuard<'_, Domains> {
        self.domains.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn places(&self) -> MutexGuard<'_, ()> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the index holds, durably.
    pub(super) fn indexed(&self) -> MutexGuard<'_, IndexState> {
        self.indexed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to put a segment's other form in its place.
    pub(super) fn segments(&self) -> MutexGuard<'_, ()> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index, unless it is away.
    pub(super) fn index(&self) -> Result<Arc<Index>, IndexError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let away = || IndexError::Sled("it is being rebuilt or closed".to_owned());
        index.clone().ok_or_else(away)
    }

    /// Puts an index in place, or takes it away.
    pub(super) fn set_index(&self, index: Option<Arc<Index>>) -> Option<Arc<Index>> {
        let mut place = self.index.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, index)
    }

    /// Everything of the mailbox with an id of at most this is gone: erased, of a removed
    /// domain, or expired by now.
    pub(super) fn floor(&self, mailbox: &Mailbox) -> MsgId {
        let expired = self.expired(&mailbox.domain);
        self.domains().floors().of(mailbox).max(expired)
    }

    /// As [`Self::floor`], of all mailboxes of the domain.
    pub(super) fn floor_of_domain(&self, domain: &Domain) -> MsgId {
        let expired = self.expired(domain);
        self.domains().floor(domain).max(expired)
    }

    fn expired(&self, domain: &Domain) -> MsgId {
        let kept = self.retention().of(domain);
        kept.map_or(MsgId::ZERO, |kept| self.ages().expired(kept))
    }

    pub(super) fn retention(&self) -> RwLockReadGuard<'_, Retention> {
        self.retention
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal's directory.
    pub(super) fn journal_dir(&self) -> PathBuf {
        self.options.dir.join("journal")
    }

    /// How old everything is at this moment: whatever ends by age asks this.
    pub(super) fn ages(&self) -> Ages {
        // The clocks are read first: age time may be ahead of what was read, never behind.
        let (wall_us, monotonic) = (self.clock.now_us(), self.clock.monotonic());
        self.age().ages(wall_us, monotonic)
    }

    pub(super) fn age(&self) -> RwLockReadGuard<'_, AgeClock> {
        self.age.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn age_mut(&self) -> RwLockWriteGuard<'_, AgeClock> {
        self.age.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the index. Where that shows it to be damaged, this is noted.
    pub(super) fn with_index<T>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let index = self.index()?;
        let done = guarded(|| work(&index));
        if let Err(error @ (IndexError::Damaged(_) | IndexError::Panicked)) = &done
            && !self.index_suspect.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, "the index is damaged");
        }
        done
    }

    /// As [`super::Store::checkpoint`].
    pub(super) fn checkpoint(&self) {
        let asked = {
            let mut signal = self.signal();
            signal.asked += 1;
            signal.asked
        };
        loop {
            let signal = self.signal();
            if signal.done >= asked || signal.ended {
                return;
            }
            drop(signal);
            self.wait_for_checkpoint(Duration::from_millis(20));
        }
    }
}

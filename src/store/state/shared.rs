//! The state that the store's threads and its readers share, each part behind its own lock.
//!
//! Lock order, outermost first: `pending`, `memtables`, `domains`, `retention`, `age`. (`usage`
//! takes the last three as readers while it walks the memtables.) `pending_retention` comes before
//! `retention`. `index` is held just long enough to clone its `Arc`.
//!
//! Locks guard memory and are never held across disk I/O, with three exceptions: `pending_retention`,
//! while its file is written (by the compaction thread and by callers of `set_retention`);
//! `compaction_requests`, while the mark of a due compaction is made or removed; and `growth`, which
//! only the flush thread takes, while the reserve changes. `index_dirs` and
//! `segments` guard directories and files rather than memory, and are held for as long as the
//! operation takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::growth::Growth;
use super::pending_retention::PendingRetention;
use super::queue::Queue;
use super::signal::{CompactionRequests, Health, Signal};
use crate::clock::{Clock, EventCount};
use crate::model::{Domain, Mailbox, MsgId, Retention};
use crate::store::age::{AgeClock, Ages, ClockHold};
use crate::store::api::StoreOptions;
use crate::store::data::{Changes, Domains};
use crate::store::directory::Hold;
use crate::store::disk::{FileSystem, Reserve};
use crate::store::index::{Index, IndexError, Manifest};
use crate::store::memtable::Memtables;

/// Time after which a waiting thread looks again: the cost of a lost wake-up.
const WAIT_MAX: Duration = Duration::from_millis(500);

pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) age: RwLock<AgeClock>,
    pub(crate) files: Arc<dyn FileSystem>,
    /// The lock of the data directory.
    pub(crate) hold: Arc<Hold>,
    /// Disk space held in reserve.
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) queue: Queue,
    /// Changes of cursors that are not in the journal yet.
    pub(crate) pending: Mutex<Changes>,
    pub(crate) domains: RwLock<Domains>,
    /// The retention in force.
    pub(crate) retention: RwLock<Retention>,
    pub(crate) pending_retention: Mutex<PendingRetention>,
    pub(crate) memtables: RwLock<Memtables>,
    /// `None` during a rebuild and after closing.
    pub(crate) index: RwLock<Option<Arc<Index>>>,
    /// A reader found the index damaged.
    pub(crate) index_suspect: AtomicBool,
    /// Most bytes of the memtables at the current free space.
    pub(crate) memtable_bytes_max: AtomicUsize,
    /// State of the reserve for a large memtable.
    pub(crate) growth: Mutex<Growth>,
    /// The durable manifest of the index in use.
    pub(crate) indexed: Mutex<Manifest>,
    /// Rebuilds of the index in use that the flush has begun.
    pub(crate) rebuilds: AtomicU64,
    /// Held while indexes are removed, and while one is rebuilt that is not in use yet.
    pub(crate) index_dirs: Mutex<()>,
    /// Held while a segment is replaced by another form, or must not be.
    pub(crate) segments: Mutex<()>,
    pub(crate) compaction_requests: Mutex<CompactionRequests>,
    pub(crate) health: Mutex<Health>,
    pub(crate) signal: Mutex<Signal>,
    /// Something in `signal` changed, a flush made room in the memtables, or there is work for a
    /// thread.
    pub(crate) changed: Arc<EventCount>,
}

impl Shared {
    pub(crate) fn pending(&self) -> MutexGuard<'_, Changes> {
        self.pending.lock()
    }

    pub(crate) fn domains(&self) -> RwLockReadGuard<'_, Domains> {
        self.domains.read()
    }

    pub(crate) fn domains_mut(&self) -> RwLockWriteGuard<'_, Domains> {
        self.domains.write()
    }

    pub(crate) fn memtables(&self) -> RwLockReadGuard<'_, Memtables> {
        self.memtables.read()
    }

    pub(crate) fn memtables_mut(&self) -> RwLockWriteGuard<'_, Memtables> {
        self.memtables.write()
    }

    /// The index, unless it is away.
    pub(crate) fn index(&self) -> Result<Arc<Index>, IndexError> {
        let index = self.index.read();
        let away = IndexError::Busy("it is being rebuilt or closed");
        index.clone().ok_or(away)
    }

    /// Exchanges the index in use.
    pub(crate) fn set_index(&self, index: Option<Arc<Index>>) -> Option<Arc<Index>> {
        let mut slot = self.index.write();
        std::mem::replace(&mut slot, index)
    }

    /// Messages at or below it are gone: erased, of a removed domain, or expired.
    pub(crate) fn low_watermark(&self, mailbox: &Mailbox) -> MsgId {
        let expired = self.expired(&mailbox.domain);
        self.domains().low_watermarks.of(mailbox).max(expired)
    }

    /// As [`Self::low_watermark`], for all mailboxes of a domain.
    pub(crate) fn low_watermark_of_domain(&self, domain: &Domain) -> MsgId {
        let expired = self.expired(domain);
        self.domains().low_watermarks.of_domain(domain).max(expired)
    }

    fn expired(&self, domain: &Domain) -> MsgId {
        let kept = self.retention().of(domain);
        kept.map_or(MsgId::ZERO, |kept| self.ages().expired(kept))
    }

    pub(crate) fn retention(&self) -> RwLockReadGuard<'_, Retention> {
        self.retention.read()
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.options.dir.join("journal")
    }

    /// Ages at this moment, for everything that ends by age.
    pub(crate) fn ages(&self) -> Ages {
        // The clocks are read first: age time may be ahead of them, never behind.
        let (wall_us, monotonic) = self.clock.read();
        self.age().ages(wall_us, monotonic)
    }

    pub(crate) fn age(&self) -> RwLockReadGuard<'_, AgeClock> {
        self.age.read()
    }

    pub(crate) fn age_mut(&self) -> RwLockWriteGuard<'_, AgeClock> {
        self.age.write()
    }

    /// As [`Store::clock_hold`](crate::store::Store::clock_hold).
    pub(crate) fn clock_hold(&self) -> Option<ClockHold> {
        let wall_us = self.clock.now_us();
        self.age().hold(wall_us)
    }

    /// Logs that age is held, if so.
    pub(crate) fn tell_hold(&self) {
        if let Some(ClockHold { ahead_s, left }) = self.clock_hold() {
            tracing::warn!(
                ahead_s,
                hold_s = left.as_secs(),
                "the clock was stepped by more than a day, or the server stood still for so long: \
                 nothing is dropped or erased by age until a day has passed, or until `relaybox clock \
                 accept`"
            );
        }
    }

    pub(crate) fn with_index<T>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let index = self.index()?;
        self.judge(&index, work)
    }

    /// Reads an index. Damage marks it as suspect, unless another index has taken its place: the
    /// files of one that a reader held for too long are removed.
    pub(super) fn judge<'i, T>(
        &self,
        index: &'i Arc<Index>,
        work: impl FnOnce(&'i Index) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let done = index.read(work);
        let is_current = || {
            let current = self.index();
            current.is_ok_and(|current| Arc::ptr_eq(&current, index))
        };
        if let Err(error @ (IndexError::Damaged(_) | IndexError::Panicked)) = &done
            && is_current()
            && !self.index_suspect.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, "the index is damaged");
        }
        done
    }

    /// As [`crate::store::Store::flush`].
    pub(crate) fn flush(&self) {
        let asked = {
            let mut signal = self.signal.lock();
            signal.asked += 1;
            signal.asked
        };
        self.changed.notify();
        loop {
            let seen = self.changed.count();
            let signal = self.signal.lock();
            if signal.done >= asked || signal.ended {
                return;
            }
            drop(signal);
            self.wait_for_change(seen, Duration::MAX);
        }
    }

    /// Waits for a change after `seen`, until `deadline` and for [`WAIT_MAX`] at most.
    pub(crate) fn wait_for_change(&self, seen: u64, deadline: Duration) {
        let latest = self.clock.monotonic() + WAIT_MAX;
        self.clock.wait(&self.changed, seen, deadline.min(latest));
    }
}

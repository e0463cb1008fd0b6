//! Starts the store's threads, and ends them in order: committer, publisher, compaction, flush,
//! compression.
//!
//! Invariant: once they have ended, only the lock of the data directory is still open, and
//! it is released last.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{channel, sync_channel};
use std::thread::{Builder as ThreadBuilder, JoinHandle};

use super::recovery::{Opened, open};
use crate::clock::Clock;
use crate::model::MsgId;
use crate::store::age::AgeClock;
use crate::store::api::{CommitSink, OpenError, io_error};
use crate::store::commit::{Committer, publisher};
use crate::store::compaction::{Compactor, compress_sealed};
use crate::store::directory::Claim;
use crate::store::flush::Flusher;
use crate::store::index::{Manifest, location, manifest_file, retire};
use crate::store::state::{Health, Queue, Shared, Signal, pending_retention};

/// Batches on their way to the sink.
const PUBLICATIONS_MAX: usize = 4;

/// The running threads.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    committer: JoinHandle<()>,
    publisher: JoinHandle<()>,
    flusher: JoinHandle<Manifest>,
    compressor: JoinHandle<()>,
    compactor: JoinHandle<()>,
}

impl Threads {
    /// Opens a data directory and starts the threads.
    pub(crate) fn start(
        claim: Claim,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        let (sealed_sender, sealed) = channel();
        let opened = open(&claim, &clock, sealed_sender)?;
        let Claim { options, hold, .. } = claim;
        let Opened {
            files,
            reserve,
            builder,
            writer,
            last_id,
            sealed: sealed_before,
        } = opened;
        let mut memtables = builder.memtables;
        memtables.active.last_id = last_id;
        let (wall_us, monotonic) = clock.read();
        memtables.note_time(monotonic);
        let age = AgeClock::resume(builder.age, last_id, wall_us, monotonic);
        let dir = options.dir.clone();
        let (retention, pending_retention) = pending_retention::begin(
            files.as_ref(),
            &dir,
            &options.retention,
            options.retention_notice,
            last_id == MsgId::ZERO,
        )?;
        let shared = Arc::new(Shared {
            queue: Queue::new(options.queue_max),
            retention: retention.into(),
            pending_retention: pending_retention.into(),
            age: age.into(),
            clock,
            files,
            hold,
            health: Health {
                journal: reserve.lack().map(|lack| lack.to_string()),
                index: None,
            }
            .into(),
            reserve,
            pending: Default::default(),
            domains: builder.domains.into(),
            memtables: memtables.into(),
            index: Some(Arc::new(builder.target.index)).into(),
            index_suspect: Default::default(),
            memtable_bytes_max: options.memtable_bytes_max.into(),
            growth: Default::default(),
            indexed: builder.state.clone().into(),
            rebuilds: Default::default(),
            index_dirs: Default::default(),
            segments: Default::default(),
            compaction_requests: Default::default(),
            signal: Signal::default().into(),
            options,
            changed: Default::default(),
        });
        shared.note_in_force();
        shared.tell_hold();
        let (publications, published) = sync_channel(PUBLICATIONS_MAX);
        let committer = Committer::new(shared.clone(), writer, last_id, publications);
        let flusher = Flusher::new(shared.clone(), builder.state);
        let compactor = Compactor::new(shared.clone()).map_err(io_error("cannot read", &dir))?;
        let for_compressor = shared.clone();
        let started = || -> io::Result<Self> {
            Ok(Self {
                committer: spawn("committer", move || committer.run())?,
                publisher: spawn("publisher", move || {
                    publisher::run(sink.as_ref(), &published);
                })?,
                flusher: spawn("checkpoint", move || flusher.run())?,
                compressor: spawn("compression", move || {
                    compress_sealed(&for_compressor, sealed_before, &sealed);
                })?,
                compactor: spawn("sweep", move || compactor.run())?,
                shared,
            })
        };
        Ok(started().map_err(io_error("cannot start a thread for", &dir))?)
    }

    /// What the threads work on.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Ends all in order and marks the directory as cleanly closed.
    pub(crate) fn close(self) {
        self.shared.queue.close();
        self.shared.changed.notify();
        join(self.committer);
        join(self.publisher);
        join(self.compactor);
        self.shared.signal.lock().finish = true;
        self.shared.changed.notify();
        let state = join(self.flusher);
        join(self.compressor);
        let index = self.shared.set_index(None);
        let retired = index.map_or(Ok(()), retire);
        let suspect = self.shared.index_suspect.load(Ordering::Relaxed);
        let whole = !suspect
            && self.shared.memtables().active.is_empty()
            && self.shared.memtables().immutable.is_none();
        if let (Some(mut state), Ok(()), true) = (state, retired, whole) {
            let dir = &self.shared.options.dir;
            let path = location::path(dir, state.number);
            let sealed = location::seal(&path).and_then(|fingerprint| {
                state.clean = Some(fingerprint);
                manifest_file::save(self.shared.files.as_ref(), dir, &state)
            });
            if let Err(error) = sealed {
                tracing::warn!(%error, "the next start will verify the index");
            }
        }
        let reserve = &self.shared.reserve;
        if whole {
            reserve.shrink();
        }
        if let Err(error) = reserve.keep() {
            tracing::debug!(%error, "the next start has less space");
        }
        self.shared.hold.release();
    }

    /// Ends all at once, as a crash would.
    pub(crate) fn abort(self) {
        self.shared.queue.abort();
        self.shared.signal.lock().abort = true;
        self.shared.changed.notify();
        if is_own() {
            return self.shared.hold.release();
        }
        join(self.committer);
        join(self.publisher);
        join(self.compactor);
        join(self.flusher);
        join(self.compressor);
        if let Some(Err(error)) = self.shared.set_index(None).map(retire) {
            tracing::debug!(%error, "the index stays open for a while");
        }
        self.shared.hold.release();
    }
}

thread_local! {
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// Whether the caller is a thread of a store, which cannot wait for itself.
pub(crate) fn is_own() -> bool {
    OWN.get()
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    ThreadBuilder::new().name(name.to_owned()).spawn(|| {
        OWN.set(true);
        work()
    })
}

fn join<T>(thread: JoinHandle<T>) -> Option<T> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    thread
        .join()
        .inspect_err(|_| tracing::error!(thread = name, "a thread of the store panicked"))
        .ok()
}

//! Starts the store's threads and ends them in order: committer, publisher,
//! checkpoint, compression.
//!
//! Invariant: when they have ended, nothing of the data directory is open any more but
//! its lock, which is given up last.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::thread::{Builder as ThreadBuilder, JoinHandle};
use std::time::Duration;

use super::age::AgeClock;
use super::api::{CommitSink, OpenError};
use super::checkpoint::{Checkpointer, retire};
use super::claim::Claim;
use super::committer::Committer;
use super::index::{IndexState, place};
use super::indexing;
use super::journal::{SegmentName, compress, is_compressed};
use super::keeping;
use super::open::{Opened, open};
use super::publisher;
use super::queue::Queue;
use super::shared::{Health, Shared, Signal};
use super::sweep::Sweeper;
use crate::clock::Clock;
use crate::model::MsgId;

/// Batches on their way to the sink.
const PUBLICATIONS_MAX: usize = 4;

/// A segment that could not be compressed is tried again after this.
const COMPRESS_AGAIN: Duration = Duration::from_secs(60);

/// The running threads.
pub(super) struct Threads {
    shared: Arc<Shared>,
    committer: JoinHandle<()>,
    publisher: JoinHandle<()>,
    checkpointer: JoinHandle<IndexState>,
    compressor: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

impl Threads {
    /// Opens a data directory and starts the threads.
    pub(super) fn start(
        claim: Claim,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        let (sealed_sender, sealed) = channel();
        let opened = open(&claim, sealed_sender)?;
        let Claim { options, hold, .. } = claim;
        let Opened {
            files,
            reserve,
            builder,
            writer,
            last_id,
            sealed: sealed_before,
        } = opened;
        let mut tail = builder.tail;
        tail.active.last_id = last_id;
        let age = AgeClock::resume(builder.age, last_id, clock.now_us(), clock.monotonic());
        let dir = options.dir.clone();
        let (retention, keeping) = keeping::begin(
            files.as_ref(),
            &dir,
            &options.retention,
            options.retention_notice,
            last_id == MsgId::ZERO,
        )?;
        let shared = Arc::new(Shared {
            queue: Queue::new(options.queue_max),
            retention: retention.into(),
            keeping: keeping.into(),
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
            tail: tail.into(),
            index: Some(Arc::new(builder.target.index)).into(),
            index_suspect: Default::default(),
            tail_bytes_max: options.tail_bytes_max.into(),
            growth: Default::default(),
            indexed: builder.state.clone().into(),
            rebuilds: Default::default(),
            places: Default::default(),
            segments: Default::default(),
            sweeping: Default::default(),
            signal: Signal::default().into(),
            options,
            changed: Default::default(),
        });
        shared.note_in_force();
        shared.tell_hold();
        let (publications, published) = sync_channel(PUBLICATIONS_MAX);
        let committer = Committer::new(shared.clone(), writer, last_id, publications);
        let checkpointer = Checkpointer::new(shared.clone(), builder.state);
        let sweeper = Sweeper::new(shared.clone()).map_err(|source| OpenError::Io {
            action: "cannot read",
            path: dir.clone(),
            source,
        })?;
        let for_compressor = shared.clone();
        let started = || -> io::Result<Self> {
            Ok(Self {
                committer: spawn("committer", move || committer.run())?,
                publisher: spawn("publisher", move || {
                    publisher::run(sink.as_ref(), &published);
                })?,
                checkpointer: spawn("checkpoint", move || checkpointer.run())?,
                compressor: spawn("compression", move || {
                    compress_sealed(&for_compressor, sealed_before, &sealed);
                })?,
                sweeper: spawn("sweep", move || sweeper.run())?,
                shared,
            })
        };
        started().map_err(|source| OpenError::Io {
            action: "cannot start a thread for",
            path: dir,
            source,
        })
    }

    /// What the threads work on.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Ends all in order and marks the directory as cleanly closed.
    pub(super) fn close(self) {
        self.shared.queue.close();
        self.shared.changed.notify_all();
        join(self.committer);
        join(self.publisher);
        join(self.sweeper);
        self.shared.signal().finish = true;
        self.shared.changed.notify_all();
        let state = join(self.checkpointer);
        join(self.compressor);
        let index = self.shared.set_index(None);
        let retired = index.map_or(Ok(()), retire);
        let suspect = self.shared.index_suspect.load(Ordering::Relaxed);
        let whole =
            !suspect && self.shared.tail().active.is_empty() && self.shared.tail().frozen.is_none();
        if let (Some(mut state), Ok(()), true) = (state, retired, whole) {
            let dir = &self.shared.options.dir;
            let path = place::path(dir, state.number);
            let sealed = place::seal(&path).and_then(|fingerprint| {
                state.clean = Some(fingerprint);
                indexing::save(self.shared.files.as_ref(), dir, &state)
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
    pub(super) fn abort(self) {
        self.shared.queue.abort();
        self.shared.signal().abort = true;
        self.shared.changed.notify_all();
        if is_own() {
            return self.shared.hold.release();
        }
        join(self.committer);
        join(self.publisher);
        join(self.sweeper);
        join(self.checkpointer);
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
pub(super) fn is_own() -> bool {
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

/// Compresses what was sealed before and what is sealed while the store is open. What fails is tried
/// again with the next, and every minute.
fn compress_sealed(shared: &Shared, before: Vec<SegmentName>, sealed: &Receiver<SegmentName>) {
    let mut left = before;
    let mut failed = BTreeSet::new();
    loop {
        // What is left uncompressed at the end is found again at the next start.
        left.retain(|name| shared.queue.is_open() && !is_done(shared, *name, &mut failed));
        let next = match left.is_empty() {
            true => sealed.recv().map_err(RecvTimeoutError::from),
            false => sealed.recv_timeout(COMPRESS_AGAIN),
        };
        match next {
            Ok(name) => left.push(name),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Compresses a segment; answers whether it is. Said once of each that it is not.
fn is_done(shared: &Shared, name: SegmentName, failed: &mut BTreeSet<SegmentName>) -> bool {
    let dir = shared.journal_dir();
    // It makes room only where it comes to its end.
    let files = shared.reserve.others().as_ref();
    let path = name.path(&dir);
    let done = files.open(&path).and_then(|file| {
        if is_compressed(file.as_ref())? {
            return Ok(());
        }
        let _alone = shared.segments();
        compress(files, &dir, name)
    });
    if let Err(error) = &done
        && failed.insert(name)
    {
        let path = path.display();
        tracing::warn!(%path, %error, "a journal segment stays uncompressed for now");
    }
    done.is_ok()
}

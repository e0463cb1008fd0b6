//! The flush thread: moves memtables into the index, and repairs the index if need be.
//!
//! Commits never wait for it while the memtables accept more: it holds no lock while it works on
//! the immutable memtable, and pauses between writes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::store::api::Opening;
use crate::store::disk::{OPEN_BYTES, OutOfSpace as _, WRITE_FILES};
use crate::store::index::{
    Index, IndexError, Manifest, Pacing, guarded, location, manifest_file, retire,
};
use crate::store::indexing::{BuildError, Builder, Site, check_space, file_space, space};
use crate::store::memtable::Memtable;
use crate::store::state::{Shared, Successor};

/// The age at which a memtable is flushed, however small it is.
const AGE_MAX: Duration = Duration::from_secs(30);
/// Interval at which the thread looks for work.
const TICK: Duration = Duration::from_millis(500);
/// The pause after a flush that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause after there was no room, since each try writes.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(5);
/// A flush pauses for `PACE_PAUSE` each time it has written this much.
const PACE_BYTES: usize = 64 << 10;
const PACE_PAUSE: Duration = Duration::from_millis(1);
/// How much lower its priority is.
const NICE: i32 = 5;
/// The fullness of the memtables from which on a flush does not pause.
const CROWDED: f64 = 0.25;

pub(crate) struct Flusher {
    shared: Arc<Shared>,
    manifest: Manifest,
    /// A write found no room: sled takes no more, and has to be opened again.
    is_stuck: bool,
}

impl Flusher {
    /// Continues from this manifest.
    pub(crate) fn new(shared: Arc<Shared>, manifest: Manifest) -> Self {
        Self {
            shared,
            manifest,
            is_stuck: false,
        }
    }

    /// Works until it is told to finish or to abort; returns the last manifest.
    pub(crate) fn run(mut self) -> Manifest {
        // Whoever sends or reads comes first.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "checkpoints have the same priority as all else");
        }
        let mut not_before = Duration::ZERO;
        loop {
            let now = self.shared.clock.monotonic();
            self.shared.bound_memtables();
            let seen = self.shared.changed.count();
            self.take_successor();
            let (finish, asked, is_asked_for) = {
                let signal = self.shared.signal.lock();
                if signal.abort {
                    break;
                }
                let asked = signal.asked;
                let is_asked_for = asked > signal.done;
                let wanted = signal.finish || is_asked_for;
                let due = wanted || (now >= not_before && self.due(now));
                if !due {
                    drop(signal);
                    self.shared.wait_for_change(seen, now + TICK);
                    continue;
                }
                (signal.finish, asked, is_asked_for)
            };
            // Not only what sled does: without this thread, `Store::flush` would wait for ever.
            let made = guarded(|| self.flush(finish, is_asked_for));
            let failed = made.as_ref().err().map(ToString::to_string);
            let pause = match &made {
                Ok(()) => Duration::ZERO,
                Err(error) if error.is_out_of_space() => NO_SPACE_PAUSE,
                Err(_) => RETRY_PAUSE,
            };
            not_before = self.shared.clock.monotonic() + pause;
            if let Some(reason) = &failed {
                // Tried again and again; said again only when the reason is another one.
                if self.shared.health.lock().index.as_ref() != Some(reason) {
                    tracing::warn!(reason, "a checkpoint was put off");
                }
            }
            self.shared.health.lock().index = failed;
            self.shared.signal.lock().done = asked;
            self.shared.changed.notify();
            if finish {
                break;
            }
        }
        let mut signal = self.shared.signal.lock();
        signal.ended = true;
        let left = signal.successor.take();
        drop(signal);
        drop(left);
        self.shared.changed.notify();
        self.manifest
    }

    /// Asked in the midst of much work, in which the memtables may need more room.
    fn is_aborted(&self) -> bool {
        self.shared.step_memtables();
        self.shared.queue.aborted()
    }

    fn path(&self) -> PathBuf {
        location::path(&self.shared.options.dir, self.manifest.number)
    }

    fn due(&self, now: Duration) -> bool {
        let memtables = self.shared.memtables();
        let old = |since: Duration| now >= since + AGE_MAX;
        memtables.immutable.is_some()
            || memtables.active.bytes >= self.shared.flush_bytes()
            || memtables.active.since.is_some_and(old)
    }

    fn flush(&mut self, finish: bool, is_needed: bool) -> Result<(), BuildError> {
        let immutable = {
            let mut memtables = self.shared.memtables_mut();
            match &memtables.immutable {
                Some(immutable) => immutable.clone(),
                None if memtables.active.is_empty() => return Ok(()),
                None => memtables.rotate(),
            }
        };
        let shared = self.shared.clone();
        let (dir, files) = (&shared.options.dir, shared.files.as_ref());
        let path = self.path();
        if file_space(&path, is_needed)? < immutable.bytes {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        // A needed flush, and any flush once the reserve has grown for the memtables, may use the reserve.
        let is_lent = is_needed || shared.reserve.is_grown();
        let _lent = match is_lent {
            true => space::space_for(&shared.reserve, immutable.bytes, WRITE_FILES)?,
            false => check_space(files, dir, immutable.bytes).map(|()| None)?,
        };
        manifest_file::expect_fewer_cursors(files, dir, &immutable, &self.manifest)?;
        if self.is_stuck {
            self.reopen(&path)?;
        }
        // Until `indexed` says which one counts.
        let mut _alone = None;
        let state = match self.apply(&immutable, finish) {
            Ok(state) => state,
            Err(error) if self.shared.queue.aborted() => return Err(error.into()),
            Err(error) if error.is_out_of_space() => {
                self.is_stuck = true;
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(%error, "the index is broken and is made anew from the journal");
                _alone = Some(shared.index_dirs.lock());
                self.rebuild(&immutable)?
            }
        };
        // The index has them, whether its state can be saved or not: what is put into it or removed
        // from it once more finds that done, and is not counted again.
        self.manifest.small.clone_from(&state.small);
        manifest_file::save(files, dir, &state)?;
        // Not before: what is immutable is counted once, however often it has to be written.
        self.manifest = state;
        self.note_state();
        let done = self.shared.memtables_mut().immutable.take();
        // Commits go on before the memtable is freed, and before an exchange of the index.
        self.shared.changed.notify();
        drop(done);
        Ok(())
    }

    fn apply(&self, immutable: &Memtable, finish: bool) -> Result<Manifest, IndexError> {
        let index = self.shared.index()?;
        let day_min = self.shared.ages().day_min();
        let written = AtomicUsize::new(0);
        let mut between = |bytes: usize| {
            if written.fetch_add(bytes, Ordering::Relaxed) + bytes < PACE_BYTES {
                return Ok(());
            }
            written.store(0, Ordering::Relaxed);
            self.shared.step_memtables();
            // What is written makes room for commits.
            self.shared.changed.notify();
            if self.shared.queue.aborted() {
                return Err(IndexError::Closing);
            }
            let crowded = self.shared.fullness() > CROWDED;
            if !finish && !crowded {
                // Real time, since it leaves the processor and the disk to others.
                std::thread::sleep(PACE_PAUSE);
            }
            Ok(())
        };
        let pacing = Pacing::Paced(&mut between);
        index.write(immutable, &self.manifest, day_min, pacing)
    }

    /// Puts an index that was rebuilt beside this one in its place, if one waits.
    fn take_successor(&mut self) {
        let Some(Successor { builder, rebuilds }) = self.shared.signal.lock().successor.take()
        else {
            return;
        };
        // One that was put off would hold it up for as long as there is no room.
        let is_immutable = self.shared.memtables().immutable.is_some();
        // As in `run`: the compaction waits for the outcome.
        let taken = guarded(|| {
            let written = match is_immutable {
                true => self.flush(false, true),
                false => Ok(()),
            };
            if self.shared.rebuilds.load(Ordering::Relaxed) != rebuilds {
                let what = "the one that counts was made anew meanwhile";
                return Err(IndexError::Busy(what).into());
            }
            written.and_then(|()| self.succeed(*builder))
        });
        if let Err(error) = &taken {
            tracing::warn!(%error, "an exchange of the index did not come to its end");
        }
        self.shared.signal.lock().succeeded = Some(taken.is_ok());
        self.shared.changed.notify();
    }

    fn note_state(&self) {
        *self.shared.indexed.lock() = self.manifest.clone();
    }

    fn succeed(&mut self, mut builder: Builder) -> Result<(), BuildError> {
        let unfit = |what: &str| IndexError::Damaged(what.to_owned());
        let dir = &self.shared.options.dir;
        let position = self.manifest.position;
        // Flushes wait for it now, and the memtables for them.
        self.shared.expect_large_memtables();
        builder.target.is_paced = false;
        builder.replay(Some(position.sequence), &|_| self.is_aborted())?;
        builder.flush()?;
        let path = location::path(dir, builder.state.number);
        if builder.state.position.sequence != position.sequence || !path.is_dir() {
            return Err(unfit("it does not fit the journal").into());
        }
        let state = Manifest {
            position,
            last_id: self.manifest.last_id,
            ..builder.state
        };
        manifest_file::save(self.shared.files.as_ref(), dir, &state)?;
        self.manifest = state;
        self.note_state();
        let old = self.shared.set_index(Some(Arc::new(builder.target.index)));
        // It is in place all the same; but the old one is not to be removed while it is read.
        Ok(old.map_or(Ok(()), retire)?)
    }

    /// Opens the index again, as after a crash.
    fn reopen(&mut self, path: &Path) -> Result<(), BuildError> {
        let shared = &self.shared;
        shared.expect_large_memtables();
        let _lent = shared.reserve.lend(OPEN_BYTES, WRITE_FILES);
        let _alone = shared.index_dirs.lock();
        // What is being made beside it is made of the old one.
        shared.rebuilds.fetch_add(1, Ordering::Relaxed);
        if let Some(old) = shared.set_index(None) {
            retire(old)?;
        }
        let index = Index::open(path, shared.options.cache_bytes)?;
        index.verify(&mut self.manifest, &Opening::default())?;
        shared.set_index(Some(Arc::new(index)));
        self.is_stuck = false;
        Ok(())
    }

    /// Rebuilds the index from the journal, `immutable` included.
    fn rebuild(&self, immutable: &Memtable) -> Result<Manifest, BuildError> {
        self.shared.expect_large_memtables();
        // What is being made beside the old one is set aside with it.
        self.shared.rebuilds.fetch_add(1, Ordering::Relaxed);
        if let Some(old) = self.shared.set_index(None) {
            retire(old)?;
        }
        let site = Site {
            files: self.shared.files.clone(),
            dir: self.shared.options.dir.clone(),
            cache_bytes: self.shared.options.cache_bytes,
            memtable_bytes_max: self.shared.options.memtable_bytes_max,
            counts: true,
        };
        let mut builder = Builder::rebuild(site, true)?;
        builder.replay(Some(immutable.end.sequence), &|_| self.is_aborted())?;
        builder.flush()?;
        self.shared.set_index(Some(Arc::new(builder.target.index)));
        self.shared.index_suspect.store(false, Ordering::Relaxed);
        tracing::info!(
            messages = builder.state.messages,
            "the index is whole again"
        );
        Ok(builder.state)
    }
}

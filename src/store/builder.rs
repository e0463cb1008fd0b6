//! Brings an index up to the journal: at opening, and when it must be made anew.
//!
//! Needs memory for two generations of the tail, however long the journal is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder as ThreadBuilder, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::api::OpenError;
use super::breather::Breather;
use super::domains::Domains;
use super::files::{self, FileSystem};
use super::index::{Found, Index, IndexError, IndexState, Kept, guarded, place};
use super::journal::{Outcome, Position, list, replay};
use super::record::Record;
use super::replayed::take;
use super::tail::{Generation, Tail};
use crate::model::MsgId;

/// While the store is in use, the index is made durable after so many bytes, so that no
/// commit finds the disk busy for long.
const SYNC_BYTES: usize = 1 << 20;
/// The same while nobody waits but for the index itself.
const SYNC_BYTES_ALONE: usize = 8 << 20;
/// A line of progress is logged so often.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);
/// Space that writing a generation leaves free beside what it may take itself.
const FREE_BYTES_MARGIN: u64 = 8 << 20;

/// Why an index was not brought up to the journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The index cannot be written: make a new one.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What stands beside the index cannot be written, or there is no space for more; the
    /// index itself is fine.
    #[error("the index cannot be brought up to the journal: {0}")]
    Surroundings(#[from] std::io::Error),
}

/// Writes a generation into the index and makes it durable, as it goes on and at the end.
/// `between` is called after each write with its bytes and may pause or stop the work; without
/// it, the work is done as fast as it can be.
pub(super) fn apply(
    index: &Index,
    generation: &Generation,
    state: &IndexState,
    day_min: u64,
    between: Option<&mut dyn FnMut(usize) -> Result<(), IndexError>>,
) -> Result<IndexState, IndexError> {
    let mut state = state.clone();
    generation.begin_writing();
    let mut unsynced = 0;
    let at_once = between.is_none();
    let sync_bytes = match at_once {
        true => SYNC_BYTES_ALONE,
        false => SYNC_BYTES,
    };
    let mut nothing = |_| Ok(());
    let between = between.unwrap_or(&mut nothing);
    let mut pace = |index: &Index, bytes: usize| {
        unsynced += bytes;
        if unsynced >= sync_bytes {
            index.sync()?;
            unsynced = 0;
        }
        between(bytes)
    };
    match at_once {
        true => index.apply_messages_at_once(generation, sync_bytes)?,
        false => index.apply_messages(generation, &mut pace)?,
    }
    index.apply_small(generation, day_min, &mut state, &mut pace)?;
    index.sync()?;
    state.heap_bytes = index.heap_bytes();
    state.messages += generation.messages;
    state.position = generation.end;
    state.last_id = generation.last_id.0;
    Ok(state)
}

/// Refuses what might fill the disk in the midst of it, and leave the index broken.
pub(super) fn check_space(
    files: &dyn FileSystem,
    dir: &Path,
    generation: &Generation,
) -> std::io::Result<()> {
    if files.free_bytes(dir)? < FREE_BYTES_MARGIN + 2 * generation.bytes as u64 {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Before a generation goes into the index: from then on the index may hold fewer cursors
/// than its state says, as it does after a crash in the midst of it.
pub(super) fn expect_fewer_cursors(
    files: &dyn FileSystem,
    dir: &Path,
    generation: &Generation,
    state: &IndexState,
) -> std::io::Result<()> {
    let dropped = generation.dropped_cursors();
    if dropped == 0 {
        return Ok(());
    }
    let mut fewer = state.clone();
    fewer.cursors = fewer.cursors.saturating_sub(dropped);
    save(files, dir, &fewer)
}

/// Writes the index's state.
pub(super) fn save(files: &dyn FileSystem, dir: &Path, state: &IndexState) -> std::io::Result<()> {
    files::replace(files, dir, IndexState::FILE, &state.encode())
}

/// An index on its way up the journal.
pub(super) struct Builder {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) index: Index,
    pub(super) state: IndexState,
    pub(super) domains: Domains,
    pub(super) tail: Tail,
    /// Bytes of the tail at which it goes into the index.
    pub(super) checkpoint_bytes: usize,
    /// Most bytes of the tail.
    pub(super) tail_bytes_max: usize,
    /// Sends of days before are not kept.
    pub(super) day_min: u64,
    counts: bool,
    /// Whether it pauses for others.
    pub(super) is_paced: bool,
}

/// What a builder needs to know of its surroundings.
pub(super) struct Site {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) cache_bytes: u64,
    pub(super) checkpoint_bytes: usize,
    pub(super) tail_bytes_max: usize,
    pub(super) day_min: u64,
    /// Whether this is the index that counts: then its state is saved as it goes on.
    pub(super) counts: bool,
}

impl Builder {
    /// Takes up an index where its state says it is.
    pub(super) fn resume(site: Site, index: Index, state: IndexState) -> Result<Self, IndexError> {
        Ok(Self {
            domains: index.domains()?,
            tail: Tail::new(MsgId(state.last_id), state.position),
            files: site.files,
            dir: site.dir,
            index,
            state,
            checkpoint_bytes: site.checkpoint_bytes,
            tail_bytes_max: site.tail_bytes_max,
            day_min: site.day_min,
            counts: site.counts,
            is_paced: !site.counts,
        })
    }

    /// Begins a new index in place of the old one, which is set aside.
    pub(super) fn anew(site: Site) -> Result<Self, BuildError> {
        // Without its state, whatever stands in `db` counts for nothing.
        site.files.remove(&site.dir.join(IndexState::FILE))?;
        site.files.sync_dir(&site.dir)?;
        place::set_aside(&site.dir)?;
        Self::beside(site)
    }

    /// Begins a new index beside what there is.
    pub(super) fn beside(site: Site) -> Result<Self, BuildError> {
        let number = place::free_number(&site.dir)?;
        let index = Index::open(&place::path(&site.dir, number), site.cache_bytes)?;
        Ok(Self::resume(site, index, IndexState::empty(number))?)
    }

    /// Replays the journal from the index's place on, up to the frame `until`. What is
    /// short of a generation stays in the tail. `stop` is asked at every frame. While one
    /// generation is written, the next one is read.
    pub(super) fn replay(
        &mut self,
        until: Option<u64>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Outcome, BuildError> {
        let journal = self.dir.join("journal");
        let segments = list(self.files.as_ref(), &journal)?;
        let last = segments.last().map_or(0, |segment| segment.number);
        let mut progress = Instant::now();
        let from = self.state.position;
        let Self {
            files,
            dir,
            index,
            state,
            domains,
            tail,
            ..
        } = self;
        let (files, dir) = (files.as_ref(), dir.as_path());
        let target = Target {
            files,
            dir,
            index,
            day_min: self.day_min,
            counts: self.counts,
            is_paced: self.is_paced,
        };
        std::thread::scope(|scope| {
            let mut writing = Writing::default();
            let mut breather = Breather::new();
            let mut visit = |records: Vec<Record>, behind: Position| -> Result<(), BuildError> {
                if target.is_paced {
                    breather.step();
                }
                if stop() {
                    return Err(IndexError::Sled("the store is closing".to_owned()).into());
                }
                if progress.elapsed() >= PROGRESS_PAUSE {
                    progress = Instant::now();
                    let messages = state.messages + tail.active.messages;
                    tracing::info!(
                        segment = behind.segment,
                        segments = last,
                        messages,
                        "bringing the index up to the journal"
                    );
                }
                take(domains, tail, records, behind);
                if tail.active.bytes < self.checkpoint_bytes {
                    return Ok(());
                }
                writing.end(state)?;
                match check_space(files, dir, &tail.active) {
                    Ok(()) => {}
                    // It can wait in memory until a checkpoint finds space.
                    Err(_) if tail.bytes() < self.tail_bytes_max => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                let frozen = tail.freeze();
                // Nobody reads it but the writer, who frees it.
                tail.frozen = None;
                let before = state.clone();
                let thread = ThreadBuilder::new().name("index".to_owned());
                let thread = thread.spawn_scoped(scope, move || target.write(&frozen, &before))?;
                writing.thread = Some(thread);
                Ok(())
            };
            let replayed = replay(files, &journal, &segments, from, until, &mut visit);
            writing.end(state)?;
            let outcome = replayed?;
            if let Outcome::Reached(end) = &outcome {
                // Behind the last frame, but perhaps not where the next one comes.
                tail.advance(MsgId::ZERO, end.position);
            }
            Ok(outcome)
        })
    }

    /// Begins a new index beside what there is with what is kept of the one that is in use; and
    /// answers how much of the small trees that one held. `stop` is asked again and again.
    pub(super) fn copied(
        site: Site,
        from: &Index,
        state: &IndexState,
        kept: &dyn Kept,
        stop: &dyn Fn() -> bool,
    ) -> Result<(Self, Found), BuildError> {
        let number = place::free_number(&site.dir)?;
        let index = Index::open(&place::path(&site.dir, number), site.cache_bytes)?;
        let mut breather = Breather::new();
        let mut unsynced = 0;
        let mut pace = |index: &Index, bytes: usize| {
            if stop() {
                return Err(IndexError::Sled("the store is closing".to_owned()));
            }
            unsynced += bytes;
            if unsynced >= SYNC_BYTES {
                index.sync()?;
                unsynced = 0;
            }
            breather.step();
            Ok(())
        };
        let copied = guarded(|| from.copy(state, &index, number, kept, &mut pace));
        let (state, found) = copied?;
        Ok((Self::resume(site, index, state)?, found))
    }

    /// Closes the index and opens it with another cache.
    pub(super) fn reopened(self, cache_bytes: u64) -> Result<Self, BuildError> {
        let path = place::path(&self.dir, self.state.number);
        let Self { index, .. } = self;
        guarded(|| {
            drop(index);
            Ok::<_, IndexError>(())
        })?;
        let index = Index::open(&path, cache_bytes)?;
        if index.heap_bytes() < self.state.heap_bytes {
            let what = "the index that was made is not there any more".to_owned();
            return Err(IndexError::Sled(what).into());
        }
        Ok(Self { index, ..self })
    }

    /// Writes what is in the tail into the index.
    pub(super) fn flush(&mut self) -> Result<(), BuildError> {
        let frozen = self.tail.freeze();
        let target = Target {
            files: self.files.as_ref(),
            dir: &self.dir,
            index: &self.index,
            day_min: self.day_min,
            counts: self.counts,
            is_paced: self.is_paced,
        };
        self.state = target.write(&frozen, &self.state)?;
        self.tail.frozen = None;
        Ok(())
    }
}

/// What generations are written into.
#[derive(Clone, Copy)]
struct Target<'a> {
    files: &'a dyn FileSystem,
    dir: &'a Path,
    index: &'a Index,
    day_min: u64,
    counts: bool,
    is_paced: bool,
}

impl Target<'_> {
    fn write(&self, frozen: &Generation, state: &IndexState) -> Result<IndexState, BuildError> {
        if self.counts {
            expect_fewer_cursors(self.files, self.dir, frozen, state)?;
        }
        let mut breather = Breather::new();
        let mut pause = |_| {
            breather.step();
            Ok(())
        };
        let between: Option<&mut dyn FnMut(usize) -> Result<(), IndexError>> = match self.is_paced {
            true => Some(&mut pause),
            false => None,
        };
        let state = guarded(|| apply(self.index, frozen, state, self.day_min, between))?;
        if self.counts {
            save(self.files, self.dir, &state)?;
        }
        Ok(state)
    }
}

/// The thread that writes a generation, if one does.
#[derive(Default)]
struct Writing<'scope> {
    thread: Option<ScopedJoinHandle<'scope, Result<IndexState, BuildError>>>,
}

impl Writing<'_> {
    /// Waits for it, and takes over how far the index is then.
    fn end(&mut self, state: &mut IndexState) -> Result<(), BuildError> {
        if let Some(thread) = self.thread.take() {
            let written = thread.join();
            *state = written.unwrap_or(Err(IndexError::Panicked.into()))?;
        }
        Ok(())
    }
}

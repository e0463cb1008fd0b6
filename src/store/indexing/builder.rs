//! Replays the journal into an index, on open and in a rebuild.
//!
//! Needs memory for two memtables, however long the journal is.

use std::thread::{Builder as ThreadBuilder, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::error::BuildError;
use super::replay::take;
use super::space::{check_space, flush_bytes};
use super::writer::{IndexTarget, Site};
use crate::model::MsgId;
use crate::store::age::AgeState;
use crate::store::data::{Domains, Record, day};
use crate::store::disk::Pacer;
use crate::store::index::{
    Index, IndexError, Kept, Manifest, SYNC_BYTES, SmallCounts, location, syncing,
};
use crate::store::journal::{Outcome, Position, list, replay};
use crate::store::memtable::Memtables;

/// Interval between lines of progress in the log.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

/// An index being brought up to the journal.
pub(crate) struct Builder {
    pub(crate) target: IndexTarget,
    pub(crate) state: Manifest,
    pub(crate) domains: Domains,
    /// The last age time in the journal.
    pub(crate) age: Option<AgeState>,
    pub(crate) memtables: Memtables,
}

impl Builder {
    /// Continues an index at its manifest.
    pub(crate) fn resume(site: Site, index: Index, state: Manifest) -> Result<Self, IndexError> {
        let (domains, age) = index.resume(&state)?;
        Ok(Self {
            domains,
            age,
            memtables: Memtables::new(MsgId(state.last_id), state.position),
            target: IndexTarget {
                is_paced: !site.counts,
                site,
                index,
            },
            state,
        })
    }

    /// Begins a new index in place of the old one, which is set aside if `kept`, and may be removed
    /// otherwise.
    pub(crate) fn rebuild(site: Site, kept: bool) -> Result<Self, BuildError> {
        // Without a manifest, nothing in `db` is relied upon.
        site.files.remove(&site.dir.join(Manifest::FILE))?;
        site.files.sync_dir(&site.dir)?;
        if kept {
            location::set_aside(&site.dir)?;
        }
        Self::beside(site)
    }

    /// Begins a new index beside the others.
    pub(crate) fn beside(site: Site) -> Result<Self, BuildError> {
        let number = location::free_number(&site.dir)?;
        let index = Index::open(&location::path(&site.dir, number), site.cache_bytes)?;
        Ok(Self::resume(site, index, Manifest::empty(number))?)
    }

    /// Replays the journal from the manifest up to the frame `until`. What does not fill a memtable
    /// stays in memory. `stop` is asked with the sequence of every frame. One memtable is written
    /// while the next one fills.
    pub(crate) fn replay(
        &mut self,
        until: Option<u64>,
        stop: &dyn Fn(u64) -> bool,
    ) -> Result<Outcome, BuildError> {
        let Self {
            target,
            state,
            domains,
            age,
            memtables,
            ..
        } = self;
        let (target, site) = (&*target, &target.site);
        let (files, dir) = (site.files.as_ref(), &site.dir);
        let journal = dir.join("journal");
        let segments = list(files, &journal)?;
        let last = segments.last().map_or(0, |segment| segment.number);
        let mut progress = Instant::now();
        let from = state.position;
        std::thread::scope(|scope| {
            let mut writing: Option<ScopedJoinHandle<'_, _>> = None;
            let mut pacer = Pacer::new();
            let mut visit = |records: Vec<Record>, behind: Position| -> Result<(), BuildError> {
                if target.is_paced {
                    pacer.step();
                }
                if stop(behind.sequence) {
                    return Err(IndexError::Closing.into());
                }
                if progress.elapsed() >= PROGRESS_PAUSE {
                    progress = Instant::now();
                    let messages = state.messages + memtables.active.messages;
                    tracing::info!(
                        segment = behind.segment,
                        segments = last,
                        messages,
                        "bringing the index up to the journal"
                    );
                }
                take(domains, memtables, records, behind);
                if let Some(told) = &memtables.active.age {
                    age.clone_from(&Some(told.clone()));
                }
                if memtables.active.bytes < flush_bytes(site.memtable_bytes_max) {
                    return Ok(());
                }
                end(writing.take(), state)?;
                match check_space(files, dir, memtables.active.bytes) {
                    Ok(()) => {}
                    // The memtable can wait until a flush finds space.
                    Err(_) if memtables.bytes() < site.memtable_bytes_max => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                let immutable = memtables.rotate();
                // Only the writer uses it, and frees it.
                memtables.immutable = None;
                let before = state.clone();
                let day_min = day_min(age.as_ref(), immutable.last_id);
                let thread = ThreadBuilder::new().name("index".to_owned());
                let write = move || target.write(&immutable, &before, day_min);
                writing = Some(thread.spawn_scoped(scope, write)?);
                Ok(())
            };
            let replayed = replay(files, &journal, &segments, from, until, &mut visit);
            end(writing.take(), state)?;
            let outcome = replayed?;
            if let Outcome::Reached(end) = &outcome {
                // The end of the last frame, possibly not where the next one begins.
                memtables.advance(MsgId::ZERO, end.position);
            }
            Ok(outcome)
        })
    }

    /// Begins a new index as a copy of the one in use, with what is kept of it. Also returns the
    /// counts found in its small trees. `stop` and `space` are asked repeatedly.
    pub(crate) fn copied(
        site: Site,
        from: &Index,
        state: &Manifest,
        kept: &dyn Kept,
        stop: &dyn Fn() -> bool,
        space: &mut dyn FnMut() -> std::io::Result<()>,
    ) -> Result<(Self, SmallCounts), BuildError> {
        space()?;
        let number = location::free_number(&site.dir)?;
        let index = Index::open(&location::path(&site.dir, number), site.cache_bytes)?;
        let mut pacer = Pacer::new();
        let mut unchecked = 0;
        let mut pace = syncing(SYNC_BYTES, |bytes| {
            if stop() {
                return Err(IndexError::Closing);
            }
            unchecked += bytes;
            if unchecked >= SYNC_BYTES {
                unchecked = 0;
                // The size of the copy is unknown in advance.
                space()?;
            }
            pacer.step();
            Ok(())
        });
        let (state, found) = from.copy(state, &index, number, kept, &mut pace)?;
        Ok((Self::resume(site, index, state)?, found))
    }

    /// Reopens the index with another cache.
    pub(crate) fn reopened(self, cache_bytes: u64) -> Result<Self, BuildError> {
        let IndexTarget { index, .. } = self.target;
        let path = location::path(&self.target.site.dir, self.state.number);
        index.close()?;
        let index = Index::open(&path, cache_bytes)?;
        if index.blob_bytes() < self.state.blob_bytes || !index.has_trailer(&self.state)? {
            let what = "the index that was made is not there any more".to_owned();
            return Err(IndexError::Damaged(what).into());
        }
        let target = IndexTarget {
            index,
            ..self.target
        };
        Ok(Self { target, ..self })
    }

    /// Writes the memtable into the index.
    pub(crate) fn flush(&mut self) -> Result<(), BuildError> {
        let immutable = self.memtables.rotate();
        let day_min = day_min(self.age.as_ref(), immutable.last_id);
        self.state = self.target.write(&immutable, &self.state, day_min)?;
        self.memtables.immutable = None;
        Ok(())
    }
}

/// Waits for a memtable to be written, and takes over its manifest.
fn end(
    writing: Option<ScopedJoinHandle<'_, Result<Manifest, BuildError>>>,
    state: &mut Manifest,
) -> Result<(), BuildError> {
    if let Some(writing) = writing {
        *state = writing.join().unwrap_or(Err(IndexError::Panicked.into()))?;
    }
    Ok(())
}

/// The first day whose sends are kept, by the last age time in the journal or, without one, by the
/// last id.
fn day_min(age: Option<&AgeState>, last_id: MsgId) -> u64 {
    match age {
        Some(age) => age.ages().day_min(),
        None => day(last_id.0).saturating_sub(1),
    }
}

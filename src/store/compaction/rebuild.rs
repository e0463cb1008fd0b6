//! Rebuilds the index beside the current one and has it swapped in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::error::CompactionError;
use crate::store::disk::{INDEX_FILES, Lent};
use crate::store::index::{Index, IndexError, Kept, Manifest, SmallCounts, location};
use crate::store::indexing::{Builder, Site, space_for};
use crate::store::state::{Shared, Successor};

/// Interval at which the thread looks for work.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// Memory for an index that is being built.
const BUILD_MEMTABLE_BYTES_MAX: usize = 16 << 20;
const BUILD_CACHE_BYTES: u64 = 4 << 20;
/// A new index that is fewer frames behind than this is handed over.
const BEHIND_FRAMES_MAX: u64 = 2_000;
/// Rounds of catching up after which it is handed over however far it is behind.
const CATCH_UPS_MAX: u32 = 8;
/// The pause after there was no room for another index: finding that out writes much of one. It
/// doubles from the third time on, up to `CRAMPED_DOUBLINGS_MAX` times.
const CRAMPED_PAUSE: Duration = Duration::from_secs(5);
const CRAMPED_DOUBLINGS_MAX: u32 = 6;

/// How often in a row there was no room for another index, and when that is tried again.
pub(super) struct Cramped {
    times: u32,
    /// The last request by then; a newer one does not wait.
    asked: u64,
    until: Duration,
}

impl Cramped {
    /// One more time.
    pub(super) fn again(before: Option<&Self>, asked: u64, now: Duration) -> Self {
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        let doublings = times.saturating_sub(2).min(CRAMPED_DOUBLINGS_MAX);
        Self {
            times,
            asked,
            until: now + CRAMPED_PAUSE * 2_u32.pow(doublings),
        }
    }

    /// Refuses before the pause is over.
    pub(super) fn check(&self, asked: u64, now: Duration) -> io::Result<()> {
        match self.asked == asked && now < self.until {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

/// How the index is made.
#[derive(Clone, Copy)]
pub(super) enum RebuildFrom<'a> {
    /// From the one that counts, with what is kept of it; from the journal, if that one is
    /// found damaged on the way.
    Copied(&'a dyn Kept),
    /// From the journal.
    Replayed,
}

/// Rebuilds the index. Behind that, no other one is on disk.
pub(super) fn renew(shared: &Shared, how: RebuildFrom<'_>) -> Result<(), CompactionError> {
    // While the flush has none, it is making one.
    drop(shared.index()?);
    let rebuilds = shared.rebuilds.load(Ordering::Relaxed);
    remove_others(shared)?;
    // Until there is one less.
    let mut lent = Vec::new();
    let builder = match make(shared, how, &mut lent) {
        Ok(builder) => Box::new(builder),
        Err(CompactionError::Stopped) => return Err(CompactionError::Stopped),
        Err(error) => {
            remove_others(shared)?;
            return Err(error);
        }
    };
    // Where it is not taken, the old one may still be read.
    hand_over(shared, Successor { builder, rebuilds })?;
    remove_others(shared)
}

fn remove_others(shared: &Shared) -> Result<(), CompactionError> {
    let _alone = shared.index_dirs.lock();
    let number = shared.indexed.lock().number;
    Ok(location::remove_all_but(&shared.options.dir, number)?)
}

fn make(
    shared: &Shared,
    how: RebuildFrom<'_>,
    lent: &mut Vec<Lent>,
) -> Result<Builder, CompactionError> {
    let site = || Site {
        files: shared.files.clone(),
        dir: shared.options.dir.clone(),
        cache_bytes: BUILD_CACHE_BYTES.min(shared.options.cache_bytes),
        memtable_bytes_max: BUILD_MEMTABLE_BYTES_MAX,
        counts: false,
    };
    let from_journal = || {
        let mut builder = Builder::beside(site())?;
        // Until it is there, some cannot read their messages.
        builder.target.is_paced = false;
        Ok::<_, CompactionError>(builder)
    };
    let begun = match how {
        RebuildFrom::Copied(kept) => copied(shared, site(), kept, lent),
        RebuildFrom::Replayed => from_journal(),
    };
    let mut builder = match begun {
        Err(CompactionError::Index(error @ (IndexError::Damaged(_) | IndexError::Panicked))) => {
            tracing::warn!(%error, "the index is damaged and is made anew from the journal");
            remove_others(shared)?;
            from_journal()?
        }
        begun => begun?,
    };
    for _ in 0..CATCH_UPS_MAX {
        let until = shared.indexed.lock().position.sequence;
        builder.replay(Some(until), &|_| stops(shared))?;
        builder.flush()?;
        if shared.indexed.lock().position.sequence - until < BEHIND_FRAMES_MAX {
            break;
        }
    }
    Ok(builder.reopened(shared.options.cache_bytes)?)
}

fn copied(
    shared: &Shared,
    site: Site,
    kept: &dyn Kept,
    lent: &mut Vec<Lent>,
) -> Result<Builder, CompactionError> {
    let index = shared.index()?;
    let state = shared.indexed.lock().clone();
    // One that the flush gave up is not to be held on to.
    let counts = || shared.index().is_ok_and(|now| Arc::ptr_eq(&now, &index));
    let stop = || stops(shared) || !counts();
    let mut space = || {
        lent.extend(space_for(&shared.reserve, 0, INDEX_FILES)?);
        Ok(())
    };
    let (builder, found) = match Builder::copied(site, &index, &state, kept, &stop, &mut space) {
        Err(_) if stops(shared) => return Err(CompactionError::Stopped),
        copied => copied?,
    };
    check_small(shared, &state, &found)?;
    Ok(builder)
}

/// Whether the small trees held what they must: as much as they had when the copy began, less what
/// flushes took out of them meanwhile.
fn check_small(shared: &Shared, then: &Manifest, found: &SmallCounts) -> Result<(), IndexError> {
    let days = shared.indexed.lock().small.sends.clone();
    let mut expected = SmallCounts {
        cursors: cursors_min(shared, then),
        ..then.small.clone()
    };
    expected.sends.retain(|day, _| days.contains_key(day));
    found.check(&expected)
}

fn stops(shared: &Shared) -> bool {
    !shared.queue.is_open()
}

/// How many cursors must have been there while flushes took some out, at least.
fn cursors_min(shared: &Shared, then: &Manifest) -> u64 {
    let immutable = shared.memtables().immutable.clone();
    let going = immutable.map_or(0, |immutable| immutable.dropped_cursors());
    let now = shared.indexed.lock().small.cursors;
    then.small.cursors.min(now).saturating_sub(going)
}

/// Before cursors are written into the journal as the index has them: whether it has them all.
pub(super) fn check_cursors(shared: &Shared, index: &Index) -> Result<(), IndexError> {
    let then = shared.indexed.lock().clone();
    if index.count_cursors()? < cursors_min(shared, &then) {
        // It is rebuilt from the journal first.
        shared.index_suspect.store(true, Ordering::Relaxed);
        return Err(IndexError::Damaged("cursors are missing".to_owned()));
    }
    Ok(())
}

/// Has the flush put it in the place of the one that counts.
fn hand_over(shared: &Shared, successor: Successor) -> Result<(), CompactionError> {
    let mut signal = shared.signal.lock();
    signal.successor = Some(successor);
    signal.succeeded = None;
    drop(signal);
    shared.changed.notify();
    loop {
        let seen = shared.changed.count();
        let (succeeded, ended) = {
            let mut signal = shared.signal.lock();
            (signal.succeeded.take(), signal.ended)
        };
        match succeeded {
            Some(true) => return Ok(()),
            Some(false) => {
                let what = "an exchange of the index did not come to its end";
                return Err(IndexError::Busy(what).into());
            }
            None if stops(shared) || ended => return Err(CompactionError::Stopped),
            None => shared.wait_for_change(seen, Duration::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_again_and_again_waits_longer_but_not_for_what_is_new() {
        let mut cramped: Option<Cramped> = None;
        let mut now = Duration::from_secs(1_000);
        for pause in [5, 5, 10, 20, 40, 80, 160, 320, 320, 320, 320, 320] {
            let again = Cramped::again(cramped.as_ref(), 7, now);
            now += Duration::from_secs(pause);
            let early = now - Duration::from_nanos(1);
            assert!(again.check(7, early).is_err() && again.check(8, early).is_ok());
            again.check(7, now).expect("the pause is over");
            cramped = Some(again);
        }
    }
}

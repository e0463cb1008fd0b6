//! Makes the index anew beside the one that counts, and has it put in its place.

use std::sync::Arc;

use super::super::builder::{Builder, Site};
use super::super::index::{IndexError, Kept, place};
use super::super::shared::Shared;
use super::TICK;
use super::sieve::SweepError;

/// Space that an index in the making leaves free beside what the one that counts takes.
const FREE_BYTES_MARGIN: u64 = 64 << 20;
/// Memory for an index in the making.
const BUILD_TAIL_BYTES_MAX: usize = 16 << 20;
const BUILD_CACHE_BYTES: u64 = 4 << 20;
/// An index in the making that is so many frames behind is handed over.
const BEHIND_FRAMES_MAX: u64 = 2_000;
/// How often it is brought up before it is handed over however far it is behind.
const CATCH_UPS_MAX: u32 = 8;

/// How the index is made.
#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// From the one that counts, with what is kept of it; from the journal, if that one is
    /// found damaged on the way.
    Copied(&'a dyn Kept),
    /// From the journal.
    Replayed,
}

/// Makes the index anew. Behind that, no other one is on disk.
pub(super) fn renew(shared: &Shared, how: How<'_>) -> Result<(), SweepError> {
    remove_others(shared)?;
    let dir = &shared.options.dir;
    let needed = place::bytes(&place::path(dir, shared.indexed().number))?;
    if shared.files.free_bytes(dir)? < needed.saturating_add(FREE_BYTES_MARGIN) {
        return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
    }
    let made = make(shared, how).and_then(|builder| hand_over(shared, builder));
    if !matches!(made, Err(SweepError::Stopped)) {
        remove_others(shared)?;
    }
    made
}

fn remove_others(shared: &Shared) -> Result<(), SweepError> {
    let number = shared.indexed().number;
    Ok(place::remove_all_but(&shared.options.dir, number)?)
}

fn make(shared: &Shared, how: How<'_>) -> Result<Builder, SweepError> {
    let site = || Site {
        files: shared.files.clone(),
        dir: shared.options.dir.clone(),
        cache_bytes: BUILD_CACHE_BYTES.min(shared.options.cache_bytes),
        checkpoint_bytes: BUILD_TAIL_BYTES_MAX / 2,
        tail_bytes_max: BUILD_TAIL_BYTES_MAX,
        day_min: shared.day_min(shared.tail().active.last_id),
        counts: false,
    };
    let anew = || {
        let mut builder = Builder::beside(site())?;
        // Until it is there, some cannot read their messages.
        builder.is_paced = false;
        Ok::<_, SweepError>(builder)
    };
    let begun = match how {
        How::Copied(kept) => copied(shared, site(), kept),
        How::Replayed => anew(),
    };
    let mut builder = match begun {
        Err(SweepError::Index(error @ (IndexError::Damaged(_) | IndexError::Panicked))) => {
            tracing::warn!(%error, "the index is damaged and is made anew from the journal");
            remove_others(shared)?;
            anew()?
        }
        begun => begun?,
    };
    for _ in 0..CATCH_UPS_MAX {
        let until = shared.indexed().position.sequence;
        builder.replay(Some(until), &|| stops(shared))?;
        builder.flush()?;
        if shared.indexed().position.sequence - until < BEHIND_FRAMES_MAX {
            break;
        }
    }
    Ok(builder.reopened(shared.options.cache_bytes)?)
}

fn copied(shared: &Shared, site: Site, kept: &dyn Kept) -> Result<Builder, SweepError> {
    let index = shared.index()?;
    let state = shared.indexed().clone();
    // One that the checkpoint gave up is not to be held on to.
    let counts = || shared.index().is_ok_and(|now| Arc::ptr_eq(&now, &index));
    let stop = || stops(shared) || !counts();
    let copied = Builder::copied(site, &index, &state, kept, &stop);
    match copied {
        Err(_) if stops(shared) => Err(SweepError::Stopped),
        copied => Ok(copied?),
    }
}

fn stops(shared: &Shared) -> bool {
    !shared.queue.is_open()
}

/// Has the checkpoint put it in the place of the one that counts.
fn hand_over(shared: &Shared, builder: Builder) -> Result<(), SweepError> {
    let mut signal = shared.signal();
    signal.successor = Some(Box::new(builder));
    signal.succeeded = None;
    drop(signal);
    loop {
        let (succeeded, ended) = {
            let mut signal = shared.signal();
            (signal.succeeded.take(), signal.ended)
        };
        match succeeded {
            Some(true) => return Ok(()),
            Some(false) => {
                let what = "an exchange of the index did not come to its end".to_owned();
                return Err(IndexError::Sled(what).into());
            }
            None if stops(shared) || ended => return Err(SweepError::Stopped),
            None => shared.wait_for_checkpoint(TICK),
        }
    }
}

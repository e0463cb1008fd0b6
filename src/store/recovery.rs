//! Opens a claimed data directory: recovers what is in it and makes it ready.
//!
//! After a clean close the index is taken as it is; otherwise it is verified. It is rebuilt from
//! the journal if anything is wrong with it, or if it came with a copy; before anything of it is
//! touched, the whole journal is judged as `relaybox check` does. The journal itself is never
//! repaired beyond cutting off a torn tail.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::clock::Clock;
use crate::model::MsgId;
use crate::store::api::{FileError, OpenError, Opening, Work, io_error};
use crate::store::check::{Note, end_note, judge};
use crate::store::directory::{Claim, HeldFileSystem, layout};
use crate::store::disk::{
    FileSystem, INDEX_FILES, OPEN_BYTES, OutOfSpace as _, Reserve, ReservingFileSystem,
    WRITE_FILES, reserve,
};
use crate::store::index::{
    Index, IndexError, Loaded, Manifest, Origin, guarded, location, manifest_file,
};
use crate::store::indexing::{BuildError, Builder, Site};
use crate::store::journal::{
    End, Outcome, SegmentName, Writer, WriterStart, check_headers, clear, header_of, list,
};

/// A data directory that is ready.
pub(crate) struct Opened {
    /// They check the lock, and may use the reserve.
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) builder: Builder,
    pub(crate) writer: Writer,
    pub(crate) last_id: MsgId,
    /// All segments but the open one.
    pub(crate) sealed: Vec<SegmentName>,
}

/// Opens a data directory, or creates what it lacks. `sealed` receives segments sealed later.
pub(crate) fn open(
    claim: &Claim,
    clock: &Arc<dyn Clock>,
    sealed: Sender<SegmentName>,
) -> Result<Opened, OpenError> {
    let Claim {
        options,
        files,
        hold,
    } = claim;
    let dir = options.dir.as_path();
    let journal = dir.join(layout::JOURNAL);
    let opening = options.opening.as_ref();
    let held = Arc::new(HeldFileSystem::new(files.clone(), hold.clone()));
    // If unknown, a large disk is assumed.
    let disk_bytes = held.disk_bytes(dir).unwrap_or(u64::MAX);
    let segment_bytes = reserve::segment_bytes(disk_bytes, options.segment_bytes);
    let reserve = Reserve::new(held, clock.clone(), dir, disk_bytes, segment_bytes);
    let reserve = Arc::new(reserve);
    let files: &Arc<dyn FileSystem> = &(Arc::new(ReservingFileSystem(reserve.clone())) as _);
    // Before anything is created in it, which lending from the reserve does.
    let has_version = layout::prepare(files.as_ref(), dir)?;
    // For the index, too, whose files bypass these operations.
    let mut lent = vec![reserve.lend(OPEN_BYTES, WRITE_FILES)];
    files
        .create_dir(&journal)
        .and_then(|()| files.sync_dir(dir))
        .and_then(|()| hold.watch_journal(&journal))
        .map_err(io_error("cannot create", &journal))?;

    let site = || Site {
        files: files.clone(),
        dir: dir.to_owned(),
        cache_bytes: options.cache_bytes,
        memtable_bytes_max: options.memtable_bytes_max,
        counts: true,
    };
    clear(files.as_ref(), &journal)?;
    let segments = list(files.as_ref(), &journal)?;
    let mark = check_headers(files.as_ref(), &journal, &segments)?;
    let loaded = manifest_file::load(files.as_ref(), dir)?;
    let was_there = || has_version || loaded.is_some() || holds_something(&site());
    if segments.is_empty() && was_there() {
        return Err(FileError::damaged(journal, 0, "its segments are missing").into());
    }
    let existing = match loaded {
        Some(loaded) if loaded.origin == Origin::Copy => Err(IndexError::Copied.into()),
        Some(Loaded { state, .. }) => match guarded(|| existing(site(), state.clone(), opening)) {
            Err(error) if error.is_out_of_space() => {
                lent.push(reserve.lend(u64::MAX, INDEX_FILES));
                guarded(|| existing(site(), state, opening)).map(Some)
            }
            made => made.map(Some),
        },
        None if segments.is_empty() => Ok(None),
        None => Err(BuildError::Index(IndexError::Damaged(
            "its state is missing, damaged or of another format".to_owned(),
        ))),
    };
    let is_whole_at = |end: &End| {
        let sealed = end.open.is_none();
        end_note(files.as_ref(), dir, end.position.sequence, sealed)
    };
    let (mut builder, mut end) = match existing {
        Ok(Some((builder, end))) => {
            tell(is_whole_at(&end)?);
            if !has_version {
                tell([Note::NoVersion]);
            }
            (builder, end)
        }
        Ok(None) => {
            lent.push(reserve.lend(OPEN_BYTES, INDEX_FILES));
            rebuild(&site, false, opening)?
        }
        Err(BuildError::Index(error))
            if !matches!(error, IndexError::Closing | IndexError::OutOfSpace(_)) =>
        {
            let judged = |done, all| opening.begin(Work::JudgeJournal, all, done);
            let stop = || opening.is_stopped();
            let report = judge(files.as_ref(), dir, None, &judged, &stop)?;
            if let Some(damage) = report.damage.into_iter().next() {
                return Err(FileError::from(damage).into());
            }
            tracing::warn!(%error, "the index is not fit and is made anew from the journal");
            // A torn tail is logged once it was cut off.
            let notes = report.notes.into_iter();
            tell(notes.filter(|note| !matches!(note, Note::Torn(_))));
            let copied = matches!(error, IndexError::Copied);
            lent.push(reserve.lend(OPEN_BYTES, INDEX_FILES));
            let found = rebuild(&site, !copied, opening)?;
            let messages = found.0.state.messages + found.0.memtables.active.messages;
            tracing::warn!(messages, "the index was made anew");
            found
        }
        // The index is none the worse for it, and a new one would need no less.
        Err(error) => {
            let action = match error {
                BuildError::Surroundings(_) => "cannot bring the index up to the journal in",
                _ => "cannot open the index in",
            };
            return Err(refused(error, action, dir));
        }
    };
    if end.torn_bytes > 0 {
        let (segment, bytes) = (end.position.segment, end.torn_bytes);
        tracing::warn!(segment, bytes, "the journal's torn end was cut off");
    }
    let last_id = builder.memtables.active.last_id.max(MsgId(end.last_id));
    end.last_id = last_id.0;
    drop(lent);
    if let Err(error) = reserve.keep() {
        tracing::warn!(%error, "nothing can be stored: make room on the disk");
    }
    let sealed_now = segments.into_iter();
    let open_name = end.open.map(|(name, _)| name);
    let sealed_now = sealed_now.filter(|name| Some(*name) != open_name).collect();
    let start = WriterStart {
        dir: journal.clone(),
        segment_bytes,
        journal: mark,
        end,
    };
    let others = reserve.others().clone();
    let writer = Writer::resume(files.as_ref(), others, clock.clone(), start, sealed)
        .map_err(io_error("cannot write in", &journal))?;
    if let Err(error) = location::remove_all_but(dir, builder.state.number) {
        tracing::warn!(%error, "an index that was left half made stays on disk");
    }
    builder.state.clean = None;
    let saved = match manifest_file::save(files.as_ref(), dir, &builder.state) {
        // The old one is valid, once it no longer says that the index was closed cleanly.
        Err(error) if error.is_out_of_space() => {
            location::unseal(&location::path(dir, builder.state.number))
        }
        saved => saved,
    };
    saved.map_err(io_error("cannot write", &dir.join(Manifest::FILE)))?;
    if !has_version {
        layout::put_version(files.as_ref(), dir)?;
    }
    Ok(Opened {
        files: files.clone(),
        reserve,
        builder,
        writer,
        last_id,
        sealed: sealed_now,
    })
}

/// Whether an index holds anything. An interrupted first start leaves an empty one, which perhaps
/// cannot be opened.
fn holds_something(site: &Site) -> bool {
    let numbers = location::numbers(&site.dir).unwrap_or_default();
    let mut opened = numbers
        .iter()
        .map(|number| Index::open(&location::path(&site.dir, *number), site.cache_bytes));
    opened.any(|index| index.is_ok_and(|index| !index.is_empty()))
}

/// Opens the existing index, verifies it if need be, and brings it up to the journal.
fn existing(site: Site, state: Manifest, opening: &Opening) -> Result<(Builder, End), BuildError> {
    let path = location::path(&site.dir, state.number);
    let clean = state.clean.is_some() && state.clean == location::fingerprint(&path).ok();
    let index = Index::open(&path, site.cache_bytes)?;
    let clean = clean && index.has_trailer(&state)?;
    let mut state = state;
    opening.begin(Work::VerifyIndex, state.messages, 0);
    let highest = match clean {
        true => 0,
        false => index.verify(&mut state, opening)?,
    };
    let mut builder = Builder::resume(site, index, state)?;
    let Outcome::Reached(end) = replay(&mut builder, opening)? else {
        return Err(IndexError::Damaged("it does not fit the journal".to_owned()).into());
    };
    if highest > builder.memtables.active.last_id.0 {
        return Err(IndexError::Damaged("it is newer than the journal".to_owned()).into());
    }
    Ok((builder, end))
}

/// Brings an index up to the journal.
fn replay(builder: &mut Builder, opening: &Opening) -> Result<Outcome, BuildError> {
    let from = builder.state.position.sequence;
    let newest = newest_frame(builder.target.site.files.as_ref(), &builder.target.site.dir);
    opening.begin(Work::Replay, newest.saturating_sub(from), 0);
    builder.replay(None, &|sequence| {
        opening.reach(sequence.saturating_sub(from));
        opening.is_stopped()
    })
}

/// The first frame of the newest segment: an estimate of their number, for progress only.
fn newest_frame(files: &dyn FileSystem, dir: &Path) -> u64 {
    let journal = dir.join(layout::JOURNAL);
    let segments = list(files, &journal).unwrap_or_default();
    let newest = segments.last().copied();
    let newest = newest.and_then(|name| header_of(files, &journal, name).ok());
    newest.map_or(0, |header| header.first_sequence)
}

fn tell(notes: impl IntoIterator<Item = Note>) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

/// Rebuilds the index; `kept`: the old one is set aside.
fn rebuild(
    site: &dyn Fn() -> Site,
    kept: bool,
    opening: &Opening,
) -> Result<(Builder, End), OpenError> {
    let dir = site().dir;
    // Also what is dropped half made: sled panics if it cannot sync then.
    let make = |site, kept| {
        guarded(|| {
            let mut builder = Builder::rebuild(site, kept)?;
            match replay(&mut builder, opening)? {
                Outcome::Reached(end) => Ok((builder, end)),
                Outcome::Astray => Err(layout::astray(dir.join(layout::JOURNAL)).into()),
            }
        })
    };
    let mut made = make(site(), kept);
    if made.as_ref().is_err_and(BuildError::is_out_of_space) {
        tracing::warn!("there is no room for another index: the old one is removed");
        made = location::remove_broken(&dir)
            .and_then(|_| location::remove_all_but(&dir, u64::MAX))
            .map_err(BuildError::Surroundings)
            .and_then(|()| make(site(), false));
    }
    made.map_err(|error| refused(error, "cannot make the index in", &dir.join("db")))
}

/// The error of an opening that could not bring the index up to the journal.
fn refused(error: BuildError, action: &'static str, path: &Path) -> OpenError {
    match error {
        BuildError::Journal(error) => error.into(),
        BuildError::Index(IndexError::Closing) => OpenError::Stopped,
        BuildError::Index(error) => io_error(action, path)(io::Error::other(error)).into(),
        BuildError::Surroundings(error) => io_error(action, path)(error).into(),
    }
}

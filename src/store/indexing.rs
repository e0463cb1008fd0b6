//! Writes generations of the tail into the index, and says durably how far it is.
//!
//! Invariant: what the state on disk says is in the index, durably; what the index has beyond it
//! is written once more behind a crash, to the same end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use rustix::process::{Resource, getrlimit};

use super::api::OpenError;
use super::breather::Breather;
use super::files::{self, FileSystem, OutOfSpace};
use super::identity::FileIdentity;
use super::index::{Index, IndexError, IndexState, guarded, place, syncing};
use super::layout::io_error;
use super::reserve::{INDEX_FACTOR, Lent, Reserve, WRITE_FILES};
use super::tail::Generation;

/// While the store is in use, the index is made durable after so many bytes, so that no
/// commit finds the disk busy for long.
pub(super) const SYNC_BYTES: usize = 1 << 20;
/// The same while nobody waits but for the index itself.
const SYNC_BYTES_ALONE: usize = 8 << 20;
/// Space that writing a generation leaves free beside what it may take itself.
const FREE_BYTES_MARGIN: u64 = 8 << 20;
/// The same where what is kept back has to do.
const FREE_BYTES_MIN: u64 = 2 << 20;

/// Space that is free before so many bytes of a tail go into the index.
pub(super) const fn needed_bytes(bytes: usize) -> u64 {
    FREE_BYTES_MARGIN + INDEX_FACTOR * bytes as u64
}

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

impl OutOfSpace for BuildError {
    fn is_out_of_space(&self) -> bool {
        match self {
            Self::Journal(_) => false,
            Self::Index(error) => error.is_out_of_space(),
            Self::Surroundings(error) => error.is_out_of_space(),
        }
    }
}

/// How a generation is written.
pub(super) enum How<'a> {
    /// Beside other work: called after each write with its bytes, and may pause or stop it.
    Paced(&'a mut dyn FnMut(usize) -> Result<(), IndexError>),
    /// As fast as it can be.
    AtOnce,
}

/// Writes a generation into the index and makes it durable, as it goes on and at the end; answers
/// the index's state then.
pub(super) fn apply(
    index: &Index,
    generation: &Generation,
    state: &IndexState,
    day_min: u64,
    how: How<'_>,
) -> Result<IndexState, IndexError> {
    let mut state = state.clone();
    generation.begin_writing();
    match how {
        How::AtOnce => {
            let mut pace = syncing(SYNC_BYTES_ALONE, |_| Ok(()));
            index.apply_contents(generation, &mut state, &mut pace)?;
            index.apply_messages_at_once(generation, SYNC_BYTES_ALONE)?;
            index.apply_small(generation, day_min, &mut state, &mut pace)?;
        }
        How::Paced(between) => {
            let mut pace = syncing(SYNC_BYTES, between);
            index.apply_contents(generation, &mut state, &mut pace)?;
            index.apply_messages(generation, &mut pace)?;
            index.apply_small(generation, day_min, &mut state, &mut pace)?;
        }
    }
    index.sync()?;
    state.heap_bytes = index.heap_bytes();
    state.messages += generation.messages;
    state.position = generation.end;
    state.last_id = generation.last_id.0;
    Ok(state)
}

/// Refuses to write what takes so many bytes in memory where it might fill the disk in the midst of
/// it, and leave the index broken.
pub(super) fn check_space(files: &dyn FileSystem, dir: &Path, bytes: usize) -> std::io::Result<()> {
    files.check_room(dir, needed_bytes(bytes), WRITE_FILES)
}

/// Most bytes in memory that go into the index at `path`, where files may become only so large
/// (RLIMIT_FSIZE): it has most of what it has in one. As of a disk, a part is kept back, for what
/// `is_needed`.
pub(super) fn file_room(path: &Path, is_needed: bool) -> std::io::Result<usize> {
    let Some(most) = getrlimit(Resource::Fsize).current else {
        return Ok(usize::MAX);
    };
    let kept_bytes = match is_needed {
        true => 0,
        false => FREE_BYTES_MARGIN,
    };
    let left_bytes = most.saturating_sub(place::bytes(path)? + kept_bytes);
    Ok(usize::try_from(left_bytes / INDEX_FACTOR).unwrap_or(usize::MAX))
}

/// Makes sure that what takes so many bytes in memory, and so many files, can be written, by the
/// reserve where that is what it takes.
pub(super) fn room_for(
    reserve: &Arc<Reserve>,
    bytes: usize,
    needed_files: u64,
) -> std::io::Result<Option<Lent>> {
    let checked = reserve.check_room(needed_bytes(bytes), needed_files);
    if checked.is_ok() {
        return Ok(None);
    }
    let needed_bytes = FREE_BYTES_MIN + INDEX_FACTOR * bytes as u64;
    let lent = reserve.lend(needed_bytes, needed_files);
    reserve.check_room(needed_bytes, needed_files)?;
    Ok(Some(lent))
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

/// Writes the index's state, and with it what the file is known by that holds it.
pub(super) fn save(files: &dyn FileSystem, dir: &Path, state: &IndexState) -> std::io::Result<()> {
    files::replace_by(files, dir, IndexState::FILE, |identity| {
        state.encode(identity)
    })
}

/// An index's state as it was found.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) state: IndexState,
    pub(super) origin: Origin,
}

/// Whether the file is the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is, moved perhaps, or copied with all of its file system.
    Original,
    /// It is another one: the directory was copied file by file, each at another moment.
    Copy,
    /// Nothing tells: the file system does not, or it was written by an earlier version.
    Unknown,
}

/// Reads the index's state; `None` where there is none, or none that is right.
pub(super) fn load(files: &dyn FileSystem, dir: &Path) -> Result<Option<Loaded>, OpenError> {
    let path = dir.join(IndexState::FILE);
    let bytes = files.read(&path).map_err(io_error("cannot read", &path))?;
    let decoded = bytes.and_then(|bytes| IndexState::decode(&bytes));
    Ok(decoded.map(|(state, noted)| Loaded {
        state,
        origin: match noted {
            FileIdentity::Unknown => Origin::Unknown,
            noted if noted.is_still(files.identity(&path)) => Origin::Original,
            _ => Origin::Copy,
        },
    }))
}

/// What generations are written into.
pub(super) struct Target {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) index: Index,
    /// Whether this is the index that counts: then its state is saved as it goes on.
    pub(super) counts: bool,
    /// Whether it pauses for others.
    pub(super) is_paced: bool,
}

impl Target {
    /// Writes a generation, and drops the sends of days before `day_min`; answers the index's state
    /// behind it.
    pub(super) fn write(
        &self,
        frozen: &Generation,
        state: &IndexState,
        day_min: u64,
    ) -> Result<IndexState, BuildError> {
        let files = self.files.as_ref();
        if self.counts {
            expect_fewer_cursors(files, &self.dir, frozen, state)?;
        }
        let mut breather = Breather::new();
        let mut pause = |_| {
            breather.step();
            Ok(())
        };
        let how = match self.is_paced {
            true => How::Paced(&mut pause),
            false => How::AtOnce,
        };
        let state = guarded(|| apply(&self.index, frozen, state, day_min, how))?;
        if self.counts {
            save(files, &self.dir, &state)?;
        }
        Ok(state)
    }
}

/// The thread that writes a generation, if one does.
#[derive(Default)]
pub(super) struct Writing<'scope> {
    pub(super) thread: Option<ScopedJoinHandle<'scope, Result<IndexState, BuildError>>>,
}

impl Writing<'_> {
    /// Waits for it, and takes over how far the index is then.
    pub(super) fn end(&mut self, state: &mut IndexState) -> Result<(), BuildError> {
        if let Some(thread) = self.thread.take() {
            let written = thread.join();
            *state = written.unwrap_or(Err(IndexError::Panicked.into()))?;
        }
        Ok(())
    }
}

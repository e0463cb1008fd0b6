//! Disk space and files held in reserve for what has to work on a full disk: start, erasure,
//! compaction, close, repair, and an operator's orders.
//!
//! The reserve grows with the memtables, so that they can always be flushed, however suddenly the
//! disk fills up.
//!
//! Sends, logins and receipts never use it: while it is not whole, nothing of theirs is stored. It
//! is lent only at the moment of need, as far as needed, and refilled as soon as there is space.
//!
//! Its files have length zero: the reserved space lies behind their end, so a copy of them is
//! empty.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fmt, io};

use parking_lot::Mutex;

use super::files::{FileSystem, JournalFile, OutOfSpace as _, Temporary};
use crate::clock::{Clock, SystemClock};

/// The directory of the parts.
pub(crate) const RESERVE: &str = "reserve";
/// Prefix of the files that are created to probe for free space.
const TRIAL: &str = "room-";
/// Files in the reserve; each holds an inode and its part of the space.
const PARTS: u32 = 32;
/// Space beyond that of a segment, which is rewritten beside the old one.
const REST_BYTES: u64 = 8 << 20;
/// On a small disk, segments and reserve take at most these parts of it.
const SEGMENT_DISK_PART: u64 = 8;
const RESERVE_DISK_PART: u64 = 4;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// The largest memtables that the parts have space for.
pub(crate) const MEMTABLE_BYTES: usize = 2 << 20;
/// Larger memtables take further parts, each so many times as large.
const MORE_FACTOR: u64 = 8;
/// Growth of the index in a flush, as a multiple of the memtable; sends to many aside.
pub(crate) const INDEX_FACTOR: u64 = 2;
/// Parts that a large need leaves for small ones.
const LEFT_PARTS: u32 = 8;
/// Space that an index may need to be opened.
pub(crate) const OPEN_BYTES: u64 = 2 << 20;
/// Files that opening or writing an index creates: snapshot, manifest, and one to spare.
pub(crate) const WRITE_FILES: u64 = 3;
/// Files and directories of another index, with its manifest.
pub(crate) const INDEX_FILES: u64 = 8;
/// Pause between two attempts to refill.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The unit of `st_blocks` (stat(2)).
const BLOCK_BYTES: u64 = 512;
/// Size of a write where space cannot be reserved and is filled instead.
const WRITTEN_BYTES: usize = 64 << 10;

/// How large a segment becomes at most on a disk of so many bytes, where `segment_bytes` is set.
pub(crate) fn segment_bytes(disk_bytes: u64, segment_bytes: u64) -> u64 {
    segment_bytes.min((disk_bytes / SEGMENT_DISK_PART).max(SEGMENT_BYTES_MIN))
}

/// What is kept back of the disk.
pub(crate) struct Reserve {
    /// Operations that get nothing of it.
    files: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    part_bytes: u64,
    state: Mutex<State>,
    /// Most bytes of a memtable that has its room in what is held.
    memtable_bytes_max: AtomicUsize,
    /// Held while room is tried: two at once would take each other's files.
    trial: Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// How many files there are, numbered from 0, those for a large memtable last.
    named: u32,
    /// How many of them hold their space, from the first on.
    held: u32,
    /// How many need it now.
    borrowers: u32,
    /// Why it was not made whole, and when that is tried again.
    lack: Option<(io::ErrorKind, Duration)>,
}

/// While it lives, the reserve is free for use.
pub(crate) struct Lent(Arc<Reserve>);

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.borrowers -= 1;
        // What is left of it, before others take that.
        if state.borrowers == 0 {
            self.0.refill(&mut state);
        }
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("dir", &self.dir).finish()
    }
}

impl Reserve {
    /// That of a data directory on a disk of so many bytes, whose file operations are `files`. It may be
    /// there from before, or parts of it. What is left of a trial is removed.
    pub(crate) fn new(
        files: Arc<dyn FileSystem>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        disk_bytes: u64,
        segment_bytes: u64,
    ) -> Self {
        // Where they cannot be listed, there are none.
        let names = files.list(&dir.join(RESERVE)).unwrap_or_default();
        for name in names.iter().filter(|name| name.starts_with(TRIAL)) {
            // Much room, perhaps: who tried was killed.
            if let Err(error) = files.remove(&dir.join(RESERVE).join(name)) {
                tracing::debug!(%error, "a trial of the room could not be removed");
            }
        }
        let is_there = |number: &u32| names.contains(&number.to_string());
        let named = (0..).take_while(is_there).count() as u32;
        let bytes = (segment_bytes + REST_BYTES).min(disk_bytes / RESERVE_DISK_PART);
        Self {
            files,
            clock,
            dir: dir.join(RESERVE),
            part_bytes: bytes.div_ceil(PARTS.into()).max(1),
            state: Mutex::new(State {
                named,
                held: 0,
                borrowers: 0,
                lack: None,
            }),
            memtable_bytes_max: MEMTABLE_BYTES.into(),
            trial: Mutex::new(()),
        }
    }

    /// That of a directory without a server, as large as the last one made it; `None` where there
    /// is none, as in a backup.
    pub(crate) fn left_in(dir: &Path, files: Arc<dyn FileSystem>) -> Option<Arc<Self>> {
        let first = std::fs::metadata(dir.join(RESERVE).join("0")).ok()?;
        let mut reserve = Self::new(files, Arc::new(SystemClock), dir, u64::MAX, 0);
        reserve.part_bytes = first.blocks() * BLOCK_BYTES;
        Some(Arc::new(reserve))
    }

    fn part(&self, number: u32) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// The file operations that get nothing of it.
    pub(crate) fn others(&self) -> &Arc<dyn FileSystem> {
        &self.files
    }

    /// Refuses where so many bytes and files are not free beside it: by what the disk says, which does
    /// not show a user's quota (ext4, xfs) nor that of a subvolume (btrfs), and by taking them for a moment.
    pub(crate) fn check_space(&self, needed_bytes: u64, needed_files: u64) -> io::Result<()> {
        let dir = self.dir.parent().unwrap_or(&self.dir);
        self.files.check_space(dir, needed_bytes, needed_files)?;
        if self.files.is_in_memory(dir) {
            return Ok(());
        }
        match self.take_space(needed_bytes, needed_files) {
            Err(error) if error.is_out_of_space() => Err(error),
            Ok(()) => Ok(()),
            // As where there is no reserve: only what the disk says is known.
            Err(error) => {
                tracing::debug!(%error, "whether there is room could not be tried");
                Ok(())
            }
        }
    }

    /// Takes so many bytes and files, and gives them back.
    fn take_space(&self, bytes: u64, files: u64) -> io::Result<()> {
        let _alone = self.trial.lock();
        let mut made = Vec::new();
        for number in 0..files {
            let path = self.dir.join(format!("{TRIAL}{number}"));
            let temporary = Temporary::new(self.files.as_ref(), path);
            let file = self.files.create(&temporary.path)?;
            if number == 0 {
                match file.preallocate(bytes) {
                    // How large one file may become says nothing of the disk.
                    Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {}
                    Err(error) if error.is_out_of_space() => return Err(error),
                    // Not every file system can.
                    _ => {}
                }
            }
            made.push(temporary);
        }
        Ok(())
    }

    /// Gives up as much of it as it takes for so many bytes and files to be free, until they are not
    /// needed any more.
    pub(crate) fn lend(self: &Arc<Self>, needed_bytes: u64, needed_files: u64) -> Lent {
        let mut state = self.state.lock();
        state.borrowers += 1;
        let is_short = || {
            let checked = self.check_space(needed_bytes, needed_files);
            checked.is_err_and(|error| error.is_out_of_space())
        };
        while state.named > LEFT_PARTS && is_short() && self.give_part(&mut state) {}
        drop(state);
        Lent(self.clone())
    }

    /// Does something again that found no room, each time with more of the reserve given up.
    pub(crate) fn retry<T>(
        &self,
        error: io::Error,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut done = Err(error);
        let mut state = self.state.lock();
        while done.as_ref().is_err_and(io::Error::is_out_of_space) && self.give_part(&mut state) {
            done = work();
        }
        done
    }

    /// Gives a part up; `false` where there is none.
    fn give_part(&self, state: &mut State) -> bool {
        let Some(last) = state.named.checked_sub(1) else {
            return false;
        };
        if let Err(error) = self.files.remove(&self.part(last)) {
            tracing::debug!(%error, "a part of the reserve could not be given up");
        }
        state.named = last;
        self.note_held(state, state.held.min(last));
        true
    }

    /// The space of a part.
    fn bytes_of(&self, number: u32) -> u64 {
        match number < PARTS {
            true => self.part_bytes,
            false => self.part_bytes * MORE_FACTOR,
        }
    }

    fn note_held(&self, state: &mut State, held: u32) {
        state.held = held;
        let more = u64::from(held.saturating_sub(PARTS));
        let bytes = MEMTABLE_BYTES as u64 + more * self.bytes_of(PARTS) / INDEX_FACTOR;
        self.memtable_bytes_max
            .store(bytes as usize, Ordering::Relaxed);
    }

    /// Most bytes of a memtable that has its room here.
    pub(crate) fn memtable_bytes_max(&self) -> usize {
        self.memtable_bytes_max.load(Ordering::Relaxed)
    }

    /// Takes more, for a memtable of so many bytes, where `left_bytes` are free beside that.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn grow(&self, bytes: usize, left_bytes: u64) -> io::Result<()> {
        let lacking = bytes.saturating_sub(self.memtable_bytes_max()) as u64 * INDEX_FACTOR;
        if lacking == 0 {
            return Ok(());
        }
        let more = lacking.div_ceil(self.bytes_of(PARTS));
        // Those that a crash has left have their space.
        let left = {
            let state = self.state.lock();
            state.named.saturating_sub(state.held.max(PARTS))
        };
        let missing_bytes = more.saturating_sub(left.into()) * self.bytes_of(PARTS);
        self.check_space(missing_bytes + left_bytes, 2 * more)?;
        // One by one: commits ask for the state.
        while self.memtable_bytes_max() < bytes {
            let mut state = self.state.lock();
            if state.borrowers > 0 || state.held < PARTS {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let next = state.held + 1;
            match self.make(&mut state, next) {
                // There the memtables may hold more than there is room for.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.memtable_bytes_max.store(usize::MAX, Ordering::Relaxed);
                    return Ok(());
                }
                made => made?,
            }
        }
        Ok(())
    }

    /// Whether there is more than always.
    pub(crate) fn is_grown(&self) -> bool {
        self.state.lock().named > PARTS
    }

    /// Gives back what a large memtable had.
    pub(crate) fn shrink(&self) {
        loop {
            let mut state = self.state.lock();
            if state.named <= PARTS || !self.give_part(&mut state) {
                return;
            }
        }
    }

    /// Makes it whole, unless somebody needs it now.
    ///
    /// # Errors
    /// It is not whole.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.held >= PARTS {
            return Ok(());
        }
        if let Some((kind, at)) = state.lack
            && self.clock.monotonic() < at
        {
            return Err(self.lacks(kind));
        }
        if state.borrowers > 0 {
            return Err(self.lacks(io::ErrorKind::StorageFull));
        }
        self.refill(&mut state);
        match state.lack {
            Some((kind, _)) => Err(self.lacks(kind)),
            None => Ok(()),
        }
    }

    fn refill(&self, state: &mut State) {
        let made = self.make(state, PARTS);
        let kind = made.err().map(|error| error.kind());
        state.lack = kind.map(|kind| (kind, self.clock.monotonic() + RETRY_PAUSE));
    }

    /// Makes so many parts in all.
    fn make(&self, state: &mut State, parts: u32) -> io::Result<()> {
        self.files.create_dir(&self.dir)?;
        while state.held < parts {
            let path = self.part(state.held);
            // What came with a copy holds nothing yet.
            let is_new = state.held == state.named;
            let file = match is_new {
                true => self.files.create(&path),
                false => self.files.open(&path),
            };
            let filled = file.and_then(|file| self.fill(file.as_ref(), state.held));
            if is_new && filled.is_err() {
                self.files.remove(&path)?;
            }
            filled?;
            state.named = state.named.max(state.held + 1);
            self.note_held(state, state.held + 1);
        }
        Ok(())
    }

    /// Why nothing that anybody sends is stored; `None` where it is whole.
    pub(crate) fn lack(&self) -> Option<io::Error> {
        let state = self.state.lock();
        let kind = state.lack.map_or(io::ErrorKind::StorageFull, |lack| lack.0);
        (state.held < PARTS).then(|| self.lacks(kind))
    }

    fn lacks(&self, kind: io::ErrorKind) -> io::Error {
        let reason = io::Error::from(kind);
        let megabytes = (u64::from(PARTS) * self.part_bytes) >> 20;
        let what = "that are kept back for erasing and starting are not there";
        io::Error::new(kind, format!("{reason}: the {megabytes} MiB {what}"))
    }

    /// Takes a part's space.
    fn fill(&self, file: &dyn JournalFile, number: u32) -> io::Result<()> {
        let bytes = self.bytes_of(number);
        match file.preallocate(bytes) {
            Err(error) if error.is_out_of_space() || number >= PARTS => Err(error),
            Ok(()) => Ok(()),
            // Not every file system can.
            Err(_) => {
                let zeros = [0; WRITTEN_BYTES];
                for offset in (0..bytes).step_by(WRITTEN_BYTES) {
                    file.write_all_at(&zeros, offset)?;
                }
                file.sync_data()
            }
        }
    }
}

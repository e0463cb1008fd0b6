//! Locks a directory for one process, whatever files in it are removed.
//!
//! The directory itself is locked, and so is the segment being written; `LOCK` is locked too, for
//! older versions and for file systems that cannot lock directories. The holder also notices when
//! the directory, its journal, or a file being written is no longer what its path leads to: from
//! then on nothing is created, renamed or removed by that path, and nothing is reported as durable.
//!
//! Invariant: whatever was acknowledged was, at that moment, in a file that its name still led to.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use parking_lot::Mutex;

use super::layout::{JOURNAL, LOCK};
use crate::store::api::{OpenError, io_error};
use crate::store::disk::{Name, Names, OutOfSpace as _, RealFileSystem, is_gone, try_lock};
use crate::store::journal::{is_compressed, segments};

/// A locked directory.
#[derive(Debug)]
pub(crate) struct Hold {
    dir: PathBuf,
    /// Device and inode of the directory.
    pub(crate) identity: (u64, u64),
    /// A file that is written was moved, removed, replaced, or written by another.
    is_lost: AtomicBool,
    /// The names of the files open for writing.
    pub(super) names: Names,
    journal: Mutex<Option<(File, Arc<Name>)>>,
    locks: Mutex<Vec<File>>,
}

impl Hold {
    /// Locks an existing directory for writing; `None` if another process has it.
    pub(crate) fn take(dir: &Path) -> io::Result<Option<Self>> {
        let directory = File::open(dir)?;
        let found = directory.metadata()?;
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false);
        let lock = match how.mode(0o600).open(dir.join(LOCK)) {
            // A copy was made without it, and the disk is full.
            Err(error) if error.is_out_of_space() => None,
            opened => Some(opened?),
        };
        let by_name = lock.as_ref().map_or(Ok(Some(false)), try_lock)?;
        let (Some(whole), Some(by_name)) = (try_lock(&directory)?, by_name) else {
            return Ok(None);
        };
        if !(whole || by_name) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if segment_is_taken(dir) {
            return Ok(None);
        }
        Ok(Some(Self {
            dir: dir.to_owned(),
            identity: (found.dev(), found.ino()),
            is_lost: AtomicBool::new(false),
            names: Names::default(),
            journal: Mutex::default(),
            locks: Mutex::new([directory].into_iter().chain(lock).collect()),
        }))
    }

    /// Watches the name of the journal, even while no segment is open.
    pub(crate) fn watch_journal(&self, path: &Path) -> io::Result<()> {
        let directory = File::open(path)?;
        let found = directory.metadata()?;
        let name = self.names.watch(path, (found.dev(), found.ino()));
        *self.journal.lock() = Some((directory, name));
        Ok(())
    }

    /// Checks that the path still leads to the locked directory, and that its files are those that
    /// were written.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn check(&self) -> io::Result<()> {
        if !self.is_lost.load(Ordering::Relaxed) {
            self.check_dir()?;
            if self.names.lead() {
                return Ok(());
            }
            // The whole directory may have been moved just now, and may come back.
            self.check_dir()?;
            self.is_lost.store(true, Ordering::Relaxed);
        }
        Err(io::Error::other(
            "the journal was moved, removed, replaced or written by another while the server \
             ran: restart it",
        ))
    }

    fn check_dir(&self) -> io::Result<()> {
        match fs::metadata(&self.dir) {
            Ok(found) if (found.dev(), found.ino()) == self.identity => Ok(()),
            // Says nothing about where the directory is.
            Err(error) if !is_gone(&error) => Ok(()),
            _ => Err(io::Error::other(format!(
                "{} is no longer the directory that the server was started on: it was moved, \
                 replaced or removed",
                self.dir.display()
            ))),
        }
    }

    /// Records whether a synced file still has a name and its length: whoever changed that may have
    /// put another journal there.
    ///
    /// # Errors
    /// As [`Hold::check`].
    pub(crate) fn check_file(&self, is_ours: bool) -> io::Result<()> {
        if !is_ours {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        self.check()
    }

    /// Releases the locks.
    pub(crate) fn release(&self) {
        self.locks.lock().clear();
    }
}

/// Locks a directory that is only read, or a backup, without creating a file.
pub(crate) fn hold(dir: &Path) -> Result<Vec<File>, OpenError> {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    let in_use = || OpenError::InUse(dir.to_owned());
    let directory = File::open(dir).map_err(io_error("cannot open", dir))?;
    let whole = try_lock(&directory).map_err(io_error("cannot lock", dir))?;
    let whole = whole.ok_or_else(in_use)?;
    let path = dir.join(LOCK);
    let mut how = OpenOptions::new();
    let lock = match how.read(true).write(true).open(&path) {
        Err(error) if error.kind() == NotFound => None,
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Some(File::open(&path).map_err(io_error("cannot open", &path))?)
        }
        opened => Some(opened.map_err(io_error("cannot open", &path))?),
    };
    if let Some(lock) = &lock {
        let by_name = try_lock(lock).map_err(io_error("cannot lock", &path))?;
        if !by_name.ok_or_else(in_use)? && !whole {
            let error = io::ErrorKind::Unsupported.into();
            return Err(io_error("cannot lock", &path)(error).into());
        }
    }
    if segment_is_taken(dir) {
        return Err(in_use());
    }
    Ok([directory].into_iter().chain(lock).collect())
}

/// The newest segment, unless it is sealed.
pub(crate) fn open_segment(dir: &Path) -> Option<PathBuf> {
    let journal = dir.join(JOURNAL);
    let newest = segments(&RealFileSystem, &journal).ok()?.pop()?;
    let path = newest.path(&journal);
    // One that cannot be read is taken for one that is written on.
    let is_sealed = is_compressed(&RealFileSystem, &path).unwrap_or(false);
    (!is_sealed).then_some(path)
}

/// Whether another process has the open segment.
fn segment_is_taken(dir: &Path) -> bool {
    let Some(path) = open_segment(dir) else {
        return false;
    };
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let Ok(file) = file.or_else(|_| File::open(&path)) else {
        return false;
    };
    matches!(try_lock(&file), Ok(None))
}

/// Refuses to write in a directory that shares files with another by hard links. Sealed segments
/// may be shared: they are never written again.
pub(crate) fn refuse_links(dir: &Path) -> Result<(), OpenError> {
    refuse_link(&dir.join(LOCK))?;
    refuse_linked_segment(dir)?;
    for index in entries(&dir.join("db")) {
        for file in entries(&index) {
            refuse_link(&file)?;
        }
    }
    Ok(())
}

/// As [`refuse_links`], for readers: only the open segment counts. Snapshots made with
/// `rsync --link-dest` of a stopped server share the other files.
pub(crate) fn refuse_linked_segment(dir: &Path) -> Result<(), OpenError> {
    open_segment(dir).map_or(Ok(()), |path| refuse_link(&path))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).into_iter().flatten();
    found.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn refuse_link(path: &Path) -> Result<(), OpenError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.nlink() > 1 => {
            Err(OpenError::Linked(path.to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::journal::{SegmentName, ZSTD_MAGIC};

    /// A directory with an open and a sealed segment.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join(JOURNAL);
        fs::create_dir(&journal).unwrap();
        let name = |number| SegmentName {
            number,
            first_id: number,
        };
        fs::write(name(1).path(&journal), ZSTD_MAGIC).unwrap();
        let open = name(2).path(&journal);
        fs::write(&open, "rbxJRNL\n").unwrap();
        (dir, open)
    }

    fn is_free(dir: &Path) -> bool {
        let held = hold(dir);
        assert!(matches!(held, Ok(_) | Err(OpenError::InUse(_))));
        let is_free = held.is_ok();
        drop(held);
        assert_eq!(Hold::take(dir).unwrap().is_some(), is_free);
        is_free
    }

    #[test]
    fn each_of_its_locks_keeps_others_out() {
        let (dir, open) = directory();
        let dir = dir.path();
        assert!(is_free(dir));
        for locked in [dir.to_owned(), dir.join(LOCK), open] {
            let file = File::open(&locked).unwrap();
            file.lock().unwrap();
            assert!(!is_free(dir), "{}", locked.display());
            drop(file);
            assert!(is_free(dir), "{}", locked.display());
        }
        let taken = Hold::take(dir).unwrap().unwrap();
        fs::remove_file(dir.join(LOCK)).unwrap();
        assert!(!is_free(dir));
        taken.release();
        assert!(is_free(dir));
    }

    #[test]
    fn only_what_is_written_in_place_may_have_no_second_name() {
        let (dir, open) = directory();
        let dir = dir.path();
        drop(Hold::take(dir).unwrap());
        let index = dir.join("db/1");
        fs::create_dir_all(&index).unwrap();
        fs::write(index.join("conf"), "").unwrap();
        let sealed = open.with_file_name(
            SegmentName {
                number: 1,
                first_id: 1,
            }
            .file_name(),
        );
        let second = dir.join("second");
        for (path, writing, reading) in [
            (sealed, true, true),
            (dir.join(LOCK), false, true),
            (index.join("conf"), false, true),
            (open, false, false),
        ] {
            fs::hard_link(&path, &second).unwrap();
            let found = (
                refuse_links(dir).is_ok(),
                refuse_linked_segment(dir).is_ok(),
            );
            assert_eq!(found, (writing, reading), "{}", path.display());
            fs::remove_file(&second).unwrap();
            assert!(refuse_links(dir).is_ok());
        }
    }

    #[test]
    fn it_is_lost_where_the_path_leads_elsewhere() {
        let (parent, _) = directory();
        let (dir, away) = (parent.path().join(JOURNAL), parent.path().join("away"));
        let held = Hold::take(&dir).unwrap().unwrap();
        held.check().unwrap();
        fs::rename(&dir, &away).unwrap();
        assert!(held.check().is_err());
        fs::create_dir(&dir).unwrap();
        assert!(held.check().is_err());
        fs::remove_dir(&dir).unwrap();
        fs::rename(&away, &dir).unwrap();
        held.check().unwrap();
        // A file that was put in another's place stays there.
        assert!(held.check_file(false).is_err());
        assert!(held.check().is_err());
    }
}

//! File operations that fall back to the reserve when the disk is full.

use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::files::{Condition, FileSystem, JournalFile};
use super::identity::FileIdentity;
use super::reserve::Reserve;

/// Operations on names.
#[derive(Debug)]
pub(crate) struct ReservingFileSystem(pub(crate) Arc<Reserve>);

/// Those on one file.
struct ReservingFile {
    inner: Box<dyn JournalFile>,
    reserve: Arc<Reserve>,
}

impl ReservingFileSystem {
    fn run<T>(&self, work: impl Fn(&dyn FileSystem) -> io::Result<T>) -> io::Result<T> {
        let files = self.0.others().as_ref();
        work(files).or_else(|error| self.0.retry(error, || work(files)))
    }

    fn file(
        &self,
        work: impl Fn(&dyn FileSystem) -> io::Result<Box<dyn JournalFile>>,
    ) -> io::Result<Box<dyn JournalFile>> {
        Ok(Box::new(ReservingFile {
            inner: self.run(work)?,
            reserve: self.0.clone(),
        }))
    }
}

impl FileSystem for ReservingFileSystem {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.run(|files| files.create_dir(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        self.file(|files| files.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        self.file(|files| files.open(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.others().list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|files| files.rename(from, to))
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.run(|files| files.exchange(one, other))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|files| files.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(|files| files.sync_dir(dir))
    }

    fn read_on(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.0.others().read_on(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.0.others().read(path)
    }

    fn identity(&self, path: &Path) -> FileIdentity {
        self.0.others().identity(path)
    }

    fn free_bytes(&self, dir: &Path, files: u64) -> io::Result<u64> {
        self.0.others().free_bytes(dir, files)
    }

    fn check_space(&self, _dir: &Path, bytes: u64, files: u64) -> io::Result<()> {
        self.0.check_space(bytes, files)
    }

    fn disk_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.0.others().disk_bytes(dir)
    }
}

impl ReservingFile {
    fn run<T>(&self, work: impl Fn(&dyn JournalFile) -> io::Result<T>) -> io::Result<T> {
        let file = self.inner.as_ref();
        work(file).or_else(|error| self.reserve.retry(error, || work(file)))
    }
}

impl JournalFile for ReservingFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.run(|file| file.write_all_at(bytes, offset))
    }

    /// Not tried again: what a failed one dropped is not written by the next.
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.run(|file| file.set_len(len_bytes))
    }

    fn preallocate(&self, len_bytes: u64) -> io::Result<()> {
        self.inner.preallocate(len_bytes)
    }

    fn condition(&self) -> io::Result<Option<Condition>> {
        self.inner.condition()
    }
}

//! File operations in a locked directory: they fail once a path no longer leads to the locked
//! directory, and report nothing as durable in a file that lost its name.

use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hold::Hold;
use crate::store::disk::{Condition, FileIdentity, FileSystem, JournalFile, Name, RESERVE};

/// File operations in a locked directory.
#[derive(Debug)]
pub(crate) struct HeldFileSystem {
    inner: Arc<dyn FileSystem>,
    hold: Arc<Hold>,
}

struct HeldFile {
    inner: Box<dyn JournalFile>,
    hold: Arc<Hold>,
    /// Keeps the name watched while the file is open.
    _name: Option<Arc<Name>>,
    /// The length that our writes gave it.
    len_bytes: AtomicU64,
}

impl HeldFileSystem {
    pub(crate) fn new(inner: Arc<dyn FileSystem>, hold: Arc<Hold>) -> Self {
        Self { inner, hold }
    }

    fn held(&self, path: &Path, inner: Box<dyn JournalFile>) -> io::Result<Box<dyn JournalFile>> {
        let found = inner.condition()?;
        // The reserve holds no data: removing it does no harm.
        let is_watched = !path.parent().is_some_and(|dir| dir.ends_with(RESERVE));
        let watched = found.filter(|_| is_watched);
        let name = watched.map(|found| self.hold.names.watch(path, found.identity));
        Ok(Box::new(HeldFile {
            inner,
            hold: self.hold.clone(),
            _name: name,
            len_bytes: found.map_or(0, |found| found.len_bytes).into(),
        }))
    }
}

impl HeldFile {
    /// Checks that nobody has removed, replaced or written it.
    fn check(&self) -> io::Result<()> {
        let Some(found) = self.inner.condition()? else {
            return self.hold.check();
        };
        let len_bytes = self.len_bytes.load(Ordering::Relaxed);
        self.hold
            .check_file(found.links > 0 && found.len_bytes == len_bytes)
    }
}

impl FileSystem for HeldFileSystem {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.hold.check()?;
        self.inner.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        self.hold.check()?;
        self.held(path, self.inner.create(path)?)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        self.hold.check()?;
        self.held(path, self.inner.open(path)?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.hold.check()?;
        let rename = || self.inner.rename(from, to);
        self.hold.names.rename(from, to, rename)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.hold.check()?;
        self.hold.names.forget(path);
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn read_on(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.inner.read_on(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }

    fn identity(&self, path: &Path) -> FileIdentity {
        self.inner.identity(path)
    }

    /// Checks the lock, too: it is asked before writes of the index, which bypass this type.
    fn free_bytes(&self, dir: &Path, files: u64) -> io::Result<u64> {
        self.hold.check()?;
        self.inner.free_bytes(dir, files)
    }

    fn is_in_memory(&self, dir: &Path) -> bool {
        self.inner.is_in_memory(dir)
    }

    fn disk_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.disk_bytes(dir)
    }
}

impl JournalFile for HeldFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check()?;
        let end = offset + bytes.len() as u64;
        self.len_bytes.fetch_max(end, Ordering::Relaxed);
        let written = self.inner.write_all_at(bytes, offset);
        if let (Err(_), Ok(Some(found))) = (&written, self.inner.condition()) {
            self.len_bytes.store(found.len_bytes, Ordering::Relaxed);
        }
        written
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()?;
        self.check()
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len_bytes)?;
        self.len_bytes.store(len_bytes, Ordering::Relaxed);
        Ok(())
    }

    fn preallocate(&self, len_bytes: u64) -> io::Result<()> {
        self.inner.preallocate(len_bytes)
    }

    fn condition(&self) -> io::Result<Option<Condition>> {
        self.inner.condition()
    }
}

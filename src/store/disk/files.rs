//! The file operations that durability rests on, behind one small trait.
//!
//! Tests put a simulated file system here that cuts writes short, fails syncs,
//! fills up or stops the world. The index (`db/`) does not go through it: sled
//! opens its own files, and whatever becomes of them is mended from the journal.
//!
//! Invariants: what is made is private (directories 0700, files 0600); nothing
//! here is durable before `sync_data` of the file and `sync_dir` of its directory.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::identity::FileIdentity;
use super::locks::try_lock;

/// What statfs(2) says of tmpfs.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Operations on names. Paths are absolute or relative to the process.
pub(crate) trait FileSystem: Debug + Send + Sync {
    /// Creates a directory and its parents, if missing.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Creates a file, or truncates the one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn JournalFile>>;
    /// Opens a file that exists, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>>;
    /// The names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames a file, over another one if it is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Exchanges the names of two files atomically; `Unsupported` on some file systems.
    fn exchange(&self, _one: &Path, _other: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file, if it exists.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens a file for reading. Replacing it meanwhile does not change what is read.
    fn read_on(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Reads a small file whole; `None` if there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    fn identity(&self, path: &Path) -> FileIdentity;
    /// Bytes that this user may still write to the file system of `dir`; 0 if it has no room for
    /// `files` more files.
    fn free_bytes(&self, dir: &Path, files: u64) -> io::Result<u64>;
    /// Fails with `StorageFull` if that is less than `bytes`.
    fn check_space(&self, dir: &Path, bytes: u64, files: u64) -> io::Result<()> {
        match self.free_bytes(dir, files)? < bytes {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
    /// Whether `dir` is on tmpfs: free space is exact there, and a trial allocation would take
    /// memory from all programs.
    fn is_in_memory(&self, _dir: &Path) -> bool {
        false
    }
    /// The size of the file system of `dir`.
    fn disk_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// Operations on one open file.
pub(crate) trait JournalFile: Send {
    /// Writes all bytes at an offset.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when what was written, and the file's length, is durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts the file (and what was reserved beyond) or lengthens it with zeros.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;
    /// Reserves space without changing the length: the length always tells how
    /// much was appended, so that a reader who copies the file while it grows
    /// gets a clean beginning of it and never a hole.
    fn preallocate(&self, len_bytes: u64) -> io::Result<()>;
    /// Its current identity, link count and length; `None` if nobody else can change them.
    fn condition(&self) -> io::Result<Option<Condition>>;
}

/// What others may change about an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    pub(crate) links: u64,
    pub(crate) len_bytes: u64,
}

/// An error that may mean a full disk.
pub(crate) trait OutOfSpace {
    /// Whether the disk, its inodes or a quota are used up, or a file would exceed its maximum.
    fn is_out_of_space(&self) -> bool;
}

impl OutOfSpace for io::Error {
    fn is_out_of_space(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}

/// Writes a file sequentially. Syncs now and then: a commit on the same file system may have to
/// wait for all unsynced writes.
pub(crate) struct FileWriter {
    file: Box<dyn JournalFile>,
    offset: u64,
    synced: u64,
}

/// Most bytes that a [`FileWriter`] leaves unsynced.
const UNSYNCED_BYTES_MAX: u64 = 256 << 10;

impl FileWriter {
    pub(crate) fn new(file: Box<dyn JournalFile>) -> Self {
        Self {
            file,
            offset: 0,
            synced: 0,
        }
    }

    /// As [`JournalFile::sync_data`].
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl io::Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        if self.offset - self.synced >= UNSYNCED_BYTES_MAX {
            self.file.sync_data()?;
            self.synced = self.offset;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a small file whole: either the old or the new one is there after a crash.
pub(crate) fn replace(
    files: &dyn FileSystem,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    replace_by(files, dir, name, |_| bytes.to_vec())
}

/// As [`replace`], with bytes that depend on the file's identity.
pub(crate) fn replace_by(
    files: &dyn FileSystem,
    dir: &Path,
    name: &str,
    bytes: impl FnOnce(FileIdentity) -> Vec<u8>,
) -> io::Result<()> {
    let temporary = Temporary::new(files, dir.join(format!("{name}.new")));
    let file = files.create(&temporary.path)?;
    file.write_all_at(&bytes(files.identity(&temporary.path)), 0)?;
    file.sync_data()?;
    drop(file);
    temporary.put_in_place(&dir.join(name))
}

/// A temporary file, removed on drop unless it was put in place.
pub(crate) struct Temporary<'a> {
    files: &'a dyn FileSystem,
    pub(crate) path: PathBuf,
    is_in_place: bool,
}

impl<'a> Temporary<'a> {
    pub(crate) fn new(files: &'a dyn FileSystem, path: PathBuf) -> Self {
        Self {
            files,
            path,
            is_in_place: false,
        }
    }

    /// Renames it durably over `path`, in the same directory.
    pub(crate) fn put_in_place(mut self, path: &Path) -> io::Result<()> {
        self.files.rename(&self.path, path)?;
        self.is_in_place = true;
        match path.parent() {
            Some(dir) => self.files.sync_dir(dir),
            None => Ok(()),
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.is_in_place {
            return;
        }
        // If that fails, the next start removes it.
        if let Err(error) = self.files.remove(&self.path) {
            let path = self.path.display();
            tracing::debug!(%path, %error, "a temporary file could not be removed");
        }
    }
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RealFileSystem;

impl FileSystem for RealFileSystem {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let is_new = !path.try_exists()?;
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        match std::path::absolute(path)?.parent() {
            Some(parent) if is_new => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(locked(how.mode(0o600).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(locked(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            exchanged => Ok(exchanged?),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn read_on(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn identity(&self, path: &Path) -> FileIdentity {
        FileIdentity::of(path)
    }

    fn free_bytes(&self, dir: &Path, files: u64) -> io::Result<u64> {
        let status = rustix::fs::statvfs(dir)?;
        // Some have no table of files that could be full.
        if status.f_files > 0 && status.f_favail < files {
            return Ok(0);
        }
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn is_in_memory(&self, dir: &Path) -> bool {
        let found = rustix::fs::statfs(dir);
        found.is_ok_and(|found| found.f_type as u64 & 0xffff_ffff == TMPFS_MAGIC)
    }

    fn disk_bytes(&self, dir: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(dir)?;
        Ok(status.f_blocks.saturating_mul(status.f_frsize))
    }
}

/// Locks a file while it is open. One of several signs that the directory is in use (`hold.rs`), so
/// it may fail.
fn locked(file: File) -> File {
    if !matches!(try_lock(&file), Ok(Some(true))) {
        tracing::debug!("a file is written without a lock");
    }
    file
}

impl JournalFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        File::set_len(self, len_bytes)
    }

    fn preallocate(&self, len_bytes: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(self, flags, 0, len_bytes)?)
    }

    fn condition(&self) -> io::Result<Option<Condition>> {
        let found = self.metadata()?;
        Ok(Some(Condition {
            identity: (found.dev(), found.ino()),
            links: found.nlink(),
            len_bytes: found.len(),
        }))
    }
}

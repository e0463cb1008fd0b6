//! The simulated disk as a `FileSystem`.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, Inode, NameChange, apply};
use super::fault::{Fault, Operation};
use crate::store::disk::FileIdentity::{Born, Unknown};
use crate::store::disk::{Condition, FileIdentity, FileSystem, JournalFile};

/// The file system.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimulatedFileSystem(Arc<Mutex<Disk>>);

struct SimulatedFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
}

impl SimulatedFileSystem {
    pub(super) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn file(&self, inode: u64) -> Box<dyn JournalFile> {
        Box::new(SimulatedFile {
            disk: self.0.clone(),
            inode,
        })
    }

    /// Lets something go wrong after so many operations.
    pub(crate) fn arm(&self, fault: Fault, after_operations: u32) {
        self.disk().armed = Some((fault, after_operations));
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn disarm(&self) {
        let mut disk = self.disk();
        disk.armed = None;
        disk.full_for = 0;
        disk.limits = None;
    }

    /// Whether there is such a file; not an operation that counts.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.disk().names.contains_key(path)
    }

    /// Whether the world has stopped.
    pub(crate) fn is_crashed(&self) -> bool {
        self.disk().crashed
    }

    /// The disk as a new machine finds it after the power went.
    pub(crate) fn lose_power(&self, seed: u64) {
        let mut disk = self.disk();
        disk.seed ^= seed;
        disk.crashed = false;
        disk.armed = None;
        disk.full_for = 0;
        let changes = std::mem::take(&mut disk.unsynced_changes);
        let kept = disk.random(changes.len() + 1);
        let mut names = disk.synced_names.clone();
        for change in &changes[..kept] {
            apply(&mut names, change);
        }
        disk.names = names.clone();
        disk.synced_names = names;
        let inodes = std::mem::take(&mut disk.inodes);
        for (number, inode) in inodes {
            let bytes = if inode.current == inode.synced {
                inode.current
            } else if inode.poisoned {
                inode.synced
            } else {
                disk.torn(&inode)
            };
            let inode = Inode {
                current: bytes.clone(),
                synced: bytes,
                poisoned: false,
                reserved: inode.reserved,
            };
            disk.inodes.insert(number, inode);
        }
    }
}

impl FileSystem for SimulatedFileSystem {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        // Directories are not simulated; the real one is for the index.
        std::fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        let mut disk = self.disk();
        disk.step(Operation::Other)?;
        disk.check_files(path)?;
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.inodes.insert(inode, Inode::default());
        disk.change(NameChange::Set(path.to_owned(), inode));
        Ok(self.file(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        let mut disk = self.disk();
        disk.step(Operation::Other)?;
        let inode = *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut disk = self.disk();
        disk.step(Operation::Other)?;
        let inside = disk.names.keys().filter(|path| path.parent() == Some(dir));
        let names = inside.filter_map(|path| path.file_name());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step(Operation::Other)?;
        disk.check_changes(&Inode::default())?;
        let inode = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.change(NameChange::Set(to.to_owned(), inode));
        disk.change(NameChange::Remove(from.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step(Operation::Other)?;
        disk.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.step(Operation::Sync)?.is_some() {
            return Err(io::Error::other("the sync failed"));
        }
        disk.unsynced_changes.clear();
        disk.synced_names = disk.names.clone();
        Ok(())
    }

    fn read_on(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>> {
        let bytes = self.read(path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut disk = self.disk();
        disk.step(Operation::Other)?;
        let inode = disk.names.get(path).copied();
        Ok(inode.map(|inode| disk.inodes[&inode].current.clone()))
    }

    fn identity(&self, path: &Path) -> FileIdentity {
        self.disk().names.get(path).copied().map_or(Unknown, Born)
    }

    fn free_bytes(&self, _dir: &Path, files: u64) -> io::Result<u64> {
        let disk = self.disk();
        match disk.full_for {
            0 => Ok(disk.free_bytes(files)),
            _ => Ok(0),
        }
    }

    fn disk_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl SimulatedFile {
    fn with<T>(&self, work: impl FnOnce(&mut Disk, &mut Inode) -> T) -> T {
        let mut disk = self.disk.lock().unwrap();
        let mut inode = disk.inodes.remove(&self.inode).unwrap();
        let answer = work(&mut disk, &mut inode);
        disk.inodes.insert(self.inode, inode);
        answer
    }
}

impl JournalFile for SimulatedFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|disk, inode| {
            let fault = disk.step(Operation::Write)?;
            let written = match fault {
                Some(_) => &bytes[..disk.random(bytes.len() + 1)],
                None => bytes,
            };
            let from = offset as usize;
            let room = disk.room(inode);
            let written = &written[..written.len().min(room.bytes.saturating_sub(from))];
            let to = from + written.len();
            if inode.current.len() < to {
                inode.current.resize(to, 0);
            }
            inode.current[from..to].copy_from_slice(written);
            match fault {
                Some(_) => Err(io::Error::other("the write was cut short")),
                None if written.len() < bytes.len() => Err(room.refusal.into()),
                None => Ok(()),
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk, inode| {
            if disk.step(Operation::Sync)?.is_some() {
                inode.synced = disk.torn(inode);
                inode.poisoned = true;
                return Err(io::Error::other("the sync failed"));
            }
            if inode.poisoned {
                inode.synced.truncate(inode.current.len());
            } else {
                inode.synced = inode.current.clone();
            }
            Ok(())
        })
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.with(|disk, inode| {
            disk.step(Operation::Other)?;
            disk.check_changes(inode)?;
            inode.current.resize(len_bytes as usize, 0);
            inode.reserved = inode.reserved.min(len_bytes);
            Ok(())
        })
    }

    fn preallocate(&self, len_bytes: u64) -> io::Result<()> {
        self.with(|disk, inode| {
            disk.step(Operation::Reserve)?;
            let room = disk.room(inode);
            if len_bytes as usize > room.bytes {
                return Err(room.refusal.into());
            }
            inode.reserved = inode.reserved.max(len_bytes);
            Ok(())
        })
    }

    fn condition(&self) -> io::Result<Option<Condition>> {
        Ok(None)
    }
}

//! How much room there is, where others have taken the rest.

use std::io;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};
use std::path::Path;

use super::disk::{Disk, Inode};
use super::file_system::SimulatedFileSystem;
use super::limits::{Lack, Limits, Room};

impl SimulatedFileSystem {
    /// Others take all that is free, but for so many bytes.
    pub(crate) fn fill(&self, lack: Lack, left_bytes: u64) {
        let mut disk = self.disk();
        disk.limits = Some(Limits {
            lack,
            bytes: disk.used() + left_bytes,
            files: disk.names.len(),
        });
    }

    /// They give it back.
    pub(crate) fn make_room(&self) {
        self.disk().limits = None;
    }
}

impl Inode {
    fn used(&self) -> u64 {
        self.reserved.max(self.current.len() as u64)
    }
}

impl Disk {
    /// By all that have a name, but for one that is being written.
    fn used(&self) -> u64 {
        let inodes = self.names.values();
        inodes
            .filter_map(|at| self.inodes.get(at))
            .map(Inode::used)
            .sum()
    }

    /// Whether another file can be made.
    pub(super) fn check_files(&self, path: &Path) -> io::Result<()> {
        match self.limits {
            Some(Limits {
                lack: Lack::Files(refusal),
                files,
                ..
            }) if self.names.len() >= files && !self.names.contains_key(path) => {
                Err(refusal.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether names and lengths can be changed: as on btrfs, a quota that is used up allows only
    /// to remove files.
    pub(super) fn check_changes(&self, inode: &Inode) -> io::Result<()> {
        match self.limits {
            Some(Limits {
                lack: Lack::Space(QuotaExceeded),
                bytes,
                ..
            }) if self.used() + inode.used() >= bytes => Err(QuotaExceeded.into()),
            _ => Ok(()),
        }
    }

    /// Beside what is there, if there may be so many files more, as the disk tells it: of a quota
    /// it tells nothing.
    pub(super) fn free_bytes(&self, more: u64) -> u64 {
        match self.limits {
            Some(Limits {
                lack: Lack::Space(StorageFull),
                bytes,
                ..
            }) => bytes.saturating_sub(self.used()),
            Some(Limits {
                lack: Lack::Files(StorageFull),
                files,
                ..
            }) if self.names.len() as u64 + more > files as u64 => 0,
            _ => u64::MAX,
        }
    }

    /// For a file that is being written.
    pub(super) fn room(&self, inode: &Inode) -> Room {
        let (bytes, refusal) = match self.limits {
            Some(Limits {
                lack: Lack::Space(refusal),
                bytes,
                ..
            }) => {
                let left = bytes.saturating_sub(self.used());
                (left.max(inode.used()) as usize, refusal)
            }
            Some(Limits {
                lack: Lack::FileSize(bytes),
                ..
            }) => (bytes, io::ErrorKind::FileTooLarge),
            _ => (usize::MAX, io::ErrorKind::StorageFull),
        };
        Room { bytes, refusal }
    }
}

//! Sizes: of a domain as its quota counts it, and on disk.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::Store;
use crate::model::{Domain, Mailbox};
use crate::store::api::{DiskBytes, DiskRoom, ReadError, StoreStats};
use crate::store::disk::Pacer;
use crate::store::index::{IndexError, location};

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

impl Store {
    /// Bytes that a domain stores as its quota counts them
    /// ([`stored_bytes`](crate::store::stored_bytes)), without what is gone. Looks at all its
    /// mailboxes, with pauses; blocks on disk.
    ///
    /// # Errors
    /// The index cannot be read, or `is_stopped` says that nobody waits for it any more.
    pub fn usage(&self, domain: &Domain, is_stopped: &dyn Fn() -> bool) -> Result<u64, ReadError> {
        let shared = self.shared();
        // Messages that a flush moves meanwhile are counted twice or, if they were gone before, not
        // at all: at most one memtable.
        let low_watermark = |mailbox: &Mailbox| shared.low_watermark(mailbox);
        let in_memtables = shared.memtables().bytes_of(domain, low_watermark);
        let mut pacer = Pacer::new();
        let in_index = shared.with_index(|index| {
            let low_watermark_of_all = shared.low_watermark_of_domain(domain);
            index.bytes_of(domain, low_watermark, low_watermark_of_all, &mut || {
                pacer.step();
                match is_stopped() {
                    true => Err(IndexError::Closing),
                    false => Ok(()),
                }
            })
        })?;
        Ok(in_memtables + in_index)
    }

    /// Sizes in memory and of the journal.
    pub fn stats(&self) -> StoreStats {
        let shared = self.shared();
        let (queue, queue_bytes) = shared.queue.waiting();
        let memtables = shared.memtables();
        let oldest = memtables.both().find_map(|memtable| memtable.since);
        let now = shared.clock.monotonic();
        StoreStats {
            queue,
            queue_bytes,
            memtable_bytes: memtables.bytes(),
            memtable_age: oldest.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            segment: memtables.active.end.segment,
            frames: memtables.active.end.sequence - 1,
        }
    }

    /// Sizes on disk, and the free space. Blocks on disk.
    ///
    /// # Errors
    /// The system's.
    pub fn disk_bytes(&self) -> io::Result<DiskBytes> {
        let shared = self.shared();
        let dir = &shared.options.dir;
        let number = shared.indexed.lock().number;
        Ok(DiskBytes {
            journal: bytes(&shared.journal_dir())?,
            index: bytes(&location::path(dir, number))?,
            free: shared.files.free_bytes(dir, 1)?,
        })
    }

    /// Free and total space of the file system. Blocks on disk.
    ///
    /// # Errors
    /// The system's.
    pub fn disk_room(&self) -> io::Result<DiskRoom> {
        let shared = self.shared();
        let dir = &shared.options.dir;
        Ok(DiskRoom {
            free: shared.files.free_bytes(dir, 1)?,
            total: shared.files.disk_bytes(dir)?,
        })
    }
}

/// Space taken by the files of a directory. A file that vanishes meanwhile takes none.
fn bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        match entry?.metadata() {
            Ok(metadata) if metadata.is_file() => bytes += metadata.blocks() * BLOCK_BYTES,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

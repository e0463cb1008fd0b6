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

/// Bytes of a block as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

impl Store {
    /// How many bytes a domain stores, as its quota counts them ([`stored_bytes`](crate::store::stored_bytes)), without what is
    /// gone. Looks at all its mailboxes, with pauses; blocks on disk.
    ///
    /// # Errors
    /// The index cannot be read, or `is_stopped` says that nobody waits for it any more.
    pub fn usage(&self, domain: &Domain, is_stopped: &dyn Fn() -> bool) -> Result<u64, ReadError> {
        let shared = self.shared();
        // What a flush moves meanwhile is counted twice or, where it was gone before it came,
        // not at all: no more than a memtable.
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

    /// How much is where.
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

    /// How much is on disk, and how much could be. Blocks on disk.
    ///
    /// # Errors
    /// The system's.
    pub fn disk_bytes(&self) -> io::Result<DiskBytes> {
        let shared = self.shared();
        let dir = &shared.options.dir;
        let number = shared.indexed().number;
        Ok(DiskBytes {
            journal: bytes(&shared.journal_dir())?,
            index: bytes(&location::path(dir, number))?,
            free: shared.files.free_bytes(dir, 1)?,
        })
    }

    /// How much of its disk is free, by what the file system says. Blocks on disk.
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

/// What the files of a directory take. A file that goes meanwhile takes nothing.
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

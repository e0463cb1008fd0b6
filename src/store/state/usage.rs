//! Sizes: of a domain as its quota counts it, and on disk.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::shared::Shared;
use crate::model::{Domain, Mailbox};
use crate::store::api::{DiskBytes, DiskRoom, ReadError, StoreStats};
use crate::store::disk::Pacer;
use crate::store::index::{IndexError, location};

/// Bytes of a block as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

impl Shared {
    /// As [`crate::store::Store::usage`].
    pub(crate) fn usage(
        &self,
        domain: &Domain,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<u64, ReadError> {
        // What a flush moves meanwhile is counted twice or, where it was gone before it came,
        // not at all: no more than a memtable.
        let in_memtables = self
            .memtables()
            .bytes_of(domain, |mailbox| self.low_watermark(mailbox));
        let mut pacer = Pacer::new();
        let in_index = self.with_index(|index| {
            let low_watermark = |mailbox: &Mailbox| self.low_watermark(mailbox);
            let low_watermark_of_all = self.low_watermark_of_domain(domain);
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

    /// As [`crate::store::Store::stats`].
    pub(crate) fn stats(&self) -> StoreStats {
        let (queue, queue_bytes) = self.queue.waiting();
        let memtables = self.memtables();
        let oldest = memtables
            .immutable
            .as_ref()
            .and_then(|immutable| immutable.since);
        let oldest = oldest.or(memtables.active.since);
        StoreStats {
            queue,
            queue_bytes,
            memtable_bytes: memtables.bytes(),
            memtable_age: oldest.map_or(Duration::ZERO, |since| since.elapsed()),
            segment: memtables.active.end.segment,
            frames: memtables.active.end.sequence - 1,
        }
    }

    /// As [`crate::store::Store::disk_bytes`].
    pub(crate) fn disk_bytes(&self) -> io::Result<DiskBytes> {
        let dir = &self.options.dir;
        let number = self.indexed().number;
        Ok(DiskBytes {
            journal: bytes(&self.journal_dir())?,
            index: bytes(&location::path(dir, number))?,
            free: self.files.free_bytes(dir, 1)?,
        })
    }

    /// As [`crate::store::Store::disk_room`].
    pub(crate) fn disk_room(&self) -> io::Result<DiskRoom> {
        let dir = &self.options.dir;
        Ok(DiskRoom {
            free: self.files.free_bytes(dir, 1)?,
            total: self.files.disk_bytes(dir)?,
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

//! The blob file, beside sled's files, for values that are written once.
//!
//! sled stores only references to it. So its pages stay small, sled rewrites little, and a message
//! is written into the index once. Append-only; what an interrupted flush leaves there unreferenced
//! stays until the index is rebuilt.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const NAME: &str = "heap";

#[derive(Debug)]
pub(super) struct BlobFile {
    file: File,
    bytes: AtomicU64,
}

impl BlobFile {
    /// Opens the blob file of an index, or creates it.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Self::on(options.mode(0o600).open(dir.join(NAME))?)
    }

    pub(super) fn open_to_read(dir: &Path) -> io::Result<Self> {
        Self::on(File::open(dir.join(NAME))?)
    }

    fn on(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len().into();
        Ok(Self { file, bytes })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Returns the offset of what was appended.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.bytes.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        self.file.write_all_at(bytes, at)?;
        Ok(at)
    }

    pub(super) fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = at.checked_add(length as u64);
        if end.is_none_or(|end| end > self.bytes()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_appended_is_there_also_for_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let blob = BlobFile::open(dir.path()).unwrap();
        assert_eq!(blob.append(b"one").unwrap(), 0);
        assert_eq!(blob.append(b"three").unwrap(), 3);
        blob.sync().unwrap();
        drop(blob);
        let blob = BlobFile::open(dir.path()).unwrap();
        assert_eq!(blob.bytes(), 8);
        assert_eq!(blob.append(b"2").unwrap(), 8);
        assert_eq!(blob.read(3, 6).unwrap(), b"three2");
        for (at, length) in [(3, 7), (9, 1), (u64::MAX, 1)] {
            assert!(blob.read(at, length).is_err());
        }
    }
}

//! The compressed form of a sealed segment.
//!
//! Its bytes in parts, each a zstd frame with its length and a checksum: damage to one loses no
//! other.

use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use super::super::files::{FileSystem, FileWriter};
use super::segment::{SegmentName, is_compressed};

/// Fast enough to keep up with the committer on part of a core.
const ZSTD_LEVEL: i32 = 1;
/// Bytes of a part before compression.
pub(crate) const PART_BYTES: usize = 64 << 10;
/// Compared at once.
const COMPARED_BYTES: u64 = 64 << 10;

/// A compressed segment in the making, under a temporary name.
pub(crate) struct Packer<'a> {
    files: &'a dyn FileSystem,
    temporary: PathBuf,
    path: PathBuf,
    compressor: zstd::bulk::Compressor<'static>,
    part: Vec<u8>,
    file: BufWriter<FileWriter>,
}

impl<'a> Packer<'a> {
    /// Begins the compressed form of a segment.
    pub(crate) fn begin(
        files: &'a dyn FileSystem,
        dir: &Path,
        name: SegmentName,
    ) -> io::Result<Self> {
        let path = name.path(dir);
        let temporary = name.temporary(dir);
        let file = FileWriter::new(files.create(&temporary)?);
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self {
            files,
            temporary,
            path,
            compressor,
            part: Vec::with_capacity(PART_BYTES),
            file: BufWriter::new(file),
        })
    }

    fn end_part(&mut self) -> io::Result<()> {
        let compressed = self.compressor.compress(&self.part)?;
        self.part.clear();
        self.file.write_all(&compressed)
    }

    /// Makes it durable under its temporary name, whose path is the answer.
    pub(crate) fn finish(mut self) -> io::Result<Packed<'a>> {
        if !self.part.is_empty() {
            self.end_part()?;
        }
        let file = self.file.into_inner();
        file.map_err(|error| error.into_error())?.sync_data()?;
        Ok(Packed {
            files: self.files,
            temporary: self.temporary,
            path: self.path,
        })
    }
}

impl io::Write for Packer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        if self.part.len() >= PART_BYTES {
            self.end_part()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A compressed segment that is whole and durable, but not in its place.
pub(crate) struct Packed<'a> {
    files: &'a dyn FileSystem,
    /// Where it is.
    pub(crate) temporary: PathBuf,
    path: PathBuf,
}

impl Packed<'_> {
    /// Puts it in the place of the segment. At any moment the name leads to a whole file.
    pub(crate) fn put_in_place(self, dir: &Path) -> io::Result<()> {
        self.files.rename(&self.temporary, &self.path)?;
        self.files.sync_dir(dir)
    }
}

/// Puts the compressed form in the place of a sealed segment.
pub(crate) fn compress(files: &dyn FileSystem, dir: &Path, name: SegmentName) -> io::Result<()> {
    let path = name.path(dir);
    if is_compressed(files.open(&path)?.as_ref())? {
        return Ok(());
    }
    let mut packer = Packer::begin(files, dir, name)?;
    io::copy(&mut files.read_on(&path)?, &mut packer)?;
    let packed = packer.finish()?;
    // The journal is the truth: it is not replaced by anything that was not read back.
    let mut unpacked = zstd::stream::Decoder::new(files.read_on(&packed.temporary)?)?;
    if !reads_alike(&mut unpacked, &mut files.read_on(&path)?)? {
        return Err(io::Error::other("the compressed segment reads differently"));
    }
    packed.put_in_place(dir)
}

fn reads_alike(one: &mut dyn Read, other: &mut dyn Read) -> io::Result<bool> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        one.take(COMPARED_BYTES).read_to_end(&mut left)?;
        other.take(COMPARED_BYTES).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::files::RealFileSystem;
    use super::*;

    #[test]
    fn a_compressed_segment_has_the_same_name_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let name = SegmentName {
            number: 1,
            first_id: 1,
        };
        let bytes = b"header and frames ".repeat(PART_BYTES / 10);
        std::fs::write(name.path(dir.path()), &bytes).unwrap();
        compress(&RealFileSystem, dir.path(), name).unwrap();
        let size = std::fs::metadata(name.path(dir.path())).unwrap().len();
        assert!(size < bytes.len() as u64 / 10);
        let packed = std::fs::read(name.path(dir.path())).unwrap();
        assert_eq!(zstd::stream::decode_all(packed.as_slice()).unwrap(), bytes);
        let file = RealFileSystem.open(&name.path(dir.path())).unwrap();
        assert!(is_compressed(file.as_ref()).unwrap());
    }
}

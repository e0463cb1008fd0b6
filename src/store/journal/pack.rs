//! The compressed form of a sealed segment.
//!
//! Its bytes in parts, each a zstd frame with its length and a checksum: damage to one loses no
//! other. Zeros behind the last part are padding, as tools leave it that copy in blocks.

use std::io;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

use super::segment::{SegmentName, ZSTD_MAGIC};
use crate::store::disk::{FileSystem, FileWriter, Temporary};

/// Fast enough to keep up with the committer on part of a core.
const ZSTD_LEVEL: i32 = 1;
/// Bytes of a part before compression.
pub(crate) const PART_BYTES: usize = 64 << 10;
/// Compared at once.
const COMPARED_BYTES: u64 = 64 << 10;

/// Writes a compressed segment under a temporary name.
pub(crate) struct Packer<'a> {
    temporary: Temporary<'a>,
    compressor: zstd::bulk::Compressor<'static>,
    part: Vec<u8>,
    file: BufWriter<FileWriter>,
}

impl<'a> Packer<'a> {
    pub(crate) fn begin(
        files: &'a dyn FileSystem,
        dir: &Path,
        name: SegmentName,
    ) -> io::Result<Self> {
        let temporary = Temporary::new(files, name.temporary(dir));
        let file = FileWriter::new(files.create(&temporary.path)?);
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self {
            temporary,
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

    /// Makes it durable under its temporary name.
    pub(crate) fn finish(mut self) -> io::Result<Temporary<'a>> {
        if !self.part.is_empty() {
            self.end_part()?;
        }
        let file = self.file.into_inner();
        file.map_err(|error| error.into_error())?.sync_data()?;
        Ok(self.temporary)
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

/// Reads the uncompressed bytes of a segment in either form. Damage to a compressed one is an error
/// without an errno.
pub(crate) struct Unpacker {
    source: BufReader<Box<dyn Read + Send>>,
    is_compressed: bool,
    decoder: Decoder<'static>,
    /// Between two parts, or at the end.
    between: bool,
    padding_bytes: u64,
}

impl Unpacker {
    pub(crate) fn new(mut source: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
        (&mut source)
            .take(ZSTD_MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        let is_compressed = magic == ZSTD_MAGIC;
        let source: Box<dyn Read + Send> = Box::new(io::Cursor::new(magic).chain(source));
        Ok(Self {
            source: BufReader::with_capacity(COMPARED_BYTES as usize, source),
            is_compressed,
            decoder: Decoder::new()?,
            between: true,
            padding_bytes: 0,
        })
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Zeros behind the last part, once that was read.
    pub(crate) fn padding_bytes(&self) -> u64 {
        self.padding_bytes
    }

    /// Between two parts: whether there is another one.
    fn begin_part(&mut self) -> io::Result<bool> {
        let first = self.source.fill_buf()?.first().copied();
        if first == Some(ZSTD_MAGIC[0]) {
            self.decoder.reinit()?;
            self.between = false;
            return Ok(true);
        }
        loop {
            let rest = self.source.fill_buf()?;
            if rest.iter().any(|byte| *byte != 0) {
                return Err(io::Error::other(
                    "what stands here is no part of the segment",
                ));
            }
            let count = rest.len();
            if count == 0 {
                return Ok(false);
            }
            self.padding_bytes += count as u64;
            self.source.consume(count);
        }
    }
}

impl Read for Unpacker {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if !self.is_compressed {
            return self.source.read(bytes);
        }
        // Hands out what is decoded before it reads on, where damage may be.
        let mut is_drained = self.between;
        while !bytes.is_empty() && (!self.between || self.begin_part()?) {
            let packed = match is_drained {
                true => self.source.fill_buf()?,
                false => &[],
            };
            let at_end = is_drained && packed.is_empty();
            is_drained = true;
            let mut input = InBuffer::around(packed);
            let mut output = OutBuffer::around(&mut *bytes);
            let ran = self.decoder.run(&mut input, &mut output);
            let left = ran.map_err(|_| {
                io::Error::other("its compressed bytes are not as they were written")
            })?;
            let (read, made) = (input.pos(), output.pos());
            self.source.consume(read);
            self.between = left == 0;
            if made > 0 {
                return Ok(made);
            }
            if at_end && left > 0 {
                return Err(io::Error::other("it is cut short"));
            }
        }
        Ok(0)
    }
}

/// Whether a segment is compressed already.
pub(crate) fn is_compressed(files: &dyn FileSystem, path: &Path) -> io::Result<bool> {
    Ok(Unpacker::new(files.read_on(path)?)?.is_compressed())
}

/// Replaces a sealed segment by its compressed form.
pub(crate) fn compress(files: &dyn FileSystem, dir: &Path, name: SegmentName) -> io::Result<()> {
    let path = name.path(dir);
    if is_compressed(files, &path)? {
        return Ok(());
    }
    let mut packer = Packer::begin(files, dir, name)?;
    io::copy(&mut files.read_on(&path)?, &mut packer)?;
    let packed = packer.finish()?;
    // Nothing replaces a segment before it was read back.
    let mut unpacked = Unpacker::new(files.read_on(&packed.path)?)?;
    if !reads_alike(&mut unpacked, &mut files.read_on(&path)?)? {
        return Err(io::Error::other("the compressed segment reads differently"));
    }
    packed.put_in_place(&path)
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
    use super::*;
    use crate::store::disk::RealFileSystem;

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
        assert!(is_compressed(&RealFileSystem, &name.path(dir.path())).unwrap());
    }

    #[test]
    fn zeros_behind_the_last_part_are_padding_and_nothing_else_is() {
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).unwrap();
        compressor.include_checksum(true).unwrap();
        let unpack = |packed: Vec<u8>| {
            let mut unpacker = Unpacker::new(Box::new(io::Cursor::new(packed))).unwrap();
            let mut bytes = Vec::new();
            let read = unpacker.read_to_end(&mut bytes);
            (
                bytes,
                unpacker.padding_bytes(),
                read.map_err(|e| e.to_string()).err(),
            )
        };
        // So that the checksum of some ends in a zero, which is none of the padding.
        for n in 0..600_u64 {
            let part = format!("{n} frames").repeat(20).into_bytes();
            let packed = compressor.compress(&part).unwrap();
            let with = |more: &[u8]| unpack([packed.as_slice(), more].concat());
            assert_eq!(with(&[]), (part.clone(), 0, None), "{n}");
            let zeros = vec![0; 100_000];
            assert_eq!(with(&zeros), (part.clone(), 100_000, None), "{n}");
            let twice = [part.as_slice(), &part].concat();
            assert_eq!(with(&packed), (twice.clone(), 0, None), "{n}");
            let damaged = |more: &[&[u8]]| {
                let (bytes, _, said) = with(&more.concat());
                let said = said.expect("it is damaged");
                assert!(bytes.starts_with(&part) && bytes.len() <= twice.len());
                assert!(
                    said.contains("no part") || said.contains("not as they"),
                    "{said}"
                );
            };
            damaged(&[b"rubbish"]);
            damaged(&[b"(rubbish"]);
            damaged(&[&zeros, b"x"]);
            damaged(&[&zeros, &packed]);
            let cut = unpack(packed[..packed.len() - 1].to_vec());
            assert!(cut.2.is_some(), "{n}");
        }
    }
}

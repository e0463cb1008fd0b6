//! Compression of chunk payloads.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;

use super::error::IndexError;

/// A payload shorter than this is not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 64;
const ZSTD_LEVEL: i32 = 1;
pub(super) const RAW: u8 = 0;
/// An LZ4 block.
pub(super) const LZ4: u8 = 1;
/// A zstd frame.
pub(super) const ZSTD: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    /// For chunks that are soon rewritten.
    Fast,
    /// For final chunks.
    Small,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

/// Codec and result; `None` if it would not be shorter.
pub(super) fn compress(payload: &[u8], packing: Packing) -> Option<(u8, Vec<u8>)> {
    if payload.len() < COMPRESSED_BYTES_MIN {
        return None;
    }
    let (codec, compressed) = match packing {
        Packing::None => return None,
        Packing::Fast => (LZ4, lz4_flex::block::compress(payload)),
        Packing::Small => (ZSTD, zstd_compress(payload)?),
    };
    (compressed.len() < payload.len()).then_some((codec, compressed))
}

/// `None` if the library is out of memory: the payload is then stored uncompressed.
fn zstd_compress(payload: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        if compressor.is_none() {
            *compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        compressor.as_mut()?.compress(payload).ok()
    })
}

fn zstd_decompress(payload: &[u8], raw_bytes: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(payload, raw_bytes)
    })
}

pub(super) fn decompress(
    codec: u8,
    payload: &[u8],
    raw_bytes: usize,
) -> Result<Cow<'_, [u8]>, IndexError> {
    let raw = match codec {
        RAW => Cow::Borrowed(payload),
        LZ4 => lz4_flex::block::decompress(payload, raw_bytes)
            .map_err(|error| format!("a chunk does not decompress: {error}"))?
            .into(),
        ZSTD => zstd_decompress(payload, raw_bytes)
            .map_err(|error| format!("a chunk does not decompress: {error}"))?
            .into(),
        codec => return Err(format!("a chunk has codec {codec}").into()),
    };
    if raw.len() != raw_bytes {
        return Err("a chunk has a wrong length".into());
    }
    Ok(raw)
}

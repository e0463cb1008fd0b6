//! Flush: writes the immutable memtable into the index, then the manifest.

mod flusher;

pub(crate) use flusher::Flusher;

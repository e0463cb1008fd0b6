//! Flushes: the immutable memtable goes into the index.

mod flusher;

pub(crate) use flusher::Flusher;

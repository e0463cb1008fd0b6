//! Flushing: the memtable goes into the index.

mod flusher;

pub(crate) use flusher::Flusher;

//! From a data directory to a running store.

use std::sync::{Arc, Mutex};

use super::api::{CommitSink, OpenError, StoreOptions};
use super::claim::Claim;
use super::files::{FileSystem, RealFileSystem};
use super::threads::Threads;
use super::{Handle, Store};
use crate::clock::Clock;

impl Store {
    /// Opens (or makes) the data directory, takes its lock, recovers, and starts the threads.
    ///
    /// # Errors
    /// The directory is in use, damaged, of a newer version, or cannot be read or written.
    pub fn open(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        Self::open_with(options, clock, sink, Arc::new(RealFileSystem))
    }

    /// As [`Store::open`], where the directory is taken already. It may take long:
    /// [`StoreOptions::opening`] says how far it is, and ends it.
    ///
    /// # Errors
    /// As those of [`Store::open`], or it was stopped.
    pub fn open_claimed(
        claim: Claim,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Self, OpenError> {
        let threads = Threads::start(claim, clock, sink)?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared: threads.shared().clone(),
                threads: Mutex::new(Some(threads)),
            }),
        })
    }

    pub(super) fn open_with(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn CommitSink>,
        files: Arc<dyn FileSystem>,
    ) -> Result<Self, OpenError> {
        Self::open_claimed(Claim::take_with(options, files)?, clock, sink)
    }
}

//! A small runtime for commands that wait for the network, and process-wide signal handling.

use std::future::Future;

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::signals::UNHANDLED;

/// Runs a future to completion. Does not wait for work it started on other threads, such as host
/// lookups.
pub(super) fn run<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let value = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(value)
}

/// From now on, a write beyond the file size limit (RLIMIT_FSIZE) fails with EFBIG; by default
/// SIGXFSZ would kill the process. Starts no thread.
pub(super) fn refuse_large_files() -> anyhow::Result<()> {
    // The handler stays, even if the listener for the signal is dropped.
    let kind = SignalKind::from_raw(Signal::XFSZ.as_raw());
    let handled = run(async { signal(kind).map(drop) })?;
    handled.context(UNHANDLED)
}

//! A small runtime for commands that wait for the network, and for what the process does about
//! signals.

use std::future::Future;

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a future to its end. What it began on other threads, such as looking up a host, is not waited for.
pub(super) fn run<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let value = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(value)
}

/// Lets a write beyond what a file may hold (RLIMIT_FSIZE) fail with EFBIG from now on: by default
/// the process would be killed (SIGXFSZ). Begins no thread.
pub(super) fn refuse_large_files() -> anyhow::Result<()> {
    // A handler stays, whatever becomes of who waits for the signal.
    let kind = SignalKind::from_raw(Signal::XFSZ.as_raw());
    let handled = run(async { signal(kind).map(drop) })?;
    handled.context("signals cannot be handled")
}

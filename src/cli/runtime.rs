//! A small runtime for commands that wait for the network.

use std::future::Future;

use anyhow::Context as _;

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

//! Last work before a signal ends a command that does not otherwise handle it.

use std::thread;

use anyhow::Context as _;

use super::signals::{StopSignals, UNHANDLED};

/// Offset that shells add to a signal number for the exit code.
const BY_SIGNAL: i32 = 128;

/// On SIGINT or SIGTERM, runs `last` and exits with the code a shell reports for a process killed
/// by that signal. Other threads keep running meanwhile.
///
/// # Errors
/// The signals cannot be handled.
pub(super) fn before_end(last: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let runtime = runtime.context(UNHANDLED)?;
    let mut ends = runtime
        .block_on(async { StopSignals::register() })
        .context(UNHANDLED)?;
    let wait = move || {
        let kind = runtime.block_on(ends.next());
        last();
        std::process::exit(BY_SIGNAL + kind.as_raw_value());
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(wait).context(UNHANDLED)?;
    Ok(())
}

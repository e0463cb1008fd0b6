//! Runs work on files that may never answer (a network file system) on a thread of its own: it occupies none of the
//! store readers' threads, and no shutdown waits for it.

use std::io;
use std::thread::Builder;

use tokio::sync::oneshot::{Receiver, channel};

/// Starts the work. The caller may stop waiting for the outcome; an error there means that the work panicked.
///
/// # Errors
/// No thread can be started.
pub fn spawn_detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (done, outcome) = channel();
    Builder::new().name(name.to_owned()).spawn(move || {
        // The caller may have stopped waiting.
        let _ = done.send(work());
    })?;
    Ok(outcome)
}

//! Work on files that may never answer (a network file system), on a thread of its own: it takes none from those who
//! read the store, and nobody's end waits for it.

use std::io;
use std::thread::Builder;

use tokio::sync::oneshot::{Receiver, channel};

/// Begins the work. Whoever waits for its outcome may go away; an error there means that it panicked.
///
/// # Errors
/// There is no thread to be had.
pub fn apart<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (done, outcome) = channel();
    Builder::new().name(name.to_owned()).spawn(move || {
        // Who has gone away does not want it any more.
        let _ = done.send(work());
    })?;
    Ok(outcome)
}

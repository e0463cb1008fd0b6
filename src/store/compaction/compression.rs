//! The thread that compresses sealed segments.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::store::journal::{SegmentName, compress, is_compressed};
use crate::store::state::Shared;

/// A segment that could not be compressed is tried again after this. Real time, as a channel knows no
/// other.
const COMPRESS_AGAIN: Duration = Duration::from_secs(60);

/// Compresses what was sealed before and what is sealed while the store is open. What fails is tried
/// again with the next, and every minute.
pub(crate) fn compress_sealed(
    shared: &Shared,
    before: Vec<SegmentName>,
    sealed: &Receiver<SegmentName>,
) {
    let mut left = before;
    let mut failed = BTreeSet::new();
    loop {
        // What is left uncompressed at the end is found again at the next start.
        left.retain(|name| shared.queue.is_open() && !is_done(shared, *name, &mut failed));
        let next = match left.is_empty() {
            true => sealed.recv().map_err(RecvTimeoutError::from),
            false => sealed.recv_timeout(COMPRESS_AGAIN),
        };
        match next {
            Ok(name) => left.push(name),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Compresses a segment; answers whether it is. Said once of each that it is not.
fn is_done(shared: &Shared, name: SegmentName, failed: &mut BTreeSet<SegmentName>) -> bool {
    let dir = shared.journal_dir();
    // It makes room only where it comes to its end.
    let files = shared.reserve.others().as_ref();
    let path = name.path(&dir);
    let done = is_compressed(files, &path).and_then(|done| {
        if done {
            return Ok(());
        }
        let _alone = shared.segments.lock();
        compress(files, &dir, name)
    });
    if let Err(error) = &done
        && failed.insert(name)
    {
        let path = path.display();
        tracing::warn!(%path, %error, "a journal segment stays uncompressed for now");
    }
    done.is_ok()
}

//! Closes an index once its last reader has let go of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::database::Index;
use super::error::IndexError;

/// How long readers may hold an index that was replaced.
const READERS_WAIT_MAX: Duration = Duration::from_secs(5);

pub(crate) fn retire(mut index: Arc<Index>) -> Result<(), IndexError> {
    let deadline = Instant::now() + READERS_WAIT_MAX;
    loop {
        match Arc::try_unwrap(index) {
            Ok(index) => return index.close(),
            Err(still_read) if Instant::now() < deadline => {
                index = still_read;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return Err(IndexError::Busy("it is still being read")),
        }
    }
}

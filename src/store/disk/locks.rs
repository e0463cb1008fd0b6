//! File locks (flock), by which processes see one another.
//!
//! Writers lock exclusively. `holder.rs`, which only asks, locks shared and for a moment, and
//! writers wait for it.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

/// The pause between two attempts, and how many there are.
const PAUSE: Duration = Duration::from_millis(10);
const TRIES: u32 = 100;

/// Tries to lock a file: `false` if the file system cannot, `None` if another process holds it.
pub(crate) fn try_lock(file: &File) -> io::Result<Option<bool>> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(true)),
            // Network file systems lock no directories.
            Err(TryLockError::Error(_)) => return Ok(Some(false)),
            Err(TryLockError::WouldBlock) => {}
        }
        if file.try_lock_shared().is_err() {
            return Ok(None);
        }
        file.unlock()?;
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Whether another process holds it. Delays one that is just locking it.
///
/// # Errors
/// The file system cannot lock it.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_looks_at_it_is_waited_for_and_not_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::open(dir.path()).unwrap();
        let looks = open();
        looks.lock_shared().unwrap();
        assert!(!is_locked(&open()).unwrap());
        assert_eq!(try_lock(&open()).unwrap(), None);
        let looked = std::thread::spawn(move || {
            std::thread::sleep(PAUSE);
            drop(looks);
        });
        let works = open();
        assert_eq!(try_lock(&works).unwrap(), Some(true));
        looked.join().unwrap();
        assert!(is_locked(&open()).unwrap());
        assert_eq!(try_lock(&open()).unwrap(), None);
        drop(works);
        assert!(!is_locked(&open()).unwrap());
    }
}

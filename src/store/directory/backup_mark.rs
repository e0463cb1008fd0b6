//! `BACKUP`: marks a directory as a backup, and records whether the last run finished and how far
//! the journal reaches at least, so that a lost end is noticed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout;
use crate::store::api::FileError;
use crate::store::disk::FileSystem;

/// The file's name.
pub(crate) const BACKUP: &str = "BACKUP";

/// What the file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Whether the last run finished.
    pub(crate) complete: bool,
    /// The backup holds everything before the frame with this sequence.
    pub(crate) sequence: u64,
}

impl Mark {
    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read or parsed.
    pub(crate) fn read(files: &dyn FileSystem, dir: &Path) -> Result<Option<Self>, FileError> {
        let Some(bytes) = layout::read(files, dir, BACKUP)? else {
            return Ok(None);
        };
        let mark = serde_json::from_slice(layout::without_padding(&bytes));
        let what = "it does not say how far the backup reaches";
        mark.map(Some)
            .map_err(|_| FileError::damaged(dir.join(BACKUP), 0, what))
    }

    /// Resets the mark of a backup, if this is one: incomplete, and nothing guaranteed.
    pub(crate) fn forget(files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
        match layout::read(files, dir, BACKUP)? {
            Some(_) => Self::default().write(files, dir),
            None => Ok(()),
        }
    }

    pub(crate) fn write(self, files: &dyn FileSystem, dir: &Path) -> Result<(), FileError> {
        let Self { complete, sequence } = self;
        let text = format!("{{\"complete\": {complete}, \"sequence\": {sequence}}}\n");
        layout::put(files, dir, BACKUP, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::disk::RealFileSystem;

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Mark::read(&RealFileSystem, dir.path()).unwrap();
        assert_eq!(read(), None);
        let mark = Mark {
            complete: true,
            sequence: 900,
        };
        mark.write(&RealFileSystem, dir.path()).unwrap();
        assert_eq!(read(), Some(mark));
        let text = std::fs::read(dir.path().join(BACKUP)).unwrap();
        let behind = |more: &[u8]| {
            let bytes = [text.as_slice(), more].concat();
            std::fs::write(dir.path().join(BACKUP), bytes).unwrap();
            Mark::read(&RealFileSystem, dir.path())
        };
        assert_eq!(behind(&[0; 4000]).unwrap(), Some(mark));
        assert!(matches!(behind(b"x"), Err(FileError::Damaged(_))));
    }
}

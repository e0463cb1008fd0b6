//! Names that must keep leading to the same file while it is written.
//!
//! Renames and removals by the store itself are announced; any other change is somebody else's.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::{fs, io};

use parking_lot::Mutex;

/// The watched names.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Vec<Weak<Name>>>);

/// A watched name, until it is dropped. Its file must stay open as long, or its inode could be
/// reused.
#[derive(Debug)]
pub(crate) struct Name {
    /// Device and inode.
    identity: (u64, u64),
    /// `None`: no longer watched.
    path: Mutex<Option<PathBuf>>,
}

impl Name {
    fn leads(&self) -> bool {
        // Holds off our own renames.
        let path = self.path.lock();
        let Some(path) = path.as_deref() else {
            return true;
        };
        match fs::metadata(path) {
            Ok(found) => (found.dev(), found.ino()) == self.identity,
            Err(error) => !is_gone(&error),
        }
    }

    fn give_up(&self, path: &Path) -> bool {
        let mut ours = self.path.lock();
        let is_it = ours.as_deref() == Some(path);
        if is_it {
            *ours = None;
        }
        is_it
    }
}

impl Names {
    /// Watches the name of a file or directory that is open.
    pub(crate) fn watch(&self, path: &Path, identity: (u64, u64)) -> Arc<Name> {
        let name = Arc::new(Name {
            identity,
            path: Some(path.to_owned()).into(),
        });
        let mut names = self.0.lock();
        names.retain(|name| name.strong_count() > 0);
        names.push(Arc::downgrade(&name));
        name
    }

    fn watched(&self) -> Vec<Arc<Name>> {
        let names = self.0.lock();
        names.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether each still leads to its file, as far as the system tells.
    pub(crate) fn lead(&self) -> bool {
        self.watched().iter().all(|name| name.leads())
    }

    /// Stops watching a name that is about to be removed or replaced.
    pub(crate) fn forget(&self, path: &Path) {
        for name in self.watched() {
            name.give_up(path);
        }
    }

    /// Renames a file, and keeps watching it under its new name.
    pub(crate) fn rename(
        &self,
        from: &Path,
        to: &Path,
        rename: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.forget(to);
        let mut renamed = self.watched();
        renamed.retain(|name| name.give_up(from));
        let done = rename();
        let path = if done.is_ok() { to } else { from };
        for name in renamed {
            *name.path.lock() = Some(path.to_owned());
        }
        done
    }
}

/// Whether an error says that nothing is at a path. Others say nothing of the sort.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_others_do_to_a_name_counts() {
        let dir = tempfile::tempdir().unwrap();
        let within = |name: &str| dir.path().join(name);
        let (inside, one, other) = (within("journal"), within("journal/1"), within("journal/2"));
        fs::create_dir(&inside).unwrap();
        fs::write(&one, "").unwrap();
        let names = Names::default();
        let watch = |path: &Path| {
            let found = fs::metadata(path).unwrap();
            names.watch(path, (found.dev(), found.ino()))
        };
        let file = watch(&one);
        let refused = || Err(io::ErrorKind::StorageFull.into());
        names.rename(&one, &other, refused).unwrap_err();
        assert!(names.lead());
        for (from, to) in [(&one, &other), (&other, &one)] {
            names.rename(from, to, || fs::rename(from, to)).unwrap();
            assert!(names.lead());
        }
        // Another file, none, and none in no directory.
        fs::rename(&one, &other).unwrap();
        assert!(!names.lead());
        fs::write(&one, "").unwrap();
        assert!(!names.lead());
        fs::rename(&other, &one).unwrap();
        assert!(names.lead());
        fs::rename(&inside, within("away")).unwrap();
        assert!(!names.lead());
        fs::rename(within("away"), &inside).unwrap();
        let directory = watch(&inside);
        assert!(names.lead());
        // What was given up, or is not written on any more, may go.
        names.forget(&one);
        fs::remove_file(&one).unwrap();
        assert!(names.lead());
        drop(file);
        fs::rename(&inside, within("away")).unwrap();
        assert!(!names.lead());
        drop(directory);
        assert!(names.lead());
    }
}

//! An opening that is stopped, wherever that meets it: what was acknowledged stays, and the next
//! one succeeds.

use super::support::*;
use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

use crate::store::api::Opening;
use crate::store::disk::{FileIdentity, JournalFile, RealFileSystem};

/// Stops an opening when so many files have been asked for.
#[derive(Debug)]
struct Stopping {
    opening: Arc<Opening>,
    left: AtomicU32,
}

impl Stopping {
    fn step(&self) -> RealFileSystem {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.opening.stop();
        }
        RealFileSystem
    }
}

impl FileSystem for Stopping {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step().create_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        self.step().create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        self.step().open(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.step().list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step().sync_dir(dir)
    }
    fn read_on(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.step().read_on(path)
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.step().read(path)
    }
    fn identity(&self, path: &Path) -> FileIdentity {
        RealFileSystem.identity(path)
    }
    fn free_bytes(&self, dir: &Path, files: u64) -> io::Result<u64> {
        RealFileSystem.free_bytes(dir, files)
    }
    fn disk_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealFileSystem.disk_bytes(dir)
    }
}

/// Opens it, stopped after so many files; `None`: it ended before.
fn stopped_after(dir: &Path, files: u32) -> (Arc<Opening>, Option<Store>) {
    let opening = Arc::new(Opening::default());
    let stopping = Stopping {
        opening: opening.clone(),
        left: files.into(),
    };
    let mut options = options(dir);
    options.opening = opening.clone();
    // What the journal has more becomes a generation now and then.
    options.memtable_bytes_max = 64 << 10;
    let opened = Store::open_with(
        options,
        clock(),
        Arc::new(Seen::default()),
        Arc::new(stopping),
    );
    match opened {
        Ok(store) => (opening, Some(store)),
        Err(OpenError::Stopped) => (opening, None),
        Err(error) => panic!("after {files} files: {error}"),
    }
}

/// Stops it everywhere; answers what the openings were at. `before` is what each of them finds.
fn stop_everywhere(before: impl Fn(&Path)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let store = with_segments(dir.path(), 4);
    store.flush();
    send_one(&store, "a", "b", "last");
    let count = check_consistent(&store, &mailbox("d", "b")).len();
    // As a crash.
    drop(store);
    let mut at: Vec<String> = Vec::new();
    for files in 0.. {
        before(dir.path());
        let (opening, store) = stopped_after(dir.path(), files);
        if let Some(store) = store {
            let found = check_consistent(&store, &mailbox("d", "b"));
            assert_eq!(found.len(), count, "after {files} files");
            assert_eq!(&*found.last().unwrap().content, "last");
            if !opening.is_stopped() {
                return at;
            }
            drop(store);
            continue;
        }
        let words = opening.to_string();
        let what = words.split(':').next().unwrap_or_default().to_owned();
        if !at.contains(&what) {
            at.push(what);
        }
    }
    unreachable!()
}

#[test]
fn it_can_be_stopped_while_the_index_is_verified_and_brought_up() {
    let at = stop_everywhere(|_| {});
    assert!(at.iter().any(|at| at.contains("verified")), "{at:?}");
}

#[test]
fn it_can_be_stopped_while_the_index_is_made_anew() {
    let at = stop_everywhere(|dir| {
        let _ = fs::remove_file(dir.join("db.state"));
    });
    for work in ["checked", "brought up"] {
        assert!(at.iter().any(|at| at.contains(work)), "{at:?}");
    }
}

#[test]
fn one_that_was_stopped_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_segments(dir.path(), 6);
    drop(store);
    fs::remove_file(dir.path().join("db.state")).unwrap();
    let mut files = 0;
    // Until some of the new index was durable.
    while !dir.path().join("db.state").exists() {
        let (_, store) = stopped_after(dir.path(), files);
        assert!(store.is_none(), "it was not stopped");
        files += 1;
    }
    let (opening, store) = stopped_after(dir.path(), u32::MAX);
    assert!(store.is_some());
    drop(opening);
    let broken = fs::read_dir(dir.path()).unwrap();
    let broken = broken.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("db.broken")
    });
    assert!(broken.count() <= 1, "one is kept");
}

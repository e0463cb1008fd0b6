//! A disk that is soon full.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory, unmounted on drop.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with the reason printed, where this user may not mount.
    pub fn mount(at: &Path, megabytes: usize) -> Option<Self> {
        Self::with_files(at, megabytes, 0)
    }

    /// The same with a table of so many files; 0: more than anybody makes.
    pub fn with_files(at: &Path, megabytes: usize, files: usize) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m,nr_inodes={files},mode=700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            Ok(output) => {
                eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("skipped: cannot run mount: {error}");
                None
            }
        }
    }

    /// Takes all the room there is now.
    pub fn fill(&self) {
        let mut filler = OpenOptions::new();
        let filler = filler.create(true).append(true);
        let mut filler = filler.open(self.0.join("filler")).unwrap();
        let mut bytes = vec![0x5a; 1 << 20];
        while !bytes.is_empty() {
            if filler.write_all(&bytes).is_err() {
                bytes.truncate(bytes.len() / 2);
            }
        }
    }

    pub fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }

    /// Makes all the files that can be made.
    pub fn fill_files(&self) {
        let dir = self.0.join("fillers");
        if std::fs::create_dir_all(&dir).is_err() {
            return;
        }
        let from = std::fs::read_dir(&dir).unwrap().count();
        let mut numbers = from..;
        while numbers.next().is_some_and(|n| {
            OpenOptions::new()
                .create_new(true)
                .write(true)
                .open(dir.join(n.to_string()))
                .is_ok()
        }) {}
    }

    pub fn free_files(&self) {
        std::fs::remove_dir_all(self.0.join("fillers")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

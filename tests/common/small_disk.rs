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
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m,mode=700");
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
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

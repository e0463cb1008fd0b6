//! A disk that is soon full.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::run;

/// A small file system, in memory or with a quota, unmounted on drop.
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
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]);
        ran(mount.arg(at)).then(|| Self(at.to_owned()))
    }

    /// btrfs in the file `image`, of which a quota allows so many megabytes: what statvfs(2) says
    /// to be free is that of the whole disk.
    pub fn with_quota(image: &Path, at: &Path, megabytes: usize) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let file = File::create(image).unwrap();
        file.set_len((megabytes as u64) << 21).unwrap();
        let mut make = Command::new("mkfs.btrfs");
        let mut mount = Command::new("mount");
        mount.args(["-t", "btrfs", "-o", "loop"]);
        if !ran(make.args(["-q", "-m", "single"]).arg(image)) || !ran(mount.arg(image).arg(at)) {
            return None;
        }
        let disk = Self(at.to_owned());
        let btrfs = |args: &[&str]| ran(Command::new("btrfs").args(args).arg(at));
        let limit = format!("{megabytes}M");
        (btrfs(&["quota", "enable"]) && btrfs(&["qgroup", "limit", &limit])).then_some(disk)
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

    /// Takes room until so many megabytes are left.
    pub fn leave(&self, megabytes: u64) {
        let room = rustix::fs::statvfs(&self.0).unwrap();
        let free_bytes = room.f_bavail * room.f_frsize;
        let taken_bytes = free_bytes.checked_sub(megabytes << 20).unwrap();
        let filler = File::create(self.0.join("filler")).unwrap();
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(filler, flags, 0, taken_bytes).unwrap();
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

/// Whether it ended well; the reason is printed where it did not.
fn ran(command: &mut Command) -> bool {
    let ran = run(command);
    if let Err(why) = &ran {
        eprintln!("skipped: {why}");
    }
    ran.is_ok()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

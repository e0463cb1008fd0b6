//! Disks that are full by a quota, or by the number of their files.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Command;

use crate::support::small_disk::{SmallDisk, ran};

impl SmallDisk {
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
        let disk = Self { at: at.to_owned() };
        let btrfs = |args: &[&str]| ran(Command::new("btrfs").args(args).arg(at));
        let limit = format!("{megabytes}M");
        (btrfs(&["quota", "enable"]) && btrfs(&["qgroup", "limit", &limit])).then_some(disk)
    }

    /// Makes all the files that can be made.
    pub fn fill_files(&self) {
        let dir = self.at.join("fillers");
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
        std::fs::remove_dir_all(self.at.join("fillers")).unwrap();
    }
}

//! A disk of its own whose power can be cut: ext4 in a file, mounted over a loop device.
//!
//! The cut is the ioctl by which file systems are tested: from then on every write fails, and
//! what was not committed to the device is gone, as the file system's journal is not flushed.
//! Who runs on meanwhile may be told that a sync that was under way has succeeded, which has not;
//! without power nobody runs on, so processes are frozen first. Needs root; where it cannot be had, the reason is printed and nothing is tested.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::DEADLINE;
use crate::support::small_disk::run;

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, once there is a line to read.
const CUT: &str = "
import fcntl, os, struct, sys
disk = os.open(sys.argv[1], os.O_RDONLY)
print('armed', flush=True)
if sys.stdin.readline():
    fcntl.ioctl(disk, 0x8004587D, struct.pack('I', 2))
";

/// A mounted file system; unmounted on drop.
pub struct LoopDisk {
    image: PathBuf,
    at: PathBuf,
}

impl LoopDisk {
    /// Makes the disk in the file `image` and mounts it. `None`, with the reason printed, where
    /// this machine does not let us.
    pub fn make(image: &Path, at: &Path, megabytes: u64) -> Option<Self> {
        Self::make_with(image, at, megabytes, &[])
    }

    /// The same, with options of `mkfs.ext4`.
    pub fn make_with(image: &Path, at: &Path, megabytes: u64, options: &[&str]) -> Option<Self> {
        let file = std::fs::File::create(image).unwrap();
        file.set_len(megabytes << 20).unwrap();
        std::fs::create_dir_all(at).unwrap();
        let made = run(Command::new("mkfs.ext4").arg("-q").args(options).arg(image))
            .and_then(|()| run(Command::new("python3").args(["-c", "import fcntl"])));
        let disk = Self {
            image: image.to_owned(),
            at: at.to_owned(),
        };
        match made.and_then(|()| disk.mount("defaults")) {
            Ok(()) => Some(disk),
            Err(why) => {
                eprintln!("SKIPPED, nothing was tested: no disk on a loop device: {why}");
                None
            }
        }
    }

    fn mount(&self, options: &str) -> Result<(), String> {
        let options = format!("loop,{options}");
        let mut mount = Command::new("mount");
        run(mount
            .args(["-t", "ext4", "-o", &options])
            .args([&self.image, &self.at]))
    }

    fn unmount(&self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.at))
    }

    /// Takes the disk to another machine and back: to a copy of its image, as a whole.
    pub fn reimage(&mut self, image: &Path) {
        self.unmount_in_time();
        std::fs::copy(&self.image, image).unwrap();
        self.image = image.to_owned();
        self.mount("defaults").unwrap();
    }

    /// Everything that is needed to cut the power without delay.
    pub fn fuse(&self) -> Fuse {
        let mut child = Command::new("python3")
            .args(["-c", CUT])
            .arg(&self.at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 6];
        let armed = child.stdout.as_mut().unwrap();
        std::io::Read::read_exact(armed, &mut line).expect("the fuse is armed");
        Fuse(child)
    }

    /// The power comes back. Whoever had files open on the disk is gone by now.
    pub fn power_up(&self, options: &str) {
        self.unmount_in_time();
        let mounted = self.mount(options);
        mounted.expect("the file system recovers");
    }

    fn unmount_in_time(&self) {
        let end = Instant::now() + DEADLINE;
        // What a killed process had open is closed a moment later.
        while let Err(why) = self.unmount() {
            assert!(Instant::now() < end, "{why}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            // Whatever still stands on it: the loop device goes with its last user.
            let _ = run(Command::new("umount").arg("--lazy").arg(&self.at));
        }
    }
}

/// Cuts the power, once.
pub struct Fuse(Child);

impl Fuse {
    /// Stops all threads of a process where they are, and then nothing reaches the disk.
    pub fn blow(self, process: u32) {
        freeze(process);
        self.cut();
    }

    /// From now on nothing reaches the disk; who runs on gets errors.
    pub fn cut(mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the power was not cut: {status}");
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stops all threads of a process; each is stopped, or is in a system call that never returns.
fn freeze(process: u32) {
    let pid = Pid::from_raw(process.cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let end = Instant::now() + DEADLINE;
    let stopped = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        // A thread that has ended meanwhile has no state.
        state.is_empty() || state.starts_with(['T', 'D', 'Z', 'X'])
    };
    let tasks = || std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    while !tasks().flatten().all(stopped) {
        assert!(Instant::now() < end, "it does not stop");
    }
}

//! A disk that is soon full.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, unmounted on drop.
pub struct SmallDisk {
    pub at: PathBuf,
}

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
        ran(mount.arg(at)).then(|| Self { at: at.to_owned() })
    }

    /// Takes all the room there is now.
    pub fn fill(&self) {
        let mut filler = OpenOptions::new();
        let filler = filler.create(true).append(true);
        let mut filler = filler.open(self.at.join("filler")).unwrap();
        let mut bytes = vec![0x5a; 1 << 20];
        while !bytes.is_empty() {
            if filler.write_all(&bytes).is_err() {
                bytes.truncate(bytes.len() / 2);
            }
        }
    }

    pub fn free(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }
}

/// Runs it to its end; what it says where that is no good one.
pub fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{:?}: {}", command.get_program(), said.trim()))
        }
        Err(error) => Err(format!("{:?}: {error}", command.get_program())),
    }
}

/// Whether it ended well; the reason is printed where it did not.
pub fn ran(command: &mut Command) -> bool {
    let ran = run(command);
    if let Err(why) = &ran {
        eprintln!("skipped: {why}");
    }
    ran.is_ok()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

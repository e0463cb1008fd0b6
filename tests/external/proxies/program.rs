//! A proxy as a child process on a configuration of docs/PROXIES.md.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a proxy may take to end, before it is killed.
const END: Duration = Duration::from_secs(5);

/// The program, where it is installed; what is skipped without it is said.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), tools.into()]);
    let found = dirs.map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed (make proxies)");
    }
    found
}

/// A block of the document: that with this word behind its fence.
pub(crate) fn block(word: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PROXIES.md");
    let document = fs::read_to_string(path).unwrap();
    let fence = format!("\n```{word}\n");
    let (_, rest) = document
        .split_once(&fence)
        .unwrap_or_else(|| panic!("{fence}"));
    let (block, _) = rest.split_once("\n```\n").unwrap();
    format!("{block}\n")
}

/// A configuration in which something is another here.
pub(crate) trait Adapted {
    #[must_use]
    fn with(self, from: &str, to: &str) -> Self;
}

impl Adapted for String {
    #[track_caller]
    fn with(self, from: &str, to: &str) -> Self {
        assert!(self.contains(from), "no {from:?} in:\n{self}");
        self.replace(from, to)
    }
}

/// A directory that also a proxy reads that gives up being root.
pub(crate) fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// A running proxy with its workers, a process group of their own.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    /// What stands in front of it.
    front: Option<Box<Program>>,
}

impl Program {
    /// Starts it in `dir`; what it says goes into a file there.
    pub(crate) fn start(program: &Path, args: &[&str], dir: &Path) -> Self {
        let log = dir.join(format!("{}.log", program.file_name().unwrap().display()));
        // A proxy that opens it by name writes at its end, too.
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = Command::new(program)
            .args(args)
            .current_dir(dir)
            .env("HOME", dir)
            .env("XDG_DATA_HOME", dir)
            .env("XDG_CONFIG_HOME", dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            child,
            log,
            front: None,
        }
    }

    /// With another in front, which ends with it.
    #[must_use]
    pub(crate) fn behind(mut self, front: Self) -> Self {
        self.front = Some(Box::new(front));
        self
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.front.take());
        if std::thread::panicking() {
            eprintln!("--- the proxy's log:\n{}", self.log());
        }
        let group = Pid::from_child(&self.child);
        // It may have ended.
        let _ = kill_process_group(group, Signal::TERM);
        let until = Instant::now() + END;
        while self.child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Workers, too, that still had a connection.
        let _ = kill_process_group(group, Signal::KILL);
        self.child.wait().unwrap();
    }
}

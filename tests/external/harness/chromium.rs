//! A headless Chromium on a profile of its own, no network but loopback: with one page that is given
//! as its text, or for [`Devtools`] to drive.
//!
//! Nothing of it outlives its value, nor the test's process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::devtools::Devtools;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // A name that somebody has led to this machine.
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
    // It knows nothing of the generated CA.
    "--ignore-certificate-errors",
    // The page's console goes to standard error.
    "--enable-logging=stderr",
    // Ends the browser when its standard input ends, as it does with the test's process.
    "--remote-debugging-pipe",
];

/// How long a browser may take to start, on a machine that does much else.
const OPEN_WITHIN: Duration = Duration::from_secs(60);

/// How long a killed browser may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// The program to start: `$CHROMIUM`, or what `PATH` has.
///
/// Where there is none the test is skipped, except in CI, where it fails.
pub fn find() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("CHROMIUM") {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = NAMES.iter().find_map(|name| {
        let mut places = std::env::split_paths(&path).map(|place| place.join(name));
        places.find(|program| program.is_file())
    });
    if found.is_none() {
        let how = "none of chromium, chromium-browser and google-chrome is in PATH: \
                   `apt-get install chromium`, or set CHROMIUM to the program";
        assert!(std::env::var_os("CI").is_none(), "no browser: {how}");
        eprintln!("SKIPPED, nothing was tested: {how}");
    }
    found
}

/// A running browser; killed on drop, with every process it started.
pub struct Browser {
    child: Child,
    group: Pid,
    profile: TempDir,
}

impl Browser {
    /// Opens this page, given as its text.
    pub fn open(program: &Path, page: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let file = profile.path().join("page.html");
        fs::write(&file, page).unwrap();
        let address = format!("file://{}", file.display());
        Self::start(program, profile, &address)
    }

    /// One without a page, to be driven.
    pub fn driven(program: &Path) -> (Self, Devtools) {
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self::start(program, profile, "about:blank");
        let pipe = (browser.child.stdin.take(), browser.child.stdout.take());
        let devtools = Devtools::over(pipe.0.unwrap(), pipe.1.unwrap());
        (browser, devtools)
    }

    fn start(program: &Path, profile: TempDir, address: &str) -> Self {
        let log = File::create(profile.path().join("log")).unwrap();
        // The pipe's ends are the file descriptors 3 and 4.
        let child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 1>&2"#, "sh"])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(address)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let group = Pid::from_child(&child);
        Self {
            child,
            group,
            profile,
        }
    }

    /// Waits until the page has written these words to its console.
    pub async fn says(&self, words: &str) {
        let end = Instant::now() + OPEN_WITHIN;
        while !self.console().contains(words) {
            let log = fs::read_to_string(self.profile.path().join("log"));
            assert!(
                Instant::now() < end,
                "the page does not say {words:?}: {log:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL for all of its processes at once.
    pub fn kill(self) {
        drop(self);
    }

    /// Whether a process of its group still runs; one that waits to be reaped does not.
    fn runs(&self) -> bool {
        let group = self.group.as_raw_nonzero().to_string();
        let processes = fs::read_dir("/proc").unwrap();
        let stats =
            processes.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        // pid (name) state parent group …
        stats
            .filter_map(|stat| Some(stat.rsplit_once(") ")?.1.to_owned()))
            .any(|stat| {
                let fields: Vec<_> = stat.split(' ').collect();
                fields[0] != "Z" && fields[2] == group
            })
    }

    /// What the page wrote to its console.
    pub fn console(&self) -> String {
        let log = fs::read(self.profile.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .collect();
        lines.join("\n")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the page's console:\n{}", self.console());
        }
        // Fails only where nothing of the group is left.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
        let end = Instant::now() + GONE_WITHIN;
        while self.runs() {
            if Instant::now() > end {
                eprintln!("processes of the browser's group {:?} are left", self.group);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

//! Files that do not answer: who opens one, or reads it, waits.
//!
//! A write lease (fcntl(2)) does that to a file of this machine, for up to 45 s; a pipe into which nobody writes does
//! it for as long as the test wants.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::bare::{Bare, free_port};
use crate::support::{Home, Options, Server, until};

const LEASE: &str = "
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, lambda *_: print('wanted', flush=True))
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
while True:
    time.sleep(60)
";

/// A file that nobody else can open; given up when dropped.
struct Lease {
    holder: Child,
    lines: BufReader<ChildStdout>,
}

impl Lease {
    async fn of(file: &Path) -> Self {
        // Somebody may have it open at this moment.
        until("a lease", || async {
            let mut command = Command::new("python3");
            command.args(["-c", LEASE]).arg(file);
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            let mut holder = command.spawn().unwrap();
            let lines = BufReader::new(holder.stdout.take().unwrap());
            let mut lease = Self { holder, lines };
            (lease.line() == "held").then_some(lease)
        })
        .await
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Returns once somebody waits for the file.
    async fn until_wanted(mut self) -> Self {
        let waiting = tokio::task::spawn_blocking(move || {
            assert_eq!(self.line(), "wanted");
            self
        });
        waiting.await.unwrap()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_hang_hold_up_neither_logins_nor_reads_nor_the_end() {
    let mut server = Server::start().await;
    let lease = Lease::of(&server.home.certs().join("cert.pem")).await;
    // The server's own look at its files.
    let lease = lease.until_wanted().await;
    // More than there are threads that read the store.
    for reloads in 1..=10 {
        server.signal(Signal::HUP);
        until("the reload", || async {
            let log = server.stderr();
            let said = log.matches("the settings have been read again").count();
            (said >= reloads).then_some(())
        })
        .await;
    }
    for n in 0..10 {
        server.user(&format!("u{n}")).await;
        server.mailbox("u1").await;
    }
    assert!(!server.stderr().contains("certificates have been read"));
    server.stop().await;
    drop(lease);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_found_them_hanging_is_done_when_they_answer() {
    let mut server = Server::start().await;
    let lease = Lease::of(&server.home.certs().join("cert.pem")).await;
    let lease = lease.until_wanted().await;
    server.signal(Signal::HUP);
    until("the reload", || async {
        let log = server.stderr();
        log.contains("the settings have been read again")
            .then_some(())
    })
    .await;
    drop(lease);
    until("the certificates", || async {
        let log = server.stderr();
        log.contains("the certificates have been read again")
            .then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_its_certificates_obeys() {
    let mut server = Server::start().await;
    server.stop().await;
    let home: &Home = &server.home;
    for signal in [Signal::TERM, Signal::INT] {
        let lease = Lease::of(&home.certs().join("cert.pem")).await;
        let mut command = home.serve_command(&Options::new());
        let bare = Bare::spawn(command.stderr(Stdio::null()), free_port());
        let lease = lease.until_wanted().await;
        bare.signal(signal);
        assert_eq!(bare.code().await, Some(0), "{signal:?}");
        drop(lease);
    }
}

/// A pipe in a file's place.
struct Silent(PathBuf);

impl Silent {
    fn at(file: PathBuf) -> Self {
        let new = file.with_extension("pipe");
        mknodat(CWD, &new, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::fs::rename(new, &file).unwrap();
        Self(file)
    }

    /// Returns once somebody reads it, and waits for as long as what this returns is there.
    async fn until_read(&self) -> File {
        until("a reader", || async {
            let writer = open(&self.0, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
            writer.ok().map(File::from)
        })
        .await
    }
}

#[tokio::test]
async fn settings_that_hang_hold_up_neither_logins_nor_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Arc::new(Home::new());
        let settings = home.write("settings.toml", "");
        let options = Options::new().args(&["--config", settings.to_str().unwrap()]);
        let mut server = Server::at(home, options).await;
        let silent = Silent::at(settings);
        server.signal(Signal::HUP);
        let writer = silent.until_read().await;
        // No thread more for each.
        server.signal(Signal::HUP);
        server.user("u1").await;
        server.mailbox("u1").await;
        server.signal(signal);
        assert_eq!(server.ended().await, Some(0), "{}", server.stderr());
        drop(writer);
    }
}

#[tokio::test]
async fn a_reload_that_found_settings_hanging_is_done_when_they_answer() {
    let home = Arc::new(Home::new());
    let settings = home.write("settings.toml", "");
    let options = Options::new().args(&["--config", settings.to_str().unwrap()]);
    let mut server = Server::at(home, options).await;
    let silent = Silent::at(settings);
    server.signal(Signal::HUP);
    drop(silent.until_read().await);
    server.says("the settings have been read again").await;
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_waits_for_its_settings_obeys() {
    let home = Home::new();
    let silent = Silent::at(home.path("settings.toml"));
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = home.serve_command(&Options::new().args(&["--config", "settings.toml"]));
        let bare = Bare::spawn(command.stderr(Stdio::null()), free_port());
        let writer = silent.until_read().await;
        // What would kill it by default is for later.
        bare.signal(Signal::HUP);
        bare.signal(signal);
        assert_eq!(bare.code().await, Some(0), "{signal:?}");
        drop(writer);
    }
}

/// As in a container without an init: process 1 gets only signals that it handles.
#[tokio::test]
async fn process_1_obeys_while_it_waits_for_its_settings() {
    let apart = ["-pf", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare").args(apart).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: no other PID namespace can be made here (unshare)");
        return;
    }
    let home = Home::new();
    let silent = Silent::at(home.path("settings.toml"));
    for signal in [Signal::TERM, Signal::INT] {
        let serve = home.serve_command(&Options::new().args(&["--config", "settings.toml"]));
        let mut command = Command::new("unshare");
        command.args(apart).arg(serve.get_program());
        command.args(serve.get_args()).current_dir(home.path(""));
        let bare = Bare::spawn(command.stderr(Stdio::null()), free_port());
        let writer = silent.until_read().await;
        let id = bare.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let server = children.unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(server).unwrap(), signal).unwrap();
        assert_eq!(bare.code().await, Some(0), "{signal:?}");
        drop(writer);
    }
}

/// The retention is noted in a file that hangs, by a thread that the end waits for.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_no_signal_and_a_second_one_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let mut server = Server::with(Options::new().file("retention = \"30d\"\n")).await;
        let mut sender = server.user("u1").await;
        sender
            .send(&json!({"toId": "u2", "type": 10, "content": "before", "clientMsgId": "1"}))
            .await;
        sender.ack("1").await;
        let hanging = server.home.write("data/retention.applied.new", "");
        let lease = Lease::of(&hanging).await;
        let settings = "data/relaybox.toml";
        server.home.write(settings, "retention = \"40d\"\n");
        server.signal(Signal::HUP);
        let lease = lease.until_wanted().await;
        let text = "retention = \"50d\"\ncache_bytes = \"5MiB\"\n";
        server.home.write(settings, text);
        server.signal(Signal::HUP);
        server.says("setting cache_bytes has changed").await;
        server.signal(Signal::TERM);
        server.says("stopping").await;
        server.signal(second);
        assert_eq!(server.ended().await, Some(1), "{}", server.stderr());
        let log = server.stderr();
        let why = log.lines().find(|line| line.contains("a second signal"));
        assert!(why.is_some_and(|why| why.contains("ERROR")), "{log}");
        drop(lease);
        server.spawn().await;
        assert_eq!(server.mailbox("u2").await.len(), 1);
        server.stop().await;
    }
}

//! The certificates stand on a file system that does not answer: who opens one waits.
//!
//! A write lease (fcntl(2)) does that to a file of this machine, for up to 45 s.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::Signal;

use crate::bare::{Bare, free_port};
use crate::common::{Home, Options, Server, until};

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

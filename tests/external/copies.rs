//! A plain copy of a running server's data directory, made while it does all that it ever does,
//! holds everything that was acknowledged before the copy began.
//!
//! `RELAYBOX_TEST_SEED=` replays, `RELAYBOX_TEST_ROUNDS=` is the number of copies.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Instant;

use crate::harness::eraser::Eraser;
use crate::support::brief::{self, Brief};
use crate::support::journal::{open, segments, send};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::random::{self, Random};
use crate::support::{DEADLINE, Home, Options, Server, until};

const ROUNDS: u64 = 10;
const SENDERS: usize = 16;
const MAILBOXES: usize = 24;
const UP_MS_MAX: usize = 300;

/// So small that during a copy there are flushes, new segments and compressions.
const OPTIONS: [&str; 8] = [
    "--plain",
    "127.0.0.1:0",
    "--tail-bytes-max",
    "1MiB",
    "--segment-bytes",
    "1MiB",
    "--cache-bytes",
    "1MiB",
];

fn options() -> Options {
    brief::options(Options::new().args(&OPTIONS)).env("RELAYBOX_LOG", "info")
}

/// Copies a directory to one that does not exist.
type Copy = fn(&Path, &Path) -> Output;

fn cp(from: &Path, to: &Path) -> Output {
    let mut command = Command::new("cp");
    command.arg("-a").arg(from).arg(to).output().unwrap()
}

/// Copies what is new into a mirror that is there from the last time, and that to its place.
fn rsync(from: &Path, to: &Path) -> Output {
    let mut command = Command::new("rsync");
    let mirror = from.with_extension("mirror");
    let output = command.arg("-a").arg(from.join("")).arg(&mirror).output();
    assert!(cp(&mirror, to).status.success());
    output.unwrap()
}

/// As a tool that leaves out what changes while it is copied (rclone does), and says so with an exit
/// code that nobody looks at.
fn all_but_what_changes(from: &Path, to: &Path) -> Output {
    let output = cp(from, to);
    let newest = segments(to).pop().unwrap();
    std::fs::remove_file(newest).unwrap();
    output
}

/// As a tool that reads `journal` before `db`, and is slow.
fn journal_first(from: &Path, to: &Path) -> Output {
    std::fs::create_dir(to).unwrap();
    let outputs = ["journal", "VERSION"].map(|name| cp(&from.join(name), &to.join(name)));
    let state = || std::fs::read(from.join("db.state")).unwrap();
    let (before, end) = (state(), Instant::now() + DEADLINE);
    while state() == before {
        assert!(Instant::now() < end, "no flush was made");
        std::thread::yield_now();
    }
    for name in ["db", "db.state"] {
        let output = cp(&from.join(name), &to.join(name));
        assert!(succeeded(&output), "{output:?}");
    }
    let [journal, _] = outputs;
    journal
}

/// What it says where a file is gone that was there a moment before, and nothing else is wrong.
fn succeeded(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    let gone = |line: &str| line.contains("No such file") || line.contains("vanished");
    output.status.success() || said.lines().all(gone)
}

async fn copies_are_whole(copy: Copy) {
    let mut random = Random::new(random::seed());
    let server = Server::with(options()).await;
    let ledger = Ledger::new(SENDERS, MAILBOXES);
    let mut brief = Brief::new();
    for round in 0..random::rounds(ROUNDS) {
        brief.start(&server, &random.fork(round));
        let eraser = Eraser::start(&server, &ledger, random.fork(1000 + round));
        let load = Load::start(&server, &ledger, 0, &random.fork(round));
        load.acknowledged(1).await;
        tokio::time::sleep(random.millis(UP_MS_MAX)).await;
        let home = Arc::new(Home::new());
        let (from, to) = (server.home.data(), home.data());
        let acknowledged = ledger.acknowledged();
        let output = tokio::task::spawn_blocking(move || copy(&from, &to));
        let output = output.await.unwrap();
        assert!(succeeded(&output), "round {round}: {output:?}");
        // It has gone on at full speed all the time; from here on it would only take long.
        load.end().await;
        brief.end().await;
        eraser.end().await;
        let mut copied = Server::at(home, options()).await;
        copied.excuse_index();
        let stored = ledger.audit(&copied, &acknowledged).await;
        eprintln!(
            "round {round}: {} sends acknowledged before, {} messages in the copy",
            acknowledged.ids.iter().flatten().flatten().count(),
            stored.iter().map(Vec::len).sum::<usize>(),
        );
    }
    ledger.audit(&server, &ledger.acknowledged()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_by_cp_is_whole() {
    copies_are_whole(cp).await;
}

fn is_compressed(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// A sealed segment shows by its compression that something came behind it.
#[test]
fn what_could_not_be_compressed_is_tried_again() {
    let home = Home::new();
    let store = open(&home.data());
    let first = segments(&home.data()).remove(0);
    let in_the_way = first.with_extension("log.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let mut sent = 0;
    let mut send_until = |segment: usize| {
        while segments(&home.data()).len() < segment {
            send(&store, sent..sent + 10);
            sent += 10;
        }
    };
    let end = Instant::now() + DEADLINE;
    let wait = |path: &Path| {
        while !is_compressed(path) {
            assert!(Instant::now() < end, "{} is not compressed", path.display());
            std::thread::yield_now();
        }
    };
    send_until(3);
    // They are done in order.
    wait(&segments(&home.data())[1]);
    assert!(!is_compressed(&first), "nothing was in the way");
    std::fs::remove_dir(in_the_way).unwrap();
    send_until(4);
    wait(&first);
    store.close();
}

/// Where there is no rsync the test is skipped, except in CI, where it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_by_rsync_is_whole() {
    if Command::new("rsync").arg("--version").output().is_err() {
        let how = "there is no rsync in PATH: `apt-get install rsync`";
        assert!(std::env::var_os("CI").is_none(), "{how}");
        eprintln!("SKIPPED, nothing was tested: {how}");
        return;
    }
    copies_are_whole(rsync).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_has_the_journal_before_the_index_is_whole() {
    copies_are_whole(journal_first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_what_changed_is_noticed() {
    let random = Random::new(random::seed());
    let server = Server::with(options()).await;
    let ledger = Ledger::new(SENDERS, MAILBOXES);
    let load = Load::start(&server, &ledger, 0, &random);
    until("sealed segments", async || {
        (segments(&server.home.data()).len() > 2).then_some(())
    })
    .await;
    load.end().await;
    until("compression", async || {
        let mut sealed = segments(&server.home.data());
        sealed.pop();
        sealed.iter().all(|path| is_compressed(path)).then_some(())
    })
    .await;
    let home = Arc::new(Home::new());
    let (from, to) = (server.home.data(), home.data());
    let copying = tokio::task::spawn_blocking(move || all_but_what_changes(&from, &to));
    assert!(succeeded(&copying.await.unwrap()));
    let told = home.cli(&["check"]).await;
    told.failure(3, &["what came last may be missing"]);
    assert!(
        told.stdout.contains("the newest segment is sealed"),
        "{told:?}"
    );
    let copied = Server::at(home, options()).await;
    let log = copied.stderr();
    assert!(log.contains("the newest segment is sealed"), "{log}");
}

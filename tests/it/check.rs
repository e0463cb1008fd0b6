//! Damage to the files of a stopped server: `check` names it, `serve` never serves it, and
//! `check --repair` keeps everything that can be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use crate::support::journal::{self, flip, make, number, open, segments, send};
use crate::support::{Home, Options, Outcome, Server, until};
use rustix::process::{Pid, Signal, kill_process};

const MESSAGES: u64 = 500;

/// What a damage does.
struct Case {
    name: &'static str,
    /// Does the damage; the file names that `check` must tell.
    damage: fn(&Path, &Path) -> Vec<String>,
    /// At most so many messages may be lost.
    lost_max: u64,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// More than a segment's messages.
const SEGMENT: u64 = 100;

const CASES: [Case; 14] = [
    Case {
        name: "a flipped byte in a compressed segment",
        damage: |dir, _| {
            let path = &segments(dir)[2];
            flip(path, fs::metadata(path).unwrap().len() as usize / 2);
            vec![name(path)]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "a flipped byte in the header of a compressed segment",
        damage: |dir, _| {
            flip(&segments(dir)[2], 0);
            vec![name(&segments(dir)[2])]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "a flipped byte in the open segment",
        damage: |dir, _| {
            let path = segments(dir).pop().unwrap();
            flip(&path, 300);
            vec![name(&path)]
        },
        lost_max: 1,
    },
    Case {
        name: "flipped bytes in two segments",
        damage: |dir, _| {
            let (sealed, open) = (segments(dir)[1].clone(), segments(dir).pop().unwrap());
            let length = fs::metadata(&sealed).unwrap().len() as usize;
            flip(&sealed, length - 1);
            flip(&open, 300);
            vec![name(&sealed), name(&open)]
        },
        lost_max: 1,
    },
    Case {
        name: "a flipped byte in the header of the open segment",
        damage: |dir, _| {
            let path = segments(dir).pop().unwrap();
            flip(&path, 20);
            vec![name(&path)]
        },
        lost_max: 0,
    },
    Case {
        name: "a missing segment",
        damage: |dir, _| {
            fs::remove_file(&segments(dir)[2]).unwrap();
            vec!["number 3 is missing".to_owned()]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "a missing first segment",
        damage: |dir, _| {
            fs::remove_file(&segments(dir)[0]).unwrap();
            vec!["number 1 is missing".to_owned()]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "an empty file",
        damage: |dir, _| {
            fs::write(&segments(dir)[2], "").unwrap();
            vec![name(&segments(dir)[2])]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "two swapped files",
        damage: |dir, _| {
            let (one, two) = (segments(dir)[1].clone(), segments(dir)[2].clone());
            let aside = dir.join("aside");
            fs::rename(&one, &aside).unwrap();
            fs::rename(&two, &one).unwrap();
            fs::rename(&aside, &two).unwrap();
            vec![name(&one), name(&two)]
        },
        lost_max: 0,
    },
    Case {
        name: "a file of another directory",
        damage: |dir, other| {
            fs::copy(&segments(other)[2], &segments(dir)[2]).unwrap();
            vec![name(&segments(dir)[2])]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "the first file of another directory",
        damage: |dir, other| {
            fs::copy(&segments(other)[0], &segments(dir)[0]).unwrap();
            vec![name(&segments(dir)[0])]
        },
        lost_max: SEGMENT,
    },
    Case {
        name: "a second file with the same number",
        damage: |dir, _| {
            let twice = dir.join("journal/00000003-77.log");
            fs::copy(&segments(dir)[2], &twice).unwrap();
            vec!["another segment with the number 3".to_owned()]
        },
        lost_max: 0,
    },
    Case {
        name: "a compressed segment cut short",
        damage: |dir, _| {
            let path = &segments(dir)[2];
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() * 9 / 10]).unwrap();
            vec![name(path)]
        },
        lost_max: SEGMENT / 2,
    },
    Case {
        name: "rubbish behind a compressed segment",
        damage: |dir, _| {
            let path = &segments(dir)[2];
            let bytes = [fs::read(path).unwrap(), b"rubbish".repeat(9)].concat();
            fs::write(path, bytes).unwrap();
            vec![name(path)]
        },
        lost_max: 0,
    },
];

/// Every message that is served, and whether all is as it was sent.
async fn served(server: &Server) -> Vec<u64> {
    let numbers: Vec<_> = server.mailbox("box").await.iter().map(number).collect();
    assert!(
        numbers.is_sorted_by(|one, other| one < other),
        "{numbers:?}"
    );
    numbers
}

async fn check(home: &Home, args: &[&str]) -> Outcome {
    home.cli(&[&["check"], args].concat()).await
}

#[tokio::test]
async fn damage_is_named_never_served_and_mended() {
    let (one, other) = (Home::new(), Home::new());
    make(&one.data(), MESSAGES);
    make(&other.data(), MESSAGES + 100);
    assert!(segments(&one.data()).len() > 4, "too few segments");
    for case in CASES {
        println!("{}", case.name);
        let home = Arc::new(Home::new());
        copy(&one.data(), &home.data());
        let whole = check(&home, &[]).await.success();
        assert!(whole.contains("500 messages"), "{whole}");
        let names = (case.damage)(&home.data(), &other.data());
        let found = check(&home, &[]).await;
        found.failure(1, &["damaged"]);
        for name in names {
            assert!(
                found.stdout.contains(&name),
                "{}: no {name}: {found:?}",
                case.name
            );
        }
        let refusal = home.serve_fails(&Options::new()).await;
        refusal.failure(1, &["damaged at byte"]);

        let before = files(&home.data().join("journal"));
        let repaired = check(&home, &["--repair"]).await;
        assert_eq!(repaired.code, Some(0), "{}: {repaired:?}", case.name);
        let aside = files(&home.data().join("journal.damaged-1"));
        let after = files(&home.data().join("journal"));
        for bytes in before {
            let kept = after.contains(&bytes) || aside.contains(&bytes);
            assert!(kept, "{}: bytes were destroyed", case.name);
        }
        let again = check(&home, &[]).await.success();
        assert!(again.contains("is whole"), "{again}");
        let mut server = Server::at(home.clone(), Options::new()).await;
        let numbers = served(&server).await;
        let lost = MESSAGES - numbers.len() as u64;
        assert!(
            lost <= case.lost_max,
            "{}: {lost} lost: {repaired:?}",
            case.name
        );
        assert!(numbers.iter().all(|n| *n < MESSAGES));
        assert_eq!(
            lost > 0,
            repaired.stdout.contains("lost: frame"),
            "{repaired:?}"
        );
        // It takes new ones, and all of it is whole again.
        server.user("u1").await.say_acked("other", "new").await;
        server.restart().await;
        assert_eq!(served(&server).await, numbers);
        server.stop().await;
        check(&home, &[]).await.success();
    }
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .map(|e| fs::read(e.unwrap().path()).unwrap())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_torn_end_is_no_damage() {
    let home = Arc::new(Home::new());
    let store = open(&home.data());
    send(&store, 0..20);
    // As a kill leaves it: the index has nothing yet.
    drop(store);
    let path = segments(&home.data()).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let told = check(&home, &[]).await.success();
    assert!(told.contains("the next start cuts them off"), "{told}");
    assert!(told.contains("19 messages"), "{told}");
    let server = Server::at(home.clone(), Options::new()).await;
    assert_eq!(served(&server).await.len(), 19);
}

#[tokio::test]
async fn a_damaged_index_is_named_and_made_anew() {
    let home = Arc::new(Home::new());
    make(&home.data(), 50);
    let db = fs::read_dir(home.data().join("db")).unwrap().next();
    let db = db.unwrap().unwrap().path().join("db");
    let size = fs::metadata(&db).unwrap().len() as usize;
    for at in (0..size).step_by(997) {
        flip(&db, at);
    }
    let told = check(&home, &[]).await;
    told.failure(1, &["the index is damaged", "no message is lost"]);
    let mended = check(&home, &["--repair"]).await.success();
    assert!(mended.contains("is made from the journal"), "{mended}");
    let server = Server::at(home.clone(), Options::new()).await;
    assert_eq!(served(&server).await.len(), 50);
}

#[tokio::test]
async fn a_running_server_s_journal_is_checked() {
    let server = Server::start().await;
    server.user("u1").await.say_acked("u2", "hello").await;
    let told = check(&server.home, &[]).await.success();
    assert!(
        told.contains("a server runs") && told.contains("1 message,"),
        "{told}"
    );
    // Damage in what is durable shows, and is not repaired under the server.
    let path = segments(&server.home.data()).pop().unwrap();
    flip(&path, 100);
    let told = check(&server.home, &["--repair"]).await;
    told.failure(1, &["stop the server"]);
    assert!(told.stdout.contains("is damaged at byte 64"), "{told:?}");
    flip(&path, 100);
    check(&server.home, &[]).await.success();
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let home = Home::new();
    make(&home.data(), 50);
    let before = journal::segments(&home.data());
    let bytes: Vec<_> = before.iter().map(|path| fs::read(path).unwrap()).collect();
    let state = fs::read(home.data().join("db.state")).unwrap();
    let told = check(&home, &[]).await.success();
    assert!(told.contains("the index is whole"), "{told}");
    assert_eq!(before, journal::segments(&home.data()));
    for (path, bytes) in before.iter().zip(bytes) {
        assert_eq!(fs::read(path).unwrap(), bytes);
    }
    // Still marked as cleanly closed.
    let after = fs::read(home.data().join("db.state")).unwrap();
    assert_eq!(state.len(), after.len());
}

#[tokio::test]
async fn what_is_no_data_directory_is_refused() {
    let home = Home::new();
    check(&home, &[])
        .await
        .failure(1, &["there is no data directory"]);
    assert!(!home.data().exists(), "it was made");
    home.write("data/VERSION", "2\n");
    check(&home, &[])
        .await
        .failure(1, &["version 2", "only up to 1"]);
    home.write("data/VERSION", "1\n");
    fs::create_dir(home.path("data/journal")).unwrap();
    let told = check(&home, &[]).await;
    told.failure(1, &["damaged"]);
    assert!(told.stdout.contains("its segments are missing"), "{told:?}");
    let told = check(&home, &["--repair"]).await;
    told.failure(1, &["only a backup can help"]);
}

/// A stopped server's directory whose index is not copied to its end: a pipe that nobody writes to
/// stands behind its files. With a directory for temporary files.
async fn endless() -> (Arc<Home>, PathBuf) {
    let home = Arc::new(Home::new());
    let mut server = Server::at(home.clone(), Options::new()).await;
    server.stop().await;
    let index = fs::read_dir(home.data().join("db")).unwrap();
    let pipe = index.last().unwrap().unwrap().path().join("zz");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    fs::create_dir(home.path("temporary")).unwrap();
    (home, pipe)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).unwrap();
    found.map(|entry| entry.unwrap().path()).collect()
}

fn check_in(home: &Home, temporary: &Path) -> Command {
    let mut command = home.bare_command(["check", "--data"]);
    command.arg(home.data()).env("TMPDIR", temporary);
    command
}

/// Begins a check that is at its copy of the index.
async fn begin(home: &Home) -> Child {
    let temporary = home.path("temporary");
    let before = entries(&temporary).len();
    let child = check_in(home, &temporary).spawn().unwrap();
    until("a copy of the index", async || {
        let found = entries(&temporary);
        let copied = found.iter().filter(|copy| copy.join("db").exists());
        (copied.count() > before).then_some(())
    })
    .await;
    child
}

fn signal(child: &Child, signal: Signal) {
    let process = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(process, signal).unwrap();
}

#[tokio::test]
async fn a_signal_ends_a_check_and_its_copy_of_the_index() {
    let (home, _) = endless().await;
    for (signal_, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let child = begin(&home).await;
        signal(&child, signal_);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
        assert_eq!(entries(&home.path("temporary")), [] as [PathBuf; 0]);
    }
}

#[tokio::test]
async fn a_check_removes_the_copies_of_those_that_are_gone() {
    let (home, pipe) = endless().await;
    let temporary = home.path("temporary");
    let mut killed = begin(&home).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = entries(&temporary);
    assert_eq!(left.len(), 1, "{left:?}");
    // Neither what is at work nor what is another's.
    let (other, _) = endless().await;
    let mut at_work = check_in(&other, &temporary).spawn().unwrap();
    until("the first copy to go and one to come", async || {
        let found = entries(&temporary);
        let is_whole = found.len() == 1 && found[0].join("db").exists();
        (is_whole && found != left).then_some(())
    })
    .await;
    let in_use = entries(&temporary);
    fs::write(temporary.join("relaybox-index-1"), "somebody's").unwrap();
    fs::remove_file(pipe).unwrap();
    let whole = home.run(check_in(&home, &temporary)).await.success();
    assert!(whole.contains("the index is whole"), "{whole}");
    assert!(in_use[0].exists());
    assert_eq!(entries(&temporary).len(), 2);
    signal(&at_work, Signal::TERM);
    assert_eq!(at_work.wait().unwrap().code(), Some(143));
    assert!(!in_use[0].exists());
}

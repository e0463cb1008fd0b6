//! `relaybox backup` and `restore`: of a running server under full load, into the same place
//! again, interrupted, onto a full disk, and back.
//!
//! `RELAYBOX_TEST_SEED=` replays, `RELAYBOX_TEST_ROUNDS=` is the number of rounds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::brief::{self, Brief};
use crate::support::journal::{flip, make, number, open, segments, send};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::random::{self, Random};
use crate::support::small_disk::SmallDisk;
use crate::support::{Home, Options, Outcome, PROJECT_TOKEN, Server};

const ROUNDS: u64 = 5;
const SENDERS: usize = 16;
const MAILBOXES: usize = 24;
const UP_MS_MAX: usize = 300;

/// So small that during a backup there are flushes, new segments and compressions.
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

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn backup(home: &Home, dest: &Path) -> Outcome {
    home.cli(&["backup", text(dest)]).await
}

/// A new home with what is restored.
async fn restored(src: &Path) -> Arc<Home> {
    let home = Arc::new(Home::new());
    home.cli(&["restore", text(src)]).await.success();
    home
}

/// The numbers in a stopped data directory, as a server serves them.
async fn served(home: Arc<Home>) -> Vec<u64> {
    let mut server = Server::at(home, Options::new()).await;
    let numbers = server.mailbox("box").await.iter().map(number).collect();
    server.stop().await;
    numbers
}

/// By name: what tells whether a file is still the same.
fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64)> {
    let stamp = |path: PathBuf| {
        let found = fs::metadata(&path).unwrap();
        let stamp = (found.ino(), found.mtime(), found.mtime_nsec(), found.len());
        (path, stamp)
    };
    segments(dir).into_iter().map(stamp).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_of_a_running_server_are_whole() {
    let mut random = Random::new(random::seed());
    let options = || brief::options(Options::new().args(&OPTIONS)).env("RELAYBOX_LOG", "info");
    let server = Server::with(options()).await;
    let ledger = Ledger::new(SENDERS, MAILBOXES);
    let mut brief = Brief::new();
    let place = Home::new();
    let dest = place.path("backup");
    for round in 0..random::rounds(ROUNDS) {
        brief.start(&server, &random.fork(round));
        let load = Load::start(&server, &ledger, 0, &random.fork(round));
        load.acknowledged(1).await;
        tokio::time::sleep(random.millis(UP_MS_MAX)).await;
        let acknowledged = ledger.acknowledged();
        let said = backup(&server.home, &dest).await.success();
        let acks = load.end().await;
        brief.end().await;
        let mut copied = Server::at(restored(&dest).await, options()).await;
        copied.excuse_index();
        ledger.audit(&copied, &acknowledged).await;
        eprintln!(
            "round {round}: {said}; longest time without an acknowledgement: {:?}",
            acks.gap.lock().unwrap().longest
        );
    }
    ledger.audit(&server, &ledger.acknowledged()).await;
}

#[tokio::test]
async fn the_next_backup_copies_only_what_is_new() {
    let home = Home::new();
    make(&home.data(), 350);
    home.write("data/relaybox.toml", "log = \"warn\"\n");
    let dest = home.path("backup");
    let said = backup(&home, &dest).await.success();
    assert!(
        said.contains("350 messages") && said.contains("0 kept"),
        "{said}"
    );
    let first = files(&dest);
    let names: Vec<_> = fs::read_dir(&dest)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(
        fs::read_to_string(dest.join("relaybox.toml")).unwrap(),
        "log = \"warn\"\n"
    );
    for path in segments(&dest) {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&dest).unwrap().mode() & 0o777, 0o700);

    // Nothing is new.
    let said = backup(&home, &dest).await.success();
    assert!(said.starts_with("0 segments copied"), "{said}");
    assert_eq!(files(&dest), first);

    let store = open(&home.data());
    send(&store, 350..700);
    store.close();
    fs::remove_file(home.data().join("relaybox.toml")).unwrap();
    let said = backup(&home, &dest).await.success();
    assert!(said.contains("700 messages"), "{said}");
    let second = files(&dest);
    let same = first
        .iter()
        .filter(|(path, stamp)| second.get(*path) == Some(stamp));
    assert_eq!(
        same.count(),
        first.len() - 1,
        "all but the one that was written on"
    );
    assert!(
        !dest.join("relaybox.toml").exists(),
        "it is gone from the source"
    );

    let back = restored(&dest).await;
    assert_eq!(served(back).await, (0..700).collect::<Vec<_>>());
    home.cli(&["check"]).await.success();
}

#[tokio::test]
async fn a_restored_directory_is_backed_up_into_the_same_place() {
    let home = Home::new();
    make(&home.data(), 100);
    let dest = home.path("backup");
    backup(&home, &dest).await.success();
    let back = restored(&dest).await;
    let said = backup(&back, &dest).await.success();
    assert!(said.contains("100 messages"), "{said}");
    // Both went on: what is only in the backup is not written over.
    for (home, count) in [(&home, 110), (&*back, 130)] {
        let store = open(&home.data());
        send(&store, 100..count);
        store.close();
    }
    backup(&home, &dest).await.success();
    let refused = backup(&back, &dest).await;
    refused.failure(1, &["no earlier backup", "segment"]);
    let again = restored(&dest).await;
    assert_eq!(served(again).await, (0..110).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_interrupted_backup_is_a_beginning_and_the_next_one_completes_it() {
    let mut random = Random::new(random::seed());
    let home = Home::new();
    let dest = home.path("backup");
    let (mut sent, mut whole_before) = (0, 0);
    let mut interrupted = 0;
    for round in 0..random::rounds(12) {
        let store = open(&home.data());
        send(&store, sent..sent + 100);
        sent += 100;
        store.close();
        let mut command = home.bare_command(["backup", text(&dest)]);
        let mut child = command.arg("--data").arg(home.data()).spawn().unwrap();
        std::thread::sleep(random.millis(120));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        if ended.success() {
            whole_before = sent;
        } else {
            interrupted += 1;
        }
        if !dest.join("VERSION").exists() {
            assert_eq!(whole_before, 0);
            continue;
        }
        let checked = home.cli_bare(&["check", text(&dest)]).await;
        if !dest.join("journal").exists() || segments(&dest).is_empty() {
            checked.failure(1, &["relaybox"]);
            continue;
        }
        checked.success();
        let numbers = served(restored(&dest).await).await;
        assert!(
            numbers.len() as u64 >= whole_before,
            "round {round}: {numbers:?}"
        );
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    }
    println!("{interrupted} were interrupted");
    backup(&home, &dest).await.success();
    let checked = home.cli_bare(&["check", text(&dest)]).await.success();
    assert!(!checked.contains("interrupted"), "{checked}");
    assert_eq!(
        served(restored(&dest).await).await,
        (0..sent).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn places_that_are_not_fit_are_refused() {
    let (home, other) = (Home::new(), Home::new());
    make(&home.data(), 60);
    make(&other.data(), 60);
    let dest = home.path("backup");
    backup(&home, &dest).await.success();
    // A first run that was killed at its very beginning left no more than this.
    let begun = home.write("begun/BACKUP.new", "{");
    backup(&home, begun.parent().unwrap()).await.success();
    let before = files(&dest);
    backup(&other, &dest)
        .await
        .failure(1, &["no earlier backup", "another data directory"]);
    assert_eq!(files(&dest), before);

    let inside = [
        home.data(),
        home.data().join("backup"),
        home.path("data/../data/x"),
    ];
    for dest in inside {
        backup(&home, &dest)
            .await
            .failure(1, &["inside the data directory"]);
    }
    let mine = home
        .write("mine/notes.txt", "mine")
        .parent()
        .unwrap()
        .to_owned();
    backup(&home, &mine)
        .await
        .failure(1, &["neither empty nor a backup", "notes.txt"]);
    backup(&home, &other.data())
        .await
        .failure(1, &["neither empty nor a backup"]);
    backup(&home, &mine.join("notes.txt"))
        .await
        .failure(1, &["notes.txt"]);
    backup(&home, &mine.join("notes.txt/x"))
        .await
        .failure(1, &["notes.txt"]);
    assert_eq!(fs::read_to_string(mine.join("notes.txt")).unwrap(), "mine");
    let nowhere = Home::new();
    backup(&nowhere, &dest)
        .await
        .failure(1, &["there is no data directory"]);
    assert!(!nowhere.data().exists());
    // An earlier state of the same directory must not take the place of a later one.
    let earlier = restored(&dest).await;
    let store = open(&home.data());
    send(&store, 60..70);
    store.close();
    backup(&home, &dest).await.success();
    backup(&earlier, &dest)
        .await
        .failure(1, &["no earlier backup"]);
    // A backup that a server was started on is a data directory now.
    let mut server = Server::with(Options::new().without_defaults().args(&[
        "--listen",
        "127.0.0.1:0",
        "--data",
        text(&dest),
    ]))
    .await;
    backup(&home, &dest)
        .await
        .failure(1, &["neither empty nor a backup"]);
    server.kill9().await;
    backup(&home, &dest)
        .await
        .failure(1, &["neither empty nor a backup"]);
}

#[tokio::test]
async fn damage_never_gets_into_a_backup_and_is_mended_there() {
    let home = Home::new();
    make(&home.data(), 350);
    let dest = home.path("backup");
    backup(&home, &dest).await.success();
    let copy = &segments(&dest)[1];
    let right = fs::read(copy).unwrap();
    // A disk forgets: same size, same time.
    let time = fs::metadata(copy).unwrap().modified().unwrap();
    flip(copy, right.len() / 2);
    fs::File::options()
        .write(true)
        .open(copy)
        .unwrap()
        .set_modified(time)
        .unwrap();
    home.cli_bare(&["check", text(&dest)])
        .await
        .failure(1, &["damaged"]);
    let nowhere = home.path("nowhere");
    let refused = home
        .cli_bare(&["restore", text(&dest), "--data", text(&nowhere)])
        .await;
    refused.failure(1, &["the backup is damaged in", "00000002-"]);
    assert!(!nowhere.exists());
    let said = backup(&home, &dest).await.success();
    assert!(said.starts_with("1 segment copied"), "{said}");
    assert_eq!(fs::read(copy).unwrap(), right);

    // The source is damaged, and differs: what is in the backup stays.
    let source = &segments(&home.data())[1];
    flip(source, right.len() / 2);
    let failed = backup(&home, &dest).await;
    failed.failure(1, &["is not complete", text(source), "damaged at byte"]);
    assert_eq!(fs::read(copy).unwrap(), right);
    let told = home.cli_bare(&["check", text(&dest)]).await.success();
    assert!(told.contains("was interrupted"), "{told}");
    let back = Arc::new(Home::new());
    let outcome = back.cli(&["restore", text(&dest)]).await;
    assert!(outcome.stderr.contains("interrupted"), "{outcome:?}");
    assert_eq!(served(back).await, (0..350).collect::<Vec<_>>());

    // The loss of its end shows, too.
    fs::remove_file(segments(&dest).pop().unwrap()).unwrap();
    let told = home.cli_bare(&["check", text(&dest)]).await;
    told.failure(1, &["damaged"]);
    assert!(
        told.stdout.contains("the backup held everything before"),
        "{told:?}"
    );
    let refused = home
        .cli_bare(&["restore", text(&dest), "--data", text(&nowhere)])
        .await;
    refused.failure(1, &["the backup held everything before"]);
}

#[tokio::test]
async fn a_restore_needs_an_empty_place_and_is_done_again_where_it_was_interrupted() {
    let home = Home::new();
    make(&home.data(), 40);
    home.write("data/relaybox.toml", "log = \"warn\"\n");
    let dest = home.path("backup");
    backup(&home, &dest).await.success();

    let restore = async |home: &Home| home.cli(&["restore", text(&dest)]).await;
    restore(&home).await.failure(1, &["is not empty"]);
    let mine = Home::new();
    mine.write("data/notes.txt", "mine");
    restore(&mine)
        .await
        .failure(1, &["is not empty", "notes.txt"]);
    // Settings may be there already, and stay.
    let prepared = Arc::new(Home::new());
    let settings = "types = [77]\n";
    prepared.write("data/relaybox.toml", settings);
    restore(&prepared)
        .await
        .failure(0, &["stays", "another one"]);
    assert_eq!(
        fs::read_to_string(prepared.path("data/relaybox.toml")).unwrap(),
        settings
    );
    assert_eq!(served(prepared).await.len(), 40);
    let running = Server::start().await;
    restore(&running.home).await.failure(1, &["in use"]);
    let from = running.home.data();
    let back = Home::new();
    let refused = back.cli(&["restore", text(&from)]).await;
    refused.failure(1, &["in use by another process"]);
    let refused = back.cli(&["restore", text(&mine.data())]).await;
    refused.failure(1, &["neither a backup nor a copy"]);
    assert!(!back.data().exists(), "something was made");

    // Half of it is no data directory.
    let half = Arc::new(Home::new());
    fs::create_dir_all(half.path("data/journal.restoring")).unwrap();
    fs::copy(
        &segments(&dest)[0],
        half.path("data/journal.restoring/00000001-1.log"),
    )
    .unwrap();
    half.serve_fails(&Options::new())
        .await
        .failure(1, &["restore", "interrupted"]);
    half.cli(&["check"]).await.failure(1, &["interrupted"]);
    backup(&half, &half.path("b"))
        .await
        .failure(1, &["interrupted"]);
    let said = restore(&half).await.success();
    assert!(said.contains("40 messages"), "{said}");
    assert_eq!(served(half).await.len(), 40);

    // A plain copy will do, too; an empty directory as well.
    let copy = home.path("copy");
    let cp = std::process::Command::new("cp")
        .arg("-a")
        .arg(home.data())
        .arg(&copy)
        .status();
    assert!(cp.unwrap().success());
    let back = Arc::new(Home::new());
    fs::create_dir(back.data()).unwrap();
    back.cli(&["restore", text(&copy)]).await.success();
    assert_eq!(served(back).await.len(), 40);

    fs::write(dest.join("VERSION"), "2\n").unwrap();
    let back = Home::new();
    restore(&back)
        .await
        .failure(1, &["version 2", "only up to 1"]);
    backup(&home, &dest).await.failure(1, &["version 2"]);
}

#[tokio::test]
async fn a_kill_in_a_restore_leaves_nothing_that_is_served() {
    let mut random = Random::new(random::seed());
    let home = Home::new();
    make(&home.data(), 400);
    let dest = home.path("backup");
    backup(&home, &dest).await.success();
    for _ in 0..random::rounds(8) {
        let back = Arc::new(Home::new());
        let mut command = back.bare_command(["restore", text(&dest)]);
        let mut child = command.arg("--data").arg(back.data()).spawn().unwrap();
        std::thread::sleep(random.millis(150));
        child.kill().unwrap();
        child.wait().unwrap();
        if back.data().join("journal").exists() {
            assert_eq!(served(back).await.len(), 400);
            continue;
        }
        back.cli(&["restore", text(&dest)]).await.success();
        assert_eq!(served(back).await.len(), 400);
    }
}

#[tokio::test]
async fn a_full_disk_leaves_the_last_backup_and_is_recovered_from() {
    let home = Home::new();
    let Some(disk) = SmallDisk::mount(&home.path("disk"), 4) else {
        return;
    };
    make(&home.data(), 350);
    let dest = home.path("disk/backup");
    backup(&home, &dest).await.success();
    let store = open(&home.data());
    send(&store, 350..700);
    store.close();
    disk.fill();
    let failed = backup(&home, &dest).await;
    failed.failure(1, &["No space left on device", text(&dest)]);
    let names = fs::read_dir(dest.join("journal")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !text(Path::new(&name)).ends_with(".new")));
    home.cli_bare(&["check", text(&dest)]).await.success();
    let numbers = served(restored(&dest).await).await;
    assert!(numbers.len() >= 350, "{}", numbers.len());
    disk.free();
    backup(&home, &dest).await.success();
    assert_eq!(
        served(restored(&dest).await).await,
        (0..700).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_was_erased_does_not_come_back() {
    let options = || Options::new().args(&OPTIONS);
    let server = Server::with(options()).await;
    let mut client = server.user("u1").await;
    for n in 0..20 {
        client.say_acked("kept", &format!("kept {n}")).await;
        client
            .say_acked("erased", &format!("secret-words-{n}"))
            .await;
    }
    let place = Home::new();
    let dest = place.path("backup");
    backup(&server.home, &dest).await.success();
    let bearer = format!("Bearer {}", PROJECT_TOKEN);
    let target = "/message-log?domain=demo&toId=erased";
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(server.request("DELETE", target, &headers).await.status, 204);
    backup(&server.home, &dest).await.success();
    let back = restored(&dest).await;
    let copied = Server::at(back, options()).await;
    assert_eq!(copied.history("erased", "").await["total"], 0);
    assert_eq!(copied.history("kept", "").await["total"], 20);
}

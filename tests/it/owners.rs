//! A data directory stays its owner's, whoever runs a command on it, and commands that only read
//! write nothing: PROTOCOL section 8.
//!
//! Needs root: it is root that may write into anybody's directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Home, Options, Server, tls, until};
use rustix::process::{Signal, geteuid};

/// The user of the server, and one who has nothing to do with it.
const OWNER: u32 = 65_534;
const STRANGER: u32 = 65_533;

fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root may run a command on the directory of another user");
    }
    is_root
}

/// A home that every user may look into.
fn open_home() -> Arc<Home> {
    let home = Home::new();
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home.path(""), all).unwrap();
    Arc::new(home)
}

/// Everything below a directory and itself.
fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    if dir.is_dir() && !dir.is_symlink() {
        for entry in fs::read_dir(dir).unwrap() {
            found.extend(all(&entry.unwrap().path()));
        }
    }
    found
}

fn give(dir: &Path, user: u32) {
    for path in all(dir) {
        chown(path, Some(user), Some(user)).unwrap();
    }
}

/// Whatever tells that somebody has written.
fn state(dir: &Path) -> BTreeMap<PathBuf, String> {
    let look = |path: PathBuf| {
        let found = fs::symlink_metadata(&path).unwrap();
        let times = (
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        );
        let whose = (found.uid(), found.gid(), found.mode());
        (
            path,
            format!("{} {} {times:?} {whose:?}", found.ino(), found.len()),
        )
    };
    all(dir).into_iter().map(look).collect()
}

/// Everything is the owner's alone.
#[track_caller]
fn assert_owned(dir: &Path, after: &str) {
    for path in all(dir) {
        let found = fs::symlink_metadata(&path).unwrap();
        let whose = (found.uid(), found.gid());
        assert_eq!(whose, (OWNER, OWNER), "{} after {after}", path.display());
        let private = if found.is_dir() { 0o700 } else { 0o600 };
        let mode = found.mode() & 0o777;
        assert_eq!(mode, private, "{mode:o} {} after {after}", path.display());
    }
}

/// With an umask that hides nothing.
fn carelessly(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000 && exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// A data directory of the owner's, of a server that was killed.
async fn owned() -> Arc<Home> {
    let home = open_home();
    let mut server = Server::at(home.clone(), Options::new().undeclared()).await;
    server.add_domain("shop").await;
    server.kill9().await;
    drop(server);
    give(&home.data(), OWNER);
    for path in all(&home.data()) {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    home
}

#[tokio::test]
async fn commands_that_only_read_write_nothing() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let backup = home.path("backup").display().to_string();
    let before = state(&home.data());
    let commands: [(&[&str], i32); 8] = [
        (&["domain", "list"], 0),
        (&["token", "--domain", "shop", "--id", "u1"], 0),
        (&["token", "--domain", "none", "--id", "u1"], 1),
        (&["check"], 0),
        (&["backup", &backup], 0),
        (&["stats"], 1),
        (&["sessions"], 1),
        (&["kick", "--domain", "shop", "--id", "u1"], 1),
    ];
    for (args, code) in commands {
        let done = home.cli(args).await;
        assert_eq!(done.code, Some(code), "{args:?}: {done:?}");
        assert_eq!(state(&home.data()), before, "after {args:?}");
    }
    let doctor = home.cli(&["doctor", "--listen", "127.0.0.1:0"]).await;
    assert!(doctor.stdout.contains("data-directory"), "{doctor:?}");
    assert_eq!(state(&home.data()), before, "after doctor");
    let list = home.cli(&["domain", "list"]).await.success();
    assert!(list.contains("shop"), "{list}");
    // A directory that is made for reading would be one, too.
    home.cli_bare(&["domain", "list", "--data", "none"])
        .await
        .failure(
            1,
            &["there is no data directory none", "--data", "RELAYBOX_DATA"],
        );
    assert!(!home.path("none").exists());
}

#[tokio::test]
async fn a_domain_that_begins_a_data_directory_says_so() {
    let home = Home::new();
    for (name, begins) in [("one", true), ("one", false), ("two", true)] {
        let domain = format!("of-{begins}");
        let args = ["domain", "add", &domain, "--data", name];
        let added = home.cli_bare(&args).await;
        assert_eq!(added.code, Some(0), "{added:?}");
        let says = added.stderr.contains("a new data directory was made");
        assert_eq!(says, begins, "{added:?}");
        assert_eq!(added.stderr.contains("RELAYBOX_DATA"), begins);
    }
    fs::create_dir(home.path("empty")).unwrap();
    let args = ["domain", "add", "shop", "--data", "empty"];
    home.cli_bare(&args)
        .await
        .failure(0, &["There were no data in empty"]);
}

#[tokio::test]
async fn a_file_of_another_user_is_told_with_what_helps() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let data = home.data();
    let certs = home.path("certs-of-the-owner");
    fs::create_dir(&certs).unwrap();
    chown(&certs, Some(OWNER), Some(OWNER)).unwrap();
    for name in ["VERSION", "journal"] {
        chown(data.join(name), Some(0), Some(0)).unwrap();
        let mut command = home.bare_command(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(&data).arg("--certs").arg(&certs);
        command.uid(OWNER).gid(OWNER);
        let remedy = format!(
            "it belongs to user 0, but {0} to user {OWNER}: chown -R {OWNER} {0}",
            data.display()
        );
        let refused = home.run(command).await;
        refused.failure(1, &[name, &remedy]);
        chown(data.join(name), Some(OWNER), Some(OWNER)).unwrap();
    }
}

#[tokio::test]
async fn what_root_makes_in_a_directory_is_its_owners() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let data = home.data();
    for args in [
        &["domain", "add", "news"] as &[&str],
        &["domain", "rotate", "news"],
        &["domain", "remove", "news", "--yes"],
    ] {
        let mut command = home.bare_command(args);
        command.arg("--data").arg(&data);
        home.run(carelessly(&command)).await.success();
        assert_owned(&data, &format!("{args:?}"));
    }
    // Damage, and a repair.
    let journal = fs::read_dir(data.join("journal")).unwrap();
    let segment = journal.map(|entry| entry.unwrap().path()).min().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[70] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    let mut command = home.bare_command(["check", "--repair"]);
    command.arg("--data").arg(&data);
    let repaired = home.run(carelessly(&command)).await;
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert!(data.join("journal.damaged-1").exists(), "{repaired:?}");
    assert_owned(&data, "check --repair");
    // The server itself; its certificates are root's, and for everybody to read.
    let mut server = Server::at(home.clone(), Options::new()).await;
    server.cli(&["domain", "add", "more"]).await;
    for path in all(&data) {
        // Some are there for a moment only.
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            assert_eq!(metadata.uid(), OWNER, "{path:?}");
        }
    }
    let modes = ["certs", "certs/ca.pem", "certs/key.pem"].map(|name| home.mode(name));
    assert_eq!(modes, [0o755, 0o644, 0o600]);
    server.stop().await;
    assert_owned(&data, "serve");
    // And the owner's server starts on all of it.
    give(&home.certs(), OWNER);
    let mut command = home.serve_command(&Options::new());
    command.uid(OWNER).gid(OWNER);
    server.spawn_as(command).await;
    server.stop().await;
    assert_owned(&data, "the owner's serve");
}

#[tokio::test]
async fn a_restore_by_root_is_the_owners_whenever_it_is_killed() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let backup = home.path("private/backup");
    let to = backup.display().to_string();
    fs::create_dir(home.path("private")).unwrap();
    home.cli(&["backup", &to]).await.success();
    // Only root may read it.
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(home.path("private"), private).unwrap();
    let place = home.path("place");
    for round in 0..8_u64 {
        fs::create_dir(&place).unwrap();
        chown(&place, Some(OWNER), Some(OWNER)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = home.bare_command(["restore", &to]);
        command.arg("--data").arg(&place);
        let mut child = carelessly(&command).spawn().unwrap();
        if round > 0 {
            // Wherever it is then.
            std::thread::sleep(Duration::from_millis(round * round * 4));
            child.kill().unwrap();
        }
        let ended = child.wait().unwrap();
        assert_owned(&place, &format!("round {round}, {ended}"));
        if round == 0 {
            assert!(ended.success(), "{ended}");
            assert!(place.join("db").is_dir());
        }
        fs::remove_dir_all(&place).unwrap();
    }
    // A backup has an owner as well.
    give(&backup, OWNER);
    home.cli(&["domain", "add", "later"]).await.success();
    home.cli(&["backup", &to]).await.success();
    assert_owned(&backup, "a backup by root");
}

#[tokio::test]
async fn who_cannot_leave_it_to_the_owner_is_refused() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let data = home.data();
    let all_may = fs::Permissions::from_mode(0o777);
    fs::set_permissions(&data, all_may).unwrap();
    // What the killed server left is closed to others.
    fs::remove_file(data.join("relaybox.sock")).unwrap();
    let before: Vec<_> = all(&data);
    let mut command = home.bare_command(["domain", "add", "news"]);
    command.arg("--data").arg(&data).uid(STRANGER).gid(STRANGER);
    let refused = home.run(command).await;
    refused.failure(
        1,
        &[
            "belongs to user 65534",
            "user 65533",
            "run this as that user",
        ],
    );
    assert_eq!(all(&data), before);
    // Not so where the directory is root's, as a container's volume is.
    let volume = home.path("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
    for user in [STRANGER, 0] {
        let name = format!("shop{user}");
        let mut command = home.bare_command(["domain", "add", &name]);
        command.arg("--data").arg(&volume).uid(user).gid(user);
        home.run(command).await.success();
    }
    for path in all(&volume).into_iter().filter(|path| *path != volume) {
        let whose = fs::symlink_metadata(&path).unwrap().uid();
        assert_eq!(whose, STRANGER, "{}", path.display());
    }
}

#[tokio::test]
async fn doctor_finds_another_users_files_wherever_they_are() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let index = fs::read_dir(home.data().join("db")).unwrap();
    let index = index.map(|entry| entry.unwrap().path()).next().unwrap();
    chown(index.join("conf"), Some(0), Some(0)).unwrap();
    let doctor = home.cli(&["doctor", "--listen", "127.0.0.1:0"]).await;
    let words = "/conf belongs to user 0";
    assert!(doctor.stdout.contains(words), "{doctor:?}");
    assert_eq!(doctor.code, Some(1));
}

#[tokio::test]
async fn signals_of_root_reach_a_server_that_has_become_the_owner() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let mut server = Server::at(home.clone(), Options::new()).await;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let users = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    assert_eq!(users.matches("65534").count(), 4, "{users}");
    // Every thread: they were begun afterwards.
    for task in fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains(users), "{status}");
    }
    server.signal(Signal::HUP);
    server.stop().await;
}

#[tokio::test]
async fn where_the_directory_is_roots_its_server_is_known_by_whose_files_are_in_it() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let data = home.data();
    chown(&data, Some(0), Some(0)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let mut server = Server::at(home.clone(), Options::new()).await;
    assert!(server.cli(&["stats"]).await.contains("sessions"));
    server.stop().await;
    // Without a file it has a name that anybody might have taken.
    let socket = data.join("relaybox.sock");
    fs::create_dir_all(&socket).unwrap();
    server.spawn().await;
    server.says("finds the server by a name instead").await;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("Uid:\t65534\t"), "{status}");
    assert!(server.cli(&["stats"]).await.contains("sessions"));
    // Its file is none of its own, and stays.
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await, Some(0));
}

/// Answers as if it were the directory's server, as another user; says what it was asked.
fn stranger(socket: &Path, data: &Path) -> std::thread::JoinHandle<String> {
    let found = fs::metadata(data).unwrap();
    let (device, inode) = (found.dev(), found.ino());
    let (socket, ready) = (socket.to_owned(), std::sync::Barrier::new(2));
    let ready = Arc::new(ready);
    let listens = Arc::clone(&ready);
    let answers = std::thread::spawn(move || {
        // Of this thread alone.
        let user = rustix::process::Uid::from_raw(STRANGER);
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        listens.wait();
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(&stream).read_line(&mut asked).unwrap();
        let site = format!("{{\"answer\":\"site\",\"device\":{device},\"inode\":{inode}}}\n");
        // Whoever has said nothing may be gone.
        let _ = stream.write_all(site.as_bytes());
        asked
    });
    ready.wait();
    answers
}

#[tokio::test]
async fn a_stranger_at_the_socket_is_asked_nothing() {
    if !is_root() {
        return;
    }
    let home = owned().await;
    let shared = home.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let socket = shared.join("a.sock");
    let at = socket.display().to_string();
    let backup = home.path("backup").display().to_string();
    for args in [
        &["stats", "--socket", &at] as &[&str],
        &["token", "--domain", "shop", "--id", "u1", "--socket", &at],
        &["backup", &backup, "--socket", &at],
    ] {
        let answers = stranger(&socket, &home.data());
        let words = ["user 65533 answers at", "nothing was asked"];
        home.cli(args).await.failure(1, &words);
        assert_eq!(answers.join().unwrap(), "", "{args:?}");
        fs::remove_file(&socket).unwrap();
    }
    assert!(!home.path("backup").exists());
}

/// The block of OPERATING.md that begins so, without its fence.
fn printed(begin: &str) -> String {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATING.md");
    let manual = fs::read_to_string(manual).unwrap();
    let fenced = format!("```sh\n{begin}");
    let (_, rest) = manual.split_once(&fenced).expect(begin);
    let (block, _) = rest.split_once("\n```").unwrap();
    format!("{begin}{block}\n")
}

/// certbot's files of a name, for root alone.
fn write_lineage(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::create_dir_all(dir).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    for (name, pem) in [
        ("fullchain.pem", made.cert.pem()),
        ("privkey.pem", made.signing_key.serialize_pem()),
    ] {
        fs::write(dir.join(name), pem).unwrap();
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(dir.join(name), mode).unwrap();
    }
    made.cert.pem()
}

#[tokio::test]
async fn the_hook_for_certbot_serves_a_server_that_is_not_root() {
    if !is_root() {
        return;
    }
    let home = open_home();
    let (lineage, hook) = (home.path("live/chat.example.com"), home.path("hook"));
    let script = printed("#!/bin/sh\n")
        .replace("/var/lib/relaybox/certs", home.certs().to_str().unwrap())
        .replace("user=relaybox", &format!("user={OWNER}"));
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let line = printed("chmod +x ")
        .replace(
            "/etc/letsencrypt/live/chat.example.com",
            lineage.to_str().unwrap(),
        )
        .replace(
            "/etc/letsencrypt/renewal-hooks/deploy/relaybox",
            hook.to_str().unwrap(),
        );
    let run = async |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-ec", line]);
        home.run(shell).await.success();
    };
    // Of another name: nothing is done.
    write_lineage(&lineage);
    run(&line.replacen("chat.example.com", "other.example", 1)).await;
    assert!(!home.certs().exists());

    let first = write_lineage(&lineage);
    run(&line).await;
    let key = fs::metadata(home.certs().join("key.pem")).unwrap();
    assert_eq!((key.uid(), key.mode() & 0o777), (OWNER, 0o600));
    // Started by that user, with none of root's rights.
    for dir in [home.data(), home.path("")] {
        fs::create_dir_all(&dir).unwrap();
        chown(dir, Some(OWNER), Some(OWNER)).unwrap();
    }
    let mut command = home.serve_command(&Options::new());
    command.uid(OWNER).gid(OWNER).stderr(Stdio::piped());
    let mut server = Command::spawn(&mut command).unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let ready = lines
        .map(Result::unwrap)
        .find(|line| line.starts_with("ready "));
    let address = ready.unwrap().split_once("//").unwrap().1.to_owned();
    let is_shown = async |pem: &str| {
        let trusted = home.write("trusted.pem", pem);
        let roots = tls::roots(&trusted);
        tls::connect(&address, "localhost", &roots, None)
            .await
            .is_ok()
    };
    assert!(is_shown(&first).await);

    // Renewed, beside the running server.
    let second = write_lineage(&lineage);
    run(&line).await;
    until("the new certificate", async || {
        is_shown(&second).await.then_some(())
    })
    .await;
    server.kill().unwrap();
    server.wait().unwrap();
}

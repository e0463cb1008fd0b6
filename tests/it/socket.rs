//! The command line reaches its server wherever the socket can be, and says what is so where it
//! can be nowhere: PROTOCOL section 8.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;

use crate::support::{Home, Options, Server};
use rustix::process::Signal;

#[tokio::test]
async fn without_a_socket_in_the_data_directory_there_is_one_without_a_file() {
    let home = Arc::new(Home::new());
    // As on file systems that have none: nothing can take this place.
    let place = home.data().join("relaybox.sock");
    fs::create_dir_all(&place).unwrap();
    let mut server = Server::at(home.clone(), Options::new()).await;
    server.says("finds the server by a name instead").await;
    let stats = server.cli(&["stats"]).await;
    assert!(stats.contains("sessions"), "{stats}");
    server.add_domain("shop").await;
    let doctor = home
        .cli(&["doctor", "--listen", &server.address, "--certs", "certs"])
        .await;
    assert!(
        doctor.stdout.contains("ok       server: one runs"),
        "{doctor:?}"
    );
    let backup = home.path("backup").display().to_string();
    server.cli(&["backup", &backup]).await;
    assert!(!home.data().join("relaybox.sock.new").exists());
    // It goes with the server.
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await, Some(0));
    home.cli(&["stats"])
        .await
        .failure(1, &["no server runs on the data directory"]);
    server.spawn().await;
    let list = server.cli(&["domain", "list"]).await;
    assert!(list.contains("shop"), "{list}");
}

#[tokio::test]
async fn the_socket_is_where_it_is_put() {
    let home = Arc::new(Home::new());
    fs::create_dir(home.path("run")).unwrap();
    let socket = home.path("run/a.sock");
    let at = socket.display().to_string();
    let options = Options::new().args(&["--socket", &at]);
    let mut server = Server::at(home.clone(), options.clone()).await;
    assert_eq!(home.mode("run/a.sock"), 0o600);
    assert!(!home.data().join("relaybox.sock").exists());
    server.cli(&["stats", "--socket", &at]).await;
    let mut command = home.bare_command(["sessions", "--data"]);
    command.arg(home.data()).env("RELAYBOX_SOCKET", &at);
    home.run(command).await.success();
    home.write("data/relaybox.toml", format!("socket = {at:?}"));
    server.add_domain("shop").await;
    // A second server does not take it away.
    let other = Arc::new(Home::new());
    let second = Server::at(other, options.clone()).await;
    second.says("another server answers at").await;
    let list = server.cli(&["domain", "list"]).await;
    assert!(list.contains("shop"), "{list}");
    // And its orders do not go to the first.
    let wrong = ["domain", "remove", "shop", "--yes", "--socket", &at];
    let words = ["has another data directory than", "nothing was asked of it"];
    second.home.cli(&wrong).await.failure(1, &words);
    server.stop().await;
    assert!(!socket.exists());
    // What a dead one left is replaced, what is somebody's file is not.
    drop(UnixListener::bind(&socket).unwrap());
    server.spawn().await;
    server.cli(&["stats"]).await;
    server.stop().await;
    // That goes for the name under which it is made, too.
    for name in ["run/a.sock", "run/a.sock.new"] {
        let theirs = home.path(name);
        fs::write(&theirs, "mine").unwrap();
        server.spawn().await;
        let says = format!("{} is there, and is no socket", theirs.display());
        server.says(&says).await;
        assert_eq!(fs::read(&theirs).unwrap(), b"mine");
        server.stop().await;
        fs::remove_file(&theirs).unwrap();
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_not_called_none() {
    let home = Arc::new(Home::new());
    let options = Options::new().args(&["--socket", "missing/a.sock"]);
    let server = Server::at(home.clone(), options).await;
    server.says("no command reaches this server").await;
    let process = format!("({})", server.pid());
    let words = ["is in use by another process", &process, "--socket PATH"];
    for args in [
        &["stats"] as &[&str],
        &["kick", "--domain", "demo", "--id", "u1"],
        &["domain", "list"],
    ] {
        home.cli(args).await.failure(1, &words);
    }
    let doctor = home.cli(&["doctor", "--certs", "certs"]).await;
    let words = format!(
        "process {} has this data directory, but no server answers",
        server.pid()
    );
    assert!(doctor.stdout.contains(&words), "{doctor:?}");
    assert_eq!(doctor.code, Some(1));
}

/// As one that runs in another container on the same volume: its process is not seen, its locks are.
#[tokio::test]
async fn a_server_of_another_pid_namespace_is_not_called_none() {
    let apart = ["-pf", "--mount-proc"];
    let tried = Command::new("unshare").args(apart).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: no other PID namespace can be made here (unshare)");
        return;
    }
    let home = Arc::new(Home::new());
    let options = Options::new().args(&["--socket", "missing/a.sock"]);
    let server = Server::at(home.clone(), options).await;
    server.says("no command reaches this server").await;
    let run = async |args: &[&str]| {
        let mut command = home.bare_command(args);
        command.arg("--data").arg(home.data());
        let mut in_other = Command::new("unshare");
        in_other.args(apart).arg(command.get_program());
        in_other.args(command.get_args());
        in_other.current_dir(home.path(""));
        home.run(in_other).await
    };
    for locks in ["all", "all but LOCK"] {
        let words = [
            "is in use by another process (the system does not say here which one)",
            "--socket PATH",
        ];
        for args in [
            &["stats"] as &[&str],
            &["sessions"],
            &["kick", "--domain", "demo", "--id", "u1"],
            &["domain", "list"],
        ] {
            let ended = run(args).await;
            ended.failure(1, &words);
            assert!(
                !ended.stderr.contains("no server runs"),
                "{locks}: {ended:?}"
            );
        }
        let doctor = run(&["doctor", "--certs", "certs"]).await;
        let words = "problem  server: a process that the system does not name here has this data";
        assert!(doctor.stdout.contains(words), "{locks}: {doctor:?}");
        // Here it is known, whatever somebody has removed.
        let process = format!("in use by another process ({})", server.pid());
        home.cli(&["stats"]).await.failure(1, &[&process]);
        let _ = fs::remove_file(home.data().join("LOCK"));
    }
}

#[tokio::test]
async fn what_is_no_directory_is_said_to_be_none() {
    let home = Home::new();
    home.write("file", "");
    symlink(home.path("nowhere"), home.path("link")).unwrap();
    for (name, what) in [
        ("file", "it is a file"),
        ("link", "it is a link that leads nowhere"),
    ] {
        for args in [
            &["serve", "--listen", "127.0.0.1:0", "--data", name] as &[&str],
            &["domain", "add", "shop", "--data", name],
            &["check", name],
        ] {
            let words = ["is no data directory: ", what];
            home.cli_bare(args).await.failure(1, &words);
        }
        let doctor = home.cli_bare(&["doctor", "--data", name]).await;
        assert!(
            doctor.stdout.contains("problem  data-directory"),
            "{doctor:?}"
        );
    }
    assert!(!home.path("nowhere").exists());
}

#[tokio::test]
async fn doctor_knows_the_largest_file() {
    let home = Home::new();
    let command = home.bare_command(["doctor", "--listen", "127.0.0.1:0"]);
    let doctor = home.run(home.limited(&command, 1 << 20)).await;
    assert!(doctor.stdout.contains("problem  file-size"), "{doctor:?}");
}

//! A data directory is one server's, whatever file of it somebody removes, moves or puts in its
//! place: PROTOCOL section 8.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::support::{Client, Home, Login, Options, Server, until};
use serde_json::{Value, json};

async fn send(client: &mut Client, id: &str) -> Result<u64, Value> {
    client
        .send(&json!({"toId": "box", "type": 10, "content": id, "clientMsgId": id}))
        .await;
    let answer = client.answer(id).await;
    answer["msgId"].as_u64().ok_or(answer)
}

async fn refused(client: &mut Client, id: &str) {
    let answer = send(client, id).await.unwrap_err();
    assert_eq!(answer["error"]["code"], "storage_unavailable", "{answer}");
}

async fn is_ready(server: &Server, wanted: u16) {
    until("what /readyz says", || async move {
        let answer = server.get("/readyz", None).await;
        (answer.status == wanted).then_some(())
    })
    .await;
}

async fn assert_holds(server: &Server, wanted: &[&str]) {
    let mailbox = server.mailbox("box").await;
    let found: Vec<_> = mailbox
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect();
    assert_eq!(found, wanted);
}

/// Copies as an operator would.
fn cp(how: &str, from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg(how)
        .arg(from)
        .arg(to)
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
}

fn segment(dir: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

/// A second server on the directory of a first one.
async fn second(home: &Arc<Home>) -> (Option<i32>, String) {
    match Server::attempt(home.clone(), Options::new()).await {
        Ok(_) => panic!("two servers on one directory"),
        Err(refused) => refused,
    }
}

#[tokio::test]
async fn whatever_file_is_removed_no_second_server_starts() {
    let server = Server::start().await;
    let mut client = server.user("u1").await;
    let data = server.home.data();
    let mut sent = Vec::new();
    for name in ["LOCK", "relaybox.sock", "VERSION", "db.state"] {
        fs::remove_file(data.join(name)).unwrap();
        let (code, says) = second(&server.home).await;
        assert_eq!(code, Some(1), "without {name}: {says}");
        assert!(says.contains("in use by another process"), "{name}: {says}");
        send(&mut client, name).await.unwrap();
        sent.insert(0, name);
    }
    // Commands that would write come to the same.
    server
        .home
        .cli(&["domain", "add", "shop"])
        .await
        .failure(1, &["in use by another process"]);
    sent.reverse();
    assert_holds(&server, &sent).await;
}

#[tokio::test]
async fn a_server_whose_directory_is_moved_accepts_nothing_until_it_is_back() {
    let mut server = Server::start().await;
    let mut client = server.user("u1").await;
    let (data, away) = (server.home.data(), server.home.path("away"));
    send(&mut client, "before").await.unwrap();
    fs::rename(&data, &away).unwrap();
    refused(&mut client, "moved").await;
    is_ready(&server, 503).await;
    server.says("is no longer the directory").await;
    assert!(!data.exists(), "nothing is made in its place");
    fs::rename(&away, &data).unwrap();
    is_ready(&server, 200).await;
    send(&mut client, "after").await.unwrap();
    drop(client);
    server.restart().await;
    // Nothing waits to be written: it is noticed all the same.
    fs::rename(&data, &away).unwrap();
    is_ready(&server, 503).await;
    server.refused(&Login::new("u1"), 1013).await;
    fs::rename(&away, &data).unwrap();
    is_ready(&server, 200).await;
    assert_holds(&server, &["before", "after"]).await;
}

#[tokio::test]
async fn a_directory_in_its_place_is_left_alone() {
    let server = Server::start().await;
    let mut client = server.user("u1").await;
    let (data, away) = (server.home.data(), server.home.path("away"));
    send(&mut client, "both").await.unwrap();
    cp("-a", &data, &server.home.path("copy"));
    fs::rename(&data, &away).unwrap();
    fs::rename(server.home.path("copy"), &data).unwrap();
    // The copied socket leads nowhere, and the directory is another one.
    let mut other = Server::at(server.home.clone(), Options::new()).await;
    refused(&mut client, "first").await;
    let mut others = other.user("u2").await;
    send(&mut others, "second").await.unwrap();
    // The first one's end takes nothing of the other's away.
    let mut first = server;
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.ended().await, Some(0));
    other.cli(&["domain", "list"]).await;
    other.restart().await;
    assert_holds(&other, &["both", "second"]).await;
}

#[tokio::test]
async fn a_journal_that_is_put_over_the_servers_is_not_written_into() {
    for in_place in [false, true] {
        let mut server = Server::start().await;
        let mut client = server.user("u1").await;
        let data = server.home.data();
        send(&mut client, "kept").await.unwrap();
        let (open, copy) = (segment(&data), server.home.path("copy"));
        fs::copy(&open, &copy).unwrap();
        send(&mut client, "given up").await.unwrap();
        match in_place {
            // As cp does, and as rsync and tar do.
            true => drop(fs::copy(&copy, &open).unwrap()),
            false => fs::rename(&copy, &open).unwrap(),
        }
        refused(&mut client, "late").await;
        is_ready(&server, 503).await;
        let says = "the journal was moved, removed, replaced or written by another";
        server.says(says).await;
        // Not even by what is done at the end.
        let restored = fs::read(&open).unwrap();
        server.kill9().await;
        assert_eq!(fs::read(&open).unwrap(), restored);
        server.spawn().await;
        assert_holds(&server, &["kept"]).await;
    }
}

#[tokio::test]
async fn a_journal_that_is_moved_away_takes_nothing_along() {
    for (whole, restored, idle) in [
        (true, true, false),
        (true, false, true),
        (false, true, true),
        (false, false, false),
    ] {
        let mut server = Server::start().await;
        let mut client = server.user("u1").await;
        let data = server.home.data();
        send(&mut client, "kept").await.unwrap();
        let moved = match whole {
            true => data.join("journal"),
            false => segment(&data),
        };
        let (copy, away) = (server.home.path("copy"), server.home.path("away"));
        cp("-a", &moved, &copy);
        fs::rename(&moved, &away).unwrap();
        if restored {
            fs::rename(&copy, &moved).unwrap();
        }
        // Nothing waits to be written: it is noticed all the same.
        if idle {
            is_ready(&server, 503).await;
        }
        refused(&mut client, "late").await;
        is_ready(&server, 503).await;
        let says = "the journal was moved, removed, replaced or written by another";
        server.says(says).await;
        server.kill9().await;
        if !restored {
            fs::rename(&away, &moved).unwrap();
        }
        server.spawn().await;
        assert_holds(&server, &["kept"]).await;
    }
}

#[tokio::test]
async fn a_copy_made_of_hard_links_is_refused() {
    let mut server = Server::start().await;
    let mut client = server.user("u1").await;
    send(&mut client, "one").await.unwrap();
    let (data, linked) = (server.home.data(), server.home.path("linked"));
    cp("-al", &data, &linked);
    let dir = linked.display().to_string();
    let words = ["has another name, too", "hard links"];
    server
        .home
        .cli_bare(&["check", &dir])
        .await
        .failure(1, &words);
    let doctor = server.home.cli_bare(&["doctor", "--data", &dir]).await;
    assert!(doctor.stdout.contains(words[0]), "{doctor:?}");
    // The running one is not held up; but neither starts as long as there are two.
    send(&mut client, "two").await.unwrap();
    server.stop().await;
    let options = Options::new().without_defaults();
    let options = options.args(&["--listen", "127.0.0.1:0", "--data", &dir]);
    server.home.serve_fails(&options).await.failure(1, &words);
    server
        .home
        .serve_fails(&Options::new())
        .await
        .failure(1, &words);
    server
        .home
        .cli(&["domain", "add", "shop"])
        .await
        .failure(1, &words);
    // A real copy is one, and what is sealed or a backup may have many names.
    let real = server.home.path("real");
    server
        .home
        .cli_bare(&["restore", &dir, "--data", &real.display().to_string()])
        .await
        .success();
    server
        .home
        .cli_bare(&["check", &real.display().to_string()])
        .await
        .success();
    let backup = server.home.path("backup").display().to_string();
    server.home.cli(&["backup", &backup]).await.success();
    cp(
        "-al",
        &server.home.path("backup"),
        &server.home.path("state"),
    );
    let state = server.home.path("state").display().to_string();
    server.home.cli_bare(&["check", &state]).await.success();
    fs::remove_dir_all(&linked).unwrap();
    server.spawn().await;
    assert_holds(&server, &["one", "two"]).await;
}

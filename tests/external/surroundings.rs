//! A full disk, a failing one, and what must never be logged: PROTOCOL sections 3 and 7.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::harness::disk::LoopDisk;
use crate::support::small_disk::SmallDisk;
use crate::support::{Client, DEADLINE, Home, Login, Options, PROJECT_TOKEN, Server, Way};
use serde_json::{Value, json};

/// Sends the number `n` with 100 KiB around it; the acknowledged msgId, or the error.
async fn send(client: &mut Client, n: u64) -> Result<u64, Value> {
    let id = format!("full-{n}");
    let content = json!({"n": n, "padding": "p".repeat(100 * 1024)});
    client
        .send(&json!({"toId": "box", "type": 10, "content": content, "clientMsgId": id}))
        .await;
    let answer = client.answer(&id).await;
    answer["msgId"].as_u64().ok_or(answer)
}

/// Exactly the acknowledged ones are in the history, under their ids.
async fn assert_kept(server: &Server, acked: &BTreeMap<u64, u64>) {
    let mut found = BTreeMap::new();
    for message in server.mailbox("box").await {
        let n = message["content"]["n"].as_u64().unwrap();
        let id = message["msgId"].as_u64().unwrap();
        assert!(found.insert(n, id).is_none(), "{n} is there twice");
    }
    assert!(
        found == *acked,
        "stored: {found:?}\nacknowledged: {acked:?}"
    );
}

#[tokio::test]
async fn a_full_disk_refuses_sends_loses_nothing_and_is_recovered_from() {
    let home = Arc::new(Home::new());
    let Some(disk) = SmallDisk::mount(&home.data(), 48) else {
        return;
    };
    // The server goes before the disk that it stands on, and that before the home.
    let mut server = Server::at(home.clone(), Options::new()).await;
    let mut client = server.user("u1").await;
    let mut acked = BTreeMap::new();
    for n in 0..10 {
        acked.insert(n, send(&mut client, n).await.unwrap());
    }
    disk.fill();
    let mut n = 10;
    let error = loop {
        match send(&mut client, n).await {
            Ok(id) => acked.insert(n, id),
            Err(error) => break error,
        };
        n += 1;
        assert!(n < 1000, "100 MB went onto a full disk");
    };
    assert_eq!(error["error"]["code"], "storage_unavailable", "{error}");
    assert_eq!(error["fromId"], "system");
    // It lives on, and tells what it has.
    client.ready().await;
    assert_kept(&server, &acked).await;
    // What it compresses meanwhile gives it room again, until that is taken, too.
    let end = Instant::now() + DEADLINE;
    loop {
        disk.fill();
        n += 1;
        if let Ok(id) = send(&mut client, n).await {
            acked.insert(n, id);
        }
        let mut login = server.connect(&Login::new("u2")).await;
        login.try_send_text("ping").await;
        let refused = login.text_or_code().await == Err(Some(1013));
        if refused && server.get("/readyz", None).await.status == 503 {
            break;
        }
        assert!(Instant::now() < end, "logins are taken on a full disk");
    }
    assert_eq!(server.get("/healthz", None).await.status, 200);

    disk.free();
    let end = Instant::now() + DEADLINE;
    // Each attempt is a new send: those that were refused must stay away.
    loop {
        n += 1;
        match send(&mut client, n).await {
            Ok(id) => {
                acked.insert(n, id);
                break;
            }
            Err(error) => {
                assert_eq!(error["error"]["code"], "storage_unavailable", "{error}");
                assert!(Instant::now() < end, "not taken up again: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    assert_kept(&server, &acked).await;
    while server.get("/readyz", None).await.status != 200 {
        assert!(Instant::now() < end, "not ready again");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(client);
    server.restart().await;
    assert_kept(&server, &acked).await;
    let mut recipient = server.user("box").await;
    for id in acked.values() {
        assert_eq!(recipient.message().await["msgId"], *id);
    }
    drop(recipient);
    server.kill9().await;
    server.spawn().await;
    assert_kept(&server, &acked).await;
    drop(server);
    drop(disk);
}

#[tokio::test]
async fn a_failing_disk_ends_acknowledgements_and_loses_nothing() {
    let home = Arc::new(Home::new());
    let Some(disk) = LoopDisk::make(&home.path("disk"), &home.data(), 256) else {
        return;
    };
    let mut server = Server::at(home.clone(), Options::new()).await;
    let mut client = server.user("u1").await;
    let mut acked = BTreeMap::new();
    for n in 0..20 {
        acked.insert(n, send(&mut client, n).await.unwrap());
    }
    assert_eq!(server.get("/readyz", None).await.status, 200);
    // From now on every write and every sync fails, for good.
    disk.fuse().cut();
    for n in 20..25 {
        let error = send(&mut client, n)
            .await
            .expect_err("nothing can be stored");
        assert_eq!(error["error"]["code"], "storage_unavailable", "{error}");
    }
    assert_eq!(server.get("/readyz", None).await.status, 503);
    assert_eq!(server.get("/healthz", None).await.status, 200);
    let mut login = server.connect(&Login::new("u2")).await;
    login.try_send_text("ping").await;
    assert_eq!(login.text_or_code().await, Err(Some(1013)));
    drop((client, login));
    server.kill9().await;
    disk.power_up("defaults");
    server.spawn().await;
    assert_eq!(server.get("/readyz", None).await.status, 200);
    assert_kept(&server, &acked).await;
    drop(server);
    drop(disk);
}

#[tokio::test]
async fn no_token_and_no_content_is_logged() {
    let mut server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let project = server.add_domain("acme").await;
    let user = server.mint("u1", &[]).await;
    for text in [
        "wrong-token-1177",
        "private words 2288",
        "Private Name 3399",
    ] {
        server.secret(text);
    }
    for way in [Way::Query, Way::Header, Way::Subprotocol] {
        for token in [PROJECT_TOKEN, user.as_str()] {
            let login = Login::new("u1")
                .name("Private Name 3399")
                .token(token)
                .way(way);
            let mut client = server.login(&login).await;
            client.say("u1", "private words 2288").await;
            client.message().await;
            // Bad frames are answered, not quoted in the log.
            client.send_text("private words 2288").await;
            client.error().await;
            client
                .send(&json!({"toId": "", "content": "private words 2288"}))
                .await;
            client.error().await;
        }
        server
            .refused(&Login::new("u1").token("wrong-token-1177").way(way), 4401)
            .await;
        server
            .refused(&Login::new("u1").domain("acme").token(&user).way(way), 4403)
            .await;
        server
            .refused(&Login::new("").token(&project).way(way), 4400)
            .await;
    }
    for token in [
        PROJECT_TOKEN,
        user.as_str(),
        project.as_str(),
        "wrong-token-1177",
    ] {
        for target in [
            "/message-log?domain=demo&toId=u1",
            "/message-log?size=x",
            "/nowhere?x=1",
        ] {
            server.get(target, Some(token)).await;
            server.get(&format!("{target}&token={token}"), None).await;
        }
    }
    // The harness reads the log, at level debug, when the server is gone.
    server.stop().await;
}

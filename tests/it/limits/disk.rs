//! The floor of free disk: user tokens are refused first.

use serde_json::json;

use super::*;
use crate::support::small_disk::SmallDisk;
use crate::support::{Home, PROJECT_TOKEN, until};

const SHORT: &str = "ready: the disk is short, and user tokens send nothing\n";

/// Whether a user's message is stored, or refused because the disk is short.
async fn is_sent(user: &mut Client, id: &str) -> bool {
    let frame = json!({"toId": "a", "type": 10, "content": 1, "clientMsgId": id});
    user.send(&frame).await;
    let answer = user.answer(id).await;
    if answer["error"].is_null() {
        return true;
    }
    assert_eq!(answer["error"]["code"], "storage_unavailable");
    let said = "the server's disk is short: nothing was stored";
    assert_eq!(answer["content"], said, "{answer}");
    false
}

/// What /readyz says: 200, whatever there is for user tokens.
async fn says(server: &Server, text: &str) {
    until(text, async || {
        let answer = server.get("/readyz", None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.body == text).then_some(())
    })
    .await;
}

async fn accepts_of_backends(server: &Server) {
    let mut backend = server.login(&Login::new("backend")).await;
    backend.say_acked("a", "by a session").await;
    let body = json!({
        "domain": "demo", "toId": "a", "fromId": "shop", "fromName": "Shop", "type": 10, "content": 1,
    });
    let answer = server.post("/messages", PROJECT_TOKEN, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[tokio::test]
async fn a_disk_that_gets_short_takes_nothing_of_user_tokens_and_goes_on_for_backends() {
    let home = std::sync::Arc::new(Home::new());
    let Some(disk) = SmallDisk::mount(&home.data(), 300) else {
        return;
    };
    let mut server = Server::at(home, Options::new()).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    assert!(is_sent(&mut user, "before").await);
    assert_eq!(
        metric(&server, "relaybox_store_free_bytes_min", "").await,
        30 << 20
    );

    // A tenth of it is 30 MB.
    disk.leave(20);
    says(&server, SHORT).await;
    let mut sent = 0;
    for round in 0..3 {
        assert!(!is_sent(&mut user, &format!("short-{round}")).await);
        accepts_of_backends(&server).await;
        sent += 2;
    }
    let limited = "limit=\"disk_free_min\"";
    assert_eq!(metric(&server, "relaybox_limited_total", limited).await, 3);
    // He gets what there is, and his repeats are acknowledged.
    assert!(is_sent(&mut user, "before").await);
    let reader = server.mint("a", &[]).await;
    let target = "/message-log?domain=demo&toId=a";
    let read = server.get(target, Some(&reader)).await.body;
    assert!(read.contains("by a session"), "{read}");
    assert_eq!(server.mailbox("a").await.len(), 1 + sent);
    let said = "the disk is short: user tokens send nothing";
    assert_eq!(server.stderr().matches(said).count(), 1);

    disk.free();
    says(&server, "ready\n").await;
    assert!(is_sent(&mut user, "after").await);
    server.says("the disk has room again").await;
}

/// Without a disk of one's own: more than any has.
#[tokio::test]
async fn the_floor_is_a_setting_that_is_taken_over_and_who_goes_on_is_closed() {
    let more_than_any = "disk_free_min = \"1048576GiB\"";
    let mut server = Server::with(Options::new().file(more_than_any)).await;
    let token = server.mint("u1", &[]).await;
    says(&server, SHORT).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    assert!(!is_sent(&mut user, "1").await);
    accepts_of_backends(&server).await;

    let off = "disk_free_min = \"off\"\nsends_per_user = \"1/h\"";
    server.home.write("data/relaybox.toml", off);
    server.signal(rustix::process::Signal::HUP);
    says(&server, "ready\n").await;
    assert!(is_sent(&mut user, "1").await);

    let again = format!("{more_than_any}\nsends_per_user = \"1/min\"");
    server.home.write("data/relaybox.toml", &again);
    server.signal(rustix::process::Signal::HUP);
    says(&server, SHORT).await;
    assert!(!is_sent(&mut user, "2").await);
    for _ in 0..200 {
        let frame = r#"{"toId":"a","type":10,"content":1}"#;
        if !user.try_send_text(frame).await {
            break;
        }
    }
    user.closed(4529).await;
}

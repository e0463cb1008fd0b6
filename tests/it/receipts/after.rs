//! `after`: the client's own last processed message.

use crate::harness::stage::Stage;
use crate::support::{Login, Raw, Server};

fn u2() -> Login {
    Login::new("u2")
}

/// Five messages for `u2`, of which the resource `web` has confirmed the first `confirmed`.
async fn five(confirmed: usize) -> (Stage, Vec<u64>) {
    let mut stage = Stage::start().await;
    let ids = stage
        .send_each("u2", &["one", "two", "three", "four", "five"])
        .await;
    let mut raw = Raw::login(&stage.server, &u2().receipts("manual")).await;
    raw.messages(5).await;
    if confirmed > 0 {
        raw.received(ids[confirmed - 1]).await;
        raw.settle().await;
    }
    (stage, ids)
}

#[tokio::test]
async fn after_gets_everything_above_it() {
    let (mut stage, ids) = five(5).await;
    let all = ["one", "two", "three", "four", "five"];
    let newest = *ids.last().unwrap();
    let cases = [
        (0, 0),
        (1, 0),
        (ids[0] - 1, 0),
        (ids[0], 1),
        (ids[0] + 1, 1),
        (ids[2], 3),
        (ids[3], 4),
        (newest, 5),
        (newest + 1, 5),
        (newest + 3_600_000_000, 5),
        ((1 << 53) - 1, 5),
    ];
    // From the top, as `after` lowers the cursor.
    for (after, first) in cases.into_iter().rev() {
        let login = u2().after(after);
        stage.login_gets("u2", "web", login, &all[first..]).await;
        stage.lacks("u2", &all[first..]).await;
    }
}

#[tokio::test]
async fn after_lowers_the_cursor_durably() {
    let (mut stage, ids) = five(5).await;
    stage.lacks("u2", &[]).await;
    stage
        .login_gets("u2", "web", u2().after(ids[2]), &["four", "five"])
        .await;
    stage.restart().await;
    stage.lacks("u2", &["four", "five"]).await;
    // By a session that reads nothing, just before a kill.
    let raw = Raw::login(&stage.server, &u2().after(ids[1])).await;
    let mut server = stage.server;
    server.kill9().await;
    drop(raw);
    server.spawn().await;
    let mut stage = Stage::on(server).await;
    stage.lacks("u2", &["three", "four", "five"]).await;
}

#[tokio::test]
async fn after_never_raises_the_cursor() {
    let (mut stage, ids) = five(1).await;
    let lacking = ["two", "three", "four", "five"];
    stage
        .login_gets("u2", "web", u2().after(ids[3]), &["five"])
        .await;
    stage.lacks("u2", &lacking).await;
    let newest = ids[4];
    for after in [newest, newest + 1, (1 << 53) - 1] {
        stage.login_gets("u2", "web", u2().after(after), &[]).await;
        stage.lacks("u2", &lacking).await;
    }
    stage
        .login_gets("u2", "web", u2().after(ids[0]), &lacking)
        .await;

    // A receipt is cumulative: it says that all before it has been processed, too.
    let mut raw = Raw::login(&stage.server, &u2().after(ids[3])).await;
    assert_eq!(raw.message().await["msgId"], newest);
    raw.received(newest).await;
    raw.settle().await;
    drop(raw);
    stage.lacks("u2", &[]).await;
}

#[tokio::test]
async fn after_above_the_newest_message_does_not_hide_what_comes_later() {
    let (mut stage, ids) = five(5).await;
    let far = ids[4] + 3_600_000_000;
    let mut raw = Raw::login(&stage.server, &u2().after(far)).await;
    let six = stage.send("u2", "six").await;
    let message = raw.message().await;
    assert_eq!(message["content"], "six");
    assert_eq!(message["offline"], false);
    raw.confirm(six).await;
    drop(raw);
    stage.send("u2", "seven").await;
    stage.login_gets("u2", "web", u2().after(far), &[]).await;
    stage.lacks("u2", &["seven"]).await;
}

#[tokio::test]
async fn after_works_with_both_kinds_of_receipts() {
    for mode in ["auto", "manual"] {
        let (mut stage, ids) = five(5).await;
        let login = u2().receipts(mode).after(ids[1]);
        let mut raw = Raw::login(&stage.server, &login).await;
        raw.messages(3).await;
        // Below the cursor that it had before, above the one that it has now.
        raw.received(ids[3]).await;
        raw.settle().await;
        drop(raw);
        stage.lacks("u2", &["five"]).await;
    }
}

#[tokio::test]
async fn after_lowers_only_its_own_device() {
    let (mut stage, ids) = five(5).await;
    stage.device_lacks("u2", "phone", &[]).await;
    let all = ["one", "two", "three", "four", "five"];
    stage.login_gets("u2", "web", u2().after(0), &all).await;
    stage.device_lacks("u2", "phone", &[]).await;
    // A device that is new with it has its own start.
    let login = u2().resource("tablet").after(ids[2]);
    stage
        .login_gets("u2", "tablet", login, &["four", "five"])
        .await;
    stage.device_lacks("u2", "tablet", &["four", "five"]).await;
    stage.device_lacks("u2", "phone", &[]).await;
}

#[tokio::test]
async fn an_after_counts_in_any_notation() {
    let (mut stage, ids) = five(5).await;
    for after in super::exact_notations(ids[2]) {
        let login = u2().with("after", &after);
        stage
            .login_gets("u2", "web", login, &["four", "five"])
            .await;
    }
}

#[tokio::test]
async fn an_after_that_is_no_number_is_refused() {
    let server = Server::start().await;
    for after in [
        "", " ", "abc", "-1", "+1", "1.5", "1e400", "0x10", " 1", "1 ", "1,2", "null", "١", "\"\"",
    ] {
        let reason = server.refused(&u2().with("after", after), 4400).await;
        assert!(reason.contains("after"), "{after:?}: {reason}");
    }
    let reason = server.refused(&u2().after(1).after(1), 4400).await;
    assert!(reason.contains("after"), "{reason}");
}

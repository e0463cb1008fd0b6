//! Devices that are known, and those that are not yet or no longer.

use crate::harness::stage::Stage;
use crate::support::{Login, Options, Raw};

/// As many devices of a user are known at most.
const DEVICES_MAX: usize = 32;

fn device(resource: &str) -> Login {
    Login::new("u2").resource(resource)
}

/// Confirms in a session of `resource` everything up to the message `id`.
async fn confirm(stage: &Stage, resource: &str, id: u64) {
    let mut raw = Raw::login(&stage.server, &device(resource).receipts("manual")).await;
    while raw.message().await["msgId"] != id {}
    raw.received(id).await;
    raw.settle().await;
}

#[tokio::test]
async fn the_first_login_of_a_user_gets_everything() {
    let mut stage = Stage::start().await;
    stage.send_each("u2", &["one", "two", "three"]).await;
    let all = ["one", "two", "three"];
    stage.device_lacks("u2", "web", &all).await;
    // Nothing was confirmed: the next device begins there, too.
    stage.device_lacks("u2", "phone", &all).await;
    stage.device_lacks("u2", "web", &all).await;
}

#[tokio::test]
async fn a_new_device_begins_at_the_highest_of_the_others() {
    let mut stage = Stage::start().await;
    let all = ["one", "two", "three", "four"];
    let ids = stage.send_each("u2", &all).await;
    stage.device_lacks("u2", "web", &all).await;
    stage.device_lacks("u2", "phone", &all).await;
    confirm(&stage, "phone", ids[2]).await;
    confirm(&stage, "web", ids[0]).await;
    stage.device_lacks("u2", "tablet", &["four"]).await;
    // Each goes on from its own place.
    stage.device_lacks("u2", "web", &all[1..]).await;
    stage.device_lacks("u2", "phone", &all[3..]).await;
    // Wherever its own place is, a device may ask for everything.
    let all_login = device("watch").after(0);
    stage.login_gets("u2", "watch", all_login, &all).await;
    stage.device_lacks("u2", "watch", &all).await;
    stage.device_lacks("u2", "car", &["four"]).await;
}

#[tokio::test]
async fn a_new_device_keeps_its_place_while_others_go_on() {
    let mut stage = Stage::start().await;
    let all = ["one", "two", "three"];
    let ids = stage.send_each("u2", &all).await;
    confirm(&stage, "web", ids[0]).await;
    // It gets something, confirms nothing, and the server is killed at once.
    let mut raw = Raw::connect(&stage.server, &device("phone")).await;
    assert_eq!(raw.message().await["content"], "two");
    let mut server = stage.server;
    server.kill9().await;
    server.spawn().await;
    let mut stage = Stage::on(server).await;
    confirm(&stage, "web", ids[2]).await;
    stage.device_lacks("u2", "phone", &["two", "three"]).await;
    stage.restart().await;
    stage.device_lacks("u2", "phone", &["two", "three"]).await;
    stage.device_lacks("u2", "tablet", &[]).await;
}

#[tokio::test]
async fn devices_of_other_users_and_domains_count_for_nothing() {
    let mut stage = Stage::start().await;
    let token = stage.server.add_domain("other").await;
    let id = stage.send("u2", "one").await;
    let other = stage.send("u22", "one").await;
    let foreign = device("web").domain("other").token(&token);
    Raw::login(&stage.server, &foreign).await;
    let mut raw = Raw::login(&stage.server, &Login::new("u22").receipts("manual")).await;
    raw.message().await;
    raw.received(other).await;
    raw.settle().await;
    stage.device_lacks("u2", "phone", &["one"]).await;
    confirm(&stage, "phone", id).await;
    stage.device_lacks("u2", "web", &[]).await;
    stage.device_lacks("u22", "phone", &[]).await;
}

#[tokio::test]
async fn a_refused_login_makes_nothing_known_and_moves_nothing() {
    let options = Options::new().args(&["--sessions-per-user-max", "1"]);
    let mut stage = Stage::with(options).await;
    let cases = [
        ("u2", "phone", None, 4529),
        ("u3", "phone", Some(0), 4529),
        ("u4", "phone", Some(0), 4401),
        ("u5", "web", Some(0), 4401),
    ];
    for (user, resource, after, code) in cases {
        let ids = stage.send_each(user, &["one", "two"]).await;
        let mut web = Raw::login(&stage.server, &Login::new(user).receipts("manual")).await;
        web.messages(2).await;
        let mut login = Login::new(user).resource(resource);
        if let Some(after) = after {
            login = login.after(after);
        }
        if code == 4401 {
            login = login.token("guessed");
        }
        // Before and after the only known device has moved.
        for id in ids {
            let mut refused = Raw::connect(&stage.server, &login).await;
            assert_eq!(refused.closed().await.0, code, "{user}");
            assert!(refused.take_held().is_empty(), "{user} got something");
            web.received(id).await;
            web.settle().await;
        }
        web.close(1000).await;
        web.closed().await;
        // A new device begins where that one is, and that one is where it was.
        stage.device_lacks(user, resource, &[]).await;
    }
}

/// Makes `count` devices known, of which the first confirms nothing and all others everything.
async fn make_known(stage: &mut Stage, count: usize) {
    let id = stage.send("u2", "one").await;
    Raw::login(&stage.server, &device("d0")).await;
    for n in 1..count {
        let resource = format!("d{n}");
        let login = device(&resource).receipts("manual").after(0);
        let mut raw = Raw::login(&stage.server, &login).await;
        raw.message().await;
        raw.received(id).await;
        raw.settle().await;
    }
}

#[tokio::test]
async fn as_many_devices_as_may_be_are_known() {
    let mut stage = Stage::start().await;
    make_known(&mut stage, DEVICES_MAX).await;
    stage.send("u2", "two").await;
    stage.device_lacks("u2", "d0", &["one", "two"]).await;
    for n in 1..DEVICES_MAX {
        stage.device_lacks("u2", &format!("d{n}"), &["two"]).await;
    }
    stage.restart().await;
    stage.device_lacks("u2", "d0", &["one", "two"]).await;
}

#[tokio::test]
async fn one_device_more_drops_the_longest_unused() {
    let mut stage = Stage::start().await;
    make_known(&mut stage, DEVICES_MAX + 1).await;
    stage.send("u2", "two").await;
    // The newest and the last but one are still known.
    for resource in ["d32", "d31", "d2"] {
        stage.device_lacks("u2", resource, &["two"]).await;
    }
    // Dropped, it is a new device again.
    stage.device_lacks("u2", "d0", &["two"]).await;
    stage.restart().await;
    stage.device_lacks("u2", "d0", &["two"]).await;
}

#[tokio::test]
async fn strangers_who_name_many_resources_push_no_device_out() {
    let mut stage = Stage::start().await;
    make_known(&mut stage, 3).await;
    for n in 0..2 * DEVICES_MAX {
        stage.send_to("u2", &format!("random-{n}"), "x").await;
    }
    stage.send("u2", "two").await;
    stage.device_lacks("u2", "d0", &["one", "two"]).await;
    stage.device_lacks("u2", "d2", &["two"]).await;
    // A device that logs in for the first time is one of them from then on.
    stage.device_lacks("u2", "d3", &["two"]).await;
    for n in 0..2 * DEVICES_MAX {
        stage.send_to("u2", &format!("more-{n}"), "x").await;
    }
    stage.send("u2", "three").await;
    stage
        .device_lacks("u2", "d0", &["one", "two", "three"])
        .await;
    stage.device_lacks("u2", "d3", &["two", "three"]).await;
}

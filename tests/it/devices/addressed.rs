//! Messages for one device, and for several users at once.

use serde_json::{Value, json};

use crate::harness::stage::Stage;
use crate::support::{Login, Raw};

fn device(resource: &str) -> Login {
    Login::new("u2").resource(resource)
}

#[tokio::test]
async fn a_message_to_a_resource_is_for_it_alone() {
    let mut stage = Stage::start().await;
    let mut web = Raw::login(&stage.server, &device("web")).await;
    let mut phone = Raw::login(&stage.server, &device("phone")).await;
    stage.send("u2", "one").await;
    stage.send_to("u2", "phone", "for the phone").await;
    let two = stage.send("u2", "two").await;
    for (raw, contents) in [
        (&mut web, &["one", "two"][..]),
        (&mut phone, &["one", "for the phone", "two"]),
    ] {
        for message in raw.messages(contents.len()).await.iter().zip(contents) {
            assert_eq!(message.0["content"], *message.1);
            assert_eq!(message.0["offline"], false);
        }
    }
    web.confirm(two).await;
    drop((web, phone));
    stage.device_lacks("u2", "web", &[]).await;
    let all = ["one", "for the phone", "two"];
    stage.device_lacks("u2", "phone", &all).await;
    stage.catch_up("u2", "phone").await;
    stage.device_lacks("u2", "phone", &[]).await;
}

#[tokio::test]
async fn a_message_to_a_resource_waits_for_its_next_login() {
    let mut stage = Stage::start().await;
    stage.catch_up("u2", "phone").await;
    stage.catch_up("u2", "web").await;
    stage.send_to("u2", "phone", "for the phone").await;
    stage.device_lacks("u2", "web", &[]).await;
    stage.restart().await;
    stage.device_lacks("u2", "web", &[]).await;
    stage.device_lacks("u2", "tablet", &[]).await;
    stage.device_lacks("u2", "phone", &["for the phone"]).await;
}

#[tokio::test]
async fn writing_to_a_resource_makes_it_known() {
    let mut stage = Stage::start().await;
    stage.send("u2", "before").await;
    stage.catch_up("u2", "web").await;
    // It begins where a new device would begin now, not where one will begin at its login.
    stage.send("u2", "one").await;
    stage.send_to("u2", "tablet", "for the tablet").await;
    stage.send("u2", "two").await;
    stage.catch_up("u2", "web").await;
    stage.device_lacks("u2", "phone", &[]).await;
    let lacking = ["one", "for the tablet", "two"];
    stage.device_lacks("u2", "tablet", &lacking).await;
    stage.restart().await;
    stage.device_lacks("u2", "tablet", &lacking).await;
    stage.device_lacks("u2", "web", &[]).await;
}

#[tokio::test]
async fn writing_to_a_resource_of_a_user_never_seen_holds_nothing_back() {
    let mut stage = Stage::start().await;
    stage.send("u2", "one").await;
    stage.send_to("u2", "tablet", "for the tablet").await;
    stage.send("u2", "two").await;
    // Nobody has confirmed anything.
    stage.device_lacks("u2", "web", &["one", "two"]).await;
    stage.catch_up("u2", "web").await;
    let all = ["one", "for the tablet", "two"];
    stage.device_lacks("u2", "tablet", &all).await;
    // An array of users makes the resource of each known.
    let users: Vec<String> = (0..100).map(|n| format!("user-{n}")).collect();
    let frame = json!({"toId": users, "toResource": "pad", "type": 10, "content": "to the pads",
        "clientMsgId": "pads"});
    let sender = stage.sender();
    sender.send(&frame).await;
    assert_eq!(
        sender.ack("pads").await["msgIds"].as_array().unwrap().len(),
        100
    );
    for user in ["user-0", "user-99"] {
        stage.device_lacks(user, "web", &[]).await;
        stage.device_lacks(user, "pad", &["to the pads"]).await;
    }
}

#[tokio::test]
async fn messages_for_one_device_hold_up_no_other() {
    const COUNT: usize = 300;
    let mut stage = Stage::start().await;
    let mut web = Raw::login(&stage.server, &device("web")).await;
    stage.catch_up("u2", "phone").await;
    let one = stage.send("u2", "one").await;
    web.confirm(one).await;
    for n in 0..COUNT {
        let frame = json!({"toId": "u2", "toResource": "phone", "type": 10, "content": n});
        stage.sender().send(&frame).await;
    }
    let two = stage.send("u2", "two").await;
    web.confirm(two).await;
    let got: Vec<Value> = web.take_held();
    assert_eq!(got.len(), 2, "{got:?}");
    drop(web);
    stage.device_lacks("u2", "web", &[]).await;
    let mut phone = Raw::login(&stage.server, &device("phone")).await;
    let got = phone.messages(COUNT + 2).await;
    assert_eq!(got[0]["content"], "one");
    for (n, message) in got[1..=COUNT].iter().enumerate() {
        assert_eq!(message["content"], n);
    }
    assert_eq!(got[COUNT + 1]["content"], "two");
}

#[tokio::test]
async fn one_bad_recipient_and_nobody_gets_it() {
    let mut stage = Stage::start().await;
    let mut u2 = Raw::login(&stage.server, &device("web")).await;
    let many: Vec<String> = (0..101).map(|n| format!("user-{n}")).collect();
    let long = "x".repeat(129);
    let bad = [
        json!(["u2", "u3", ""]),
        json!(["", "u2"]),
        json!(["u2", null]),
        json!(["u2", long]),
        json!(["u2", 1.5]),
        json!(["u2", true]),
        json!(["u2", ["u3"]]),
        json!(["u2", {}]),
        json!(["u2", "a\u{0}b"]),
        json!(["u2", "u3", "u2"]),
        json!(["7", 7]),
        json!([]),
        json!(many),
    ];
    for (n, to) in bad.iter().enumerate() {
        let id = format!("bad {n}");
        for resource in [None, Some("web")] {
            let frame = json!({"toId": to, "toResource": resource, "type": 10, "content": "x",
                "clientMsgId": id});
            let sender = stage.sender();
            sender.send(&frame).await;
            let answer = sender.answer(&id).await;
            assert_eq!(answer["error"]["code"], "invalid_field", "{to}: {answer}");
            assert_eq!(answer["error"]["field"], "toId", "{to}: {answer}");
        }
    }
    // A refused frame used up nothing: its clientMsgId is free.
    let users = &many[..100];
    let frame = json!({"toId": users, "type": 10, "content": "good", "clientMsgId": "bad 0"});
    let sender = stage.sender();
    sender.send(&frame).await;
    let ack = sender.ack("bad 0").await;
    assert_eq!(ack["duplicate"], false);
    assert_eq!(ack["msgIds"].as_array().unwrap().len(), 100);
    let end = stage.send("u2", "end").await;
    assert_eq!(
        u2.message().await["msgId"],
        end,
        "a refused copy was delivered"
    );
    for user in ["u3", "7"] {
        assert_eq!(stage.server.history(user, "").await["total"], 0, "{user}");
    }
    assert_eq!(stage.server.history("user-0", "").await["total"], 1);
    stage.device_lacks("user-99", "web", &["good"]).await;
}

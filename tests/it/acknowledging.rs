//! Acknowledgements, repeats and several recipients: PROTOCOL section 3.

use crate::support::{Login, Server};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn several_recipients_get_a_copy_each() {
    let server = Server::start().await;
    let mut a = server.user("a").await;
    let mut b = server.user("7").await;
    let mut sender = server.user("u1").await;
    let frame = json!({"toId": ["a", 7, "u1", "away"], "type": 20, "content": {"url": "x"},
        "clientMsgId": "many"});
    sender.send(&frame).await;
    let ack = sender.ack("many").await;
    assert_eq!(keys(&ack), ["ack", "duplicate", "msgIds", "sendAt"]);
    let ids = ack["msgIds"].as_array().unwrap();
    assert_eq!(ids.len(), 4);
    assert!(
        ids.windows(2).all(|two| two[0].as_u64() < two[1].as_u64()),
        "{ids:?}"
    );
    assert_eq!(ack["sendAt"], ids[0].as_u64().unwrap() / 1000);
    for (client, at, name) in [(&mut a, 0, "a"), (&mut b, 1, "7"), (&mut sender, 2, "u1")] {
        let message = client.message().await;
        assert_eq!(message["msgId"], ids[at]);
        assert_eq!(message["toId"], name);
        assert_eq!(message["content"], json!({"url": "x"}));
        client.nothing().await;
    }
    assert_eq!(server.history("away", "").await["list"][0]["msgId"], ids[3]);
    // One recipient in an array is still an array; a hundred are the most.
    sender
        .send(&json!({"toId": ["a"], "type": 10, "content": 1, "clientMsgId": "one"}))
        .await;
    assert_eq!(
        sender.ack("one").await["msgIds"].as_array().unwrap().len(),
        1
    );
    let hundred: Vec<_> = (0..100).map(|n| format!("many-{n}")).collect();
    sender
        .send(&json!({"toId": hundred, "type": 10, "content": 1, "clientMsgId": "all"}))
        .await;
    assert_eq!(
        sender.ack("all").await["msgIds"].as_array().unwrap().len(),
        100
    );
}

#[tokio::test]
async fn an_acknowledgement_names_the_stored_message() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    sender
        .send(&json!({"toId": "u2", "type": 10, "content": "x", "clientMsgId": "c-17"}))
        .await;
    let ack = sender.ack("c-17").await;
    assert_eq!(keys(&ack), ["ack", "duplicate", "msgId", "sendAt"]);
    assert_eq!(ack["duplicate"], false);
    let id = ack["msgId"].as_u64().unwrap();
    assert_eq!(ack["sendAt"], id / 1000);
    let stored = &server.history("u2", "").await["list"][0];
    assert_eq!(stored["msgId"], id);
    sender.nothing().await;
}

#[tokio::test]
async fn a_repeat_is_stored_and_delivered_once() {
    let mut server = Server::start().await;
    let frame = |content: &str| json!({"toId": "u2", "type": 10, "content": content, "clientMsgId": "same"});
    let mut recipient = server.user("u2").await;
    let mut sender = server.user("u1").await;
    sender.send(&frame("first")).await;
    let first = sender.ack("same").await;
    assert_eq!(recipient.contents(1).await, ["first"]);

    let assert_repeat = |ack: &Value| {
        assert_eq!(ack["duplicate"], true, "{ack}");
        assert_eq!(ack["msgId"], first["msgId"]);
        assert_eq!(ack["sendAt"], first["sendAt"]);
    };
    sender.send(&frame("first")).await;
    assert_repeat(&sender.ack("same").await);
    // The first one stands, also for another resource of the same sender.
    let mut phone = server.login(&Login::new("u1").resource("phone")).await;
    phone.send(&frame("changed")).await;
    assert_repeat(&phone.ack("same").await);
    let many = json!({"toId": ["u2", "u9"], "type": 10, "content": 1, "clientMsgId": "arr"});
    sender.send(&many).await;
    let ids = sender.ack("arr").await["msgIds"].clone();
    sender.send(&many).await;
    let again = sender.ack("arr").await;
    assert_eq!(
        (&again["msgIds"], &again["duplicate"]),
        (&ids, &json!(true))
    );
    recipient.contents(1).await;
    recipient.nothing().await;

    // Another sender's is another.
    let mut other = server.user("u3").await;
    other.send(&frame("other")).await;
    assert_eq!(other.ack("same").await["duplicate"], false);
    assert_eq!(recipient.contents(1).await, ["other"]);

    drop((recipient, sender, phone, other));
    for kill in [false, true] {
        if kill {
            server.kill9().await;
            server.spawn().await;
        } else {
            server.restart().await;
        }
        let mut sender = server.user("u1").await;
        sender.send(&frame("after a restart")).await;
        assert_repeat(&sender.ack("same").await);
        assert_eq!(server.history("u2", "").await["total"], 3);
    }
}

#[tokio::test]
async fn a_repeat_in_flight_is_answered_twice_and_stored_once() {
    let server = Server::start().await;
    let mut sender = server.user("u1").await;
    let frame = json!({"toId": "u2", "type": 10, "content": "x", "clientMsgId": "fast"});
    for _ in 0..10 {
        sender.send(&frame).await;
    }
    let mut fresh = 0;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let ack = sender.ack("fast").await;
        fresh += usize::from(ack["duplicate"] == false);
        ids.push(ack["msgId"].as_u64().unwrap());
    }
    ids.dedup();
    assert_eq!((fresh, ids.len()), (1, 1));
    assert_eq!(server.history("u2", "").await["total"], 1);
}

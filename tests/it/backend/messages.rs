//! `POST /messages`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{message, sent};
use crate::support::small_disk::SmallDisk;
use crate::support::{DEADLINE, Home, Login, Options, PROJECT_TOKEN, Server, until};

#[tokio::test]
async fn a_message_is_durable_and_delivered_as_it_was_sent() {
    let mut server = Server::start().await;
    let mut web = server.user("box").await;
    // As text: JSON that is parsed and written again would lose the spaces.
    let body = r#"{"domain":"demo","toId":"box","fromId":"system","fromName":"Shop","type":100,"x":1,"content": { "a" : 1.0 } }"#;
    let answer = server.post("/messages", PROJECT_TOKEN, body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let answer = answer.json();
    let id = answer["msgId"].as_u64().unwrap();
    let expected = json!({"msgId": id, "sendAt": id / 1000, "duplicate": false});
    assert_eq!(answer, expected);
    let text = format!(
        r#"{{"fromId":"system","fromName":"Shop","fromResource":"server","toId":"box","domain":"demo","type":100,"content":{{ "a" : 1.0 }},"sendAt":{},"offline":false,"msgId":{id}}}"#,
        id / 1000
    );
    assert_eq!(web.text().await, text);
    web.close().await;

    let away = sent(&server, json!({"toId": 7, "fromId": 8})).await;
    server.kill9().await;
    server.spawn().await;
    let kept = server.mailbox("7").await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["msgId"], away["msgId"]);
    assert_eq!(
        (&kept[0]["fromId"], &kept[0]["offline"]),
        (&json!("8"), &json!(true))
    );
    assert_eq!(server.mailbox("box").await[0]["msgId"], id);
    let mut phone = server.login(&Login::new("7").resource("phone")).await;
    assert_eq!(phone.message().await["msgId"], away["msgId"]);
}

#[tokio::test]
async fn a_number_of_a_body_is_the_same_in_any_notation() {
    let mut server = Server::start().await;
    let body = r#"{"domain":"demo","toIds":[42.0,1e3],"fromId":7.00,"fromName":"S","type":1.0E1,"content":1.0}"#;
    let answer = server.post("/messages", PROJECT_TOKEN, body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    for to in ["42", "1000"] {
        let kept = server.mailbox(to).await;
        assert_eq!(
            (&kept[0]["fromId"], &kept[0]["type"]),
            (&json!("7"), &json!(10))
        );
    }
    let body = r#"{"domain":"demo","id":42.0,"ttl":3.6e3}"#;
    let answer = server.post("/tokens", PROJECT_TOKEN, body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    server.secret(&token);
    server.login(&Login::new("42").token(&token)).await;
}

#[tokio::test]
async fn a_thousand_recipients_get_a_copy_each() {
    let server = Server::start().await;
    let mut online = server.user("user-500").await;
    let users: Vec<_> = (0..1000).map(|n| format!("user-{n}")).collect();
    let to_all = json!({"toId": null, "toIds": users, "content": "x".repeat(10_000)});
    let answer = sent(&server, to_all).await;
    let ids: Vec<u64> = serde_json::from_value(answer["msgIds"].clone()).unwrap();
    assert_eq!((ids.len(), answer.get("msgId")), (1000, None));
    assert!(ids.is_sorted_by(|one, next| one < next));
    assert_eq!(answer["sendAt"], ids[0] / 1000);
    assert_eq!(online.message().await["msgId"], ids[500]);
    for n in [0, 500, 999] {
        let kept = server.mailbox(&users[n]).await;
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0]["msgId"], ids[n]);
        assert_eq!(kept[0]["offline"], n != 500);
    }
    let one = sent(&server, json!({"toId": null, "toIds": ["box"]})).await;
    assert_eq!(one["msgIds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_client_msg_id_is_stored_once() {
    let mut server = Server::start().await;
    let first = sent(&server, json!({"clientMsgId": "c", "content": 1})).await;
    let repeat = async |server: &Server, changes: Value| {
        let answer = server
            .post("/messages", PROJECT_TOKEN, message(changes))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["duplicate"], true);
        answer.json()
    };
    // The first one stands, whatever the repeat's content.
    let again = repeat(&server, json!({"clientMsgId": "c", "content": 2})).await;
    assert_eq!(again["msgId"], first["msgId"]);
    assert_eq!(again["sendAt"], first["sendAt"]);
    let as_array = json!({"clientMsgId": "c", "toId": null, "toIds": ["box"]});
    let again = repeat(&server, as_array).await;
    assert_eq!(again["msgIds"], json!([first["msgId"]]));
    server.kill9().await;
    server.spawn().await;
    repeat(&server, json!({"clientMsgId": "c"})).await;
    sent(&server, json!({"clientMsgId": "c", "fromId": "other"})).await;
    sent(&server, json!({"clientMsgId": "d"})).await;
    assert_eq!(server.mailbox("box").await.len(), 3);

    // The same sender's ids, also where it sends from a session.
    let mut shop = server.user("shop").await;
    let frame = json!({"toId": "box", "type": 10, "content": 1, "clientMsgId": "d"});
    shop.send(&frame).await;
    assert_eq!(shop.ack("d").await["duplicate"], true);
    let other_domain = server.add_domain("other").await;
    let elsewhere = message(json!({"domain": "other", "clientMsgId": "c"}));
    let answer = server.post("/messages", &other_domain, elsewhere).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[tokio::test]
async fn nothing_is_stored_for_anyone_where_one_recipient_is_wrong() {
    let server = Server::start().await;
    for wrong in [json!(""), json!("a"), json!({}), json!("x".repeat(129))] {
        let body = message(json!({"toId": null, "toIds": ["a", "b", wrong]}));
        let detail = server
            .post("/messages", PROJECT_TOKEN, &body)
            .await
            .problem(400);
        assert!(detail.contains("`toIds`"), "{detail}");
    }
    assert_eq!(
        server.mailbox("a").await.len() + server.mailbox("b").await.len(),
        0
    );
}

#[tokio::test]
async fn one_resource_of_a_recipient_can_be_written_to() {
    let server = Server::start().await;
    let mut web = server.user("box").await;
    let mut phone = server.login(&Login::new("box").resource("phone")).await;
    let first = sent(&server, json!({"toResource": "phone"})).await;
    let second = sent(&server, json!({})).await;
    assert_eq!(web.message().await["msgId"], second["msgId"]);
    assert_eq!(phone.message().await["msgId"], first["msgId"]);
    assert_eq!(phone.message().await["msgId"], second["msgId"]);
}

#[tokio::test]
async fn a_whole_request_is_carried_out_also_where_its_sender_leaves() {
    let server = Server::start().await;
    for n in 0..20 {
        let body = message(json!({"content": n})).to_string();
        let head = format!(
            "POST /messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {PROJECT_TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = server.stream().await;
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
    }
    until("all messages", async || {
        let page = server.history("box", "").await;
        (page["total"] == 20).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let server = Server::start().await;
    let body = message(json!({})).to_string();
    let (one, other) = body.split_at(20);
    let text = format!(
        "POST /messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {PROJECT_TOKEN}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n",
        one.len(),
        other.len()
    );
    let mut stream = server.stream().await;
    stream.write_all(text.as_bytes()).await.unwrap();
    until("the message", async || {
        (server.mailbox("box").await.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_refuses_messages_and_says_when_to_come_again() {
    let home = Arc::new(Home::new());
    let Some(disk) = SmallDisk::mount(&home.data(), 48) else {
        return;
    };
    let server = Server::at(home.clone(), Options::new()).await;
    let end = tokio::time::Instant::now() + DEADLINE;
    let mut n = 0;
    let refused = loop {
        disk.fill();
        let body = message(json!({"clientMsgId": n.to_string(), "content": "x".repeat(200_000)}));
        let answer = server.post("/messages", PROJECT_TOKEN, &body).await;
        if answer.status == 503 {
            break answer;
        }
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert!(
            tokio::time::Instant::now() < end,
            "a full disk takes messages"
        );
        n += 1;
    };
    refused.problem(503);
    assert_eq!(refused.json()["code"], "storage_unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    disk.free();
    // Nothing of it was stored: the same id is not a repeat.
    let stored = until("room on the disk", async || {
        let body = message(json!({"clientMsgId": n.to_string()}));
        let answer = server.post("/messages", PROJECT_TOKEN, &body).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(stored.status, 201, "{}", stored.body);
    assert_eq!(server.mailbox("box").await.len(), n + 1);
    drop(server);
    drop(disk);
}

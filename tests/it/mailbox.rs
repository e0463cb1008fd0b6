//! One mailbox under stress: many senders, receivers that come and go, and outboxes so small that
//! live delivery and catch-up change places all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Login, Options, Server};
use serde_json::{Value, json};

const SENDERS: usize = 4;
const SENDS: usize = 600;
const RECEIVERS: usize = 3;

/// Sends numbered messages of all sizes, some of them only to `device-0`.
async fn send_all(server: Arc<Server>, sender: usize) {
    let mut client = server.user(&format!("sender-{sender}")).await;
    for n in 0..SENDS {
        let size = [0, 10, 700, 5000][n % 4];
        let mut frame = json!({
            "toId": "box", "type": 10, "content": format!("{sender} {n} {}", "x".repeat(size)),
            "clientMsgId": n.to_string(),
        });
        if n % 17 == 0 {
            frame["toResource"] = "device-0".into();
        }
        client.send(&frame).await;
        if n % 50 == 49 {
            client.ack(&n.to_string()).await;
        }
    }
}

fn id_of(text: &str) -> Option<u64> {
    let message: Value = serde_json::from_str(text).ok()?;
    message["msgId"].as_u64()
}

/// Comes and goes until all is `sent`, and then once more; what each connection got.
async fn receive(server: Arc<Server>, device: String, sent: Arc<AtomicBool>) -> Vec<Vec<u64>> {
    let login = Login::new("box").resource(&device);
    let ids = |texts: Vec<String>| texts.iter().filter_map(|text| id_of(text)).collect();
    let mut connections: Vec<Vec<u64>> = Vec::new();
    let mut stay = 1;
    while !sent.load(Ordering::Relaxed) {
        let mut client = server.connect(&login).await;
        for _ in 0..stay {
            client.ready().await;
        }
        connections.push(ids(client.rest().await));
        stay = stay % 40 + 7;
    }
    let mut client = server.connect(&login).await;
    let end = json!({"toId": "box", "type": 10, "content": "end", "toResource": device});
    client.send(&end).await;
    let end = client.find("the end", |text| text["content"] == "end");
    let end = end.await["msgId"].as_u64();
    let mut last: Vec<u64> = ids(client.rest().await);
    last.extend(end);
    connections.push(last);
    connections
}

#[tokio::test]
async fn nothing_is_lost_repeated_or_out_of_order() {
    let options = ["--outbox-bytes-max", "4KiB", "--tail-bytes-max", "1MiB"];
    let server = Arc::new(Server::with(Options::new().args(&options)).await);
    let sent = Arc::new(AtomicBool::new(false));
    let receivers: Vec<_> = (0..RECEIVERS)
        .map(|n| {
            let device = format!("device-{n}");
            tokio::spawn(receive(server.clone(), device, sent.clone()))
        })
        .collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| tokio::spawn(send_all(server.clone(), n)))
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    sent.store(true, Ordering::Relaxed);

    let mut connections = Vec::new();
    for receiver in receivers {
        connections.push(receiver.await.unwrap());
    }
    let all = server.mailbox("box").await;
    assert_eq!(all.len(), SENDERS * SENDS + RECEIVERS);
    for (device, connections) in connections.iter().enumerate() {
        // Positions among what this device is to get.
        let wanted: Vec<u64> = all
            .iter()
            .filter(|message| is_for(message, device))
            .map(|message| message["msgId"].as_u64().unwrap())
            .collect();
        let mut next = 0;
        for (at, got) in connections.iter().enumerate() {
            let Some(first) = got.first() else { continue };
            let start = wanted.binary_search(first).unwrap();
            assert!(
                start <= next || next == 0,
                "device {device}, connection {at}: a gap"
            );
            assert_eq!(
                got,
                &wanted[start..start + got.len()],
                "device {device}, {at}"
            );
            next = next.max(start + got.len());
        }
        assert_eq!(next, wanted.len(), "device {device} lacks the end");
    }
}

/// The history does not tell for which resource a message is, so its content has to.
fn is_for(message: &Value, device: usize) -> bool {
    let content = message["content"].as_str().unwrap();
    if content == "end" {
        return message["fromResource"] == format!("device-{device}");
    }
    let n: usize = content.split(' ').nth(1).unwrap().parse().unwrap();
    device == 0 || !n.is_multiple_of(17)
}

//! What a domain may store: the disk that it takes stays below twice of that, whatever it sends.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::json;

use super::*;

const QUOTA: u64 = 8 << 20;
/// The segment that is open has its room from the beginning.
const SEGMENT: u64 = 32 << 20;

fn disk_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap();
    let sizes = entries.map(|entry| {
        let entry = entry.unwrap();
        // A file may go meanwhile.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        }
    });
    sizes.sum()
}

/// One byte to 100 users who were never written to, with the longest ids, and an id of its own.
fn frame(n: usize) -> serde_json::Value {
    let to: Vec<String> = (0..100)
        .map(|of| format!("{:0>128}", n * 100 + of))
        .collect();
    json!({"toId": to, "type": 10, "content": 1, "clientMsgId": format!("{n:0>64}")})
}

#[tokio::test]
async fn one_byte_messages_take_no_more_of_the_disk_than_twice_the_quota() {
    let quota = QUOTA.to_string();
    let args = ["--store-quota", &quota];
    let mut server = Server::with(Options::new().args(&args)).await;
    let name = "n".repeat(256);
    let mut user = server.login(&Login::new("u1").name(&name)).await;
    // All of them are on their way at once: what has no answer yet counts, too.
    const SENDS: usize = 200;
    for n in 0..SENDS {
        user.send(&frame(n)).await;
    }
    let mut stored = 0;
    for n in 0..SENDS {
        let answer = user.answer(&format!("{n:0>64}")).await;
        match answer["error"]["code"].as_str() {
            None => stored += 1,
            Some(code) => assert_eq!(code, "storage_unavailable", "{answer}"),
        }
    }
    // Each counts for somewhat more than 100 times 512 bytes, the two names and the sender's.
    let each = 100 * (512 + 2 * 128 + 256);
    assert!(stored * each <= QUOTA, "{stored} were stored");
    assert!(stored * each > QUOTA * 3 / 4, "{stored} were stored");
    let limited = "limit=\"store_quota\"";
    let refused = metric(&server, "relaybox_limited_total", limited).await;
    assert_eq!(refused, SENDS as u64 - stored);

    // What it is measured to be after a start is the same, about.
    server.restart().await;
    let mut user = server.login(&Login::new("u1").name(&name)).await;
    for n in SENDS.. {
        user.send(&frame(n)).await;
        let answer = user.answer(&format!("{n:0>64}")).await;
        if answer["error"].is_object() {
            break;
        }
        stored += 1;
    }
    assert!(stored * each <= QUOTA, "{stored} were stored");
    server.stop().await;
    let data = server.home.data();
    let taken = disk_bytes(&data.join("db")) + disk_bytes(&data.join("journal"));
    assert!(
        taken < 2 * QUOTA + SEGMENT,
        "{taken} bytes on disk for {stored} sends"
    );
}

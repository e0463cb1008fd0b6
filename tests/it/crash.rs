//! Nothing that was acknowledged is ever lost or doubled, whatever ends the
//! server and whatever becomes of its index: PROTOCOL sections 3 and 4.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{Client, DEADLINE, Login, Server, until};
use serde_json::{Value, json};

const SENDERS: usize = 4;
const BOXES: usize = 3;
/// Sends of one sender that wait for their acknowledgement.
const WINDOW: usize = 8;

/// One sender's memory, which outlives the server: what it sent and what was acknowledged.
struct Sender {
    number: usize,
    next: u64,
    /// By clientMsgId, with the acknowledged ids where there are any.
    sends: BTreeMap<String, Option<Vec<u64>>>,
}

impl Sender {
    fn frame(&self, id: &str) -> Value {
        let n: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        let one = format!("box-{}", n % BOXES);
        // Every fifth goes to two mailboxes at once.
        let to = if n.is_multiple_of(5) {
            json!([one, format!("box-{}", (n + 1) % BOXES)])
        } else {
            json!(one)
        };
        let content = json!({"id": id, "padding": "x".repeat(n * 37 % 400)});
        json!({"toId": to, "type": 10, "content": content, "clientMsgId": id})
    }

    fn recipients(&self, id: &str) -> Vec<String> {
        match self.frame(id)["toId"].take() {
            Value::String(one) => vec![one],
            many => serde_json::from_value(many).unwrap(),
        }
    }

    /// Sends, first again what is in doubt, until the connection breaks or `count` new
    /// ones are acknowledged.
    async fn run(&mut self, client: &mut Client, count: u64, acks: &AtomicU64) {
        let mut waiting: Vec<String> = Vec::new();
        let doubtful = self.sends.iter().filter(|(_, ids)| ids.is_none());
        for (id, _) in doubtful
            .map(|(id, ids)| (id.clone(), ids))
            .collect::<Vec<_>>()
        {
            if !client.try_send_text(&self.frame(&id).to_string()).await {
                return;
            }
            waiting.push(id);
        }
        let end = self.next.saturating_add(count);
        loop {
            while waiting.len() < WINDOW && self.next < end {
                let id = format!("c-{}-{}", self.number, self.next);
                self.next += 1;
                let frame = self.frame(&id).to_string();
                self.sends.insert(id.clone(), None);
                waiting.push(id);
                if !client.try_send_text(&frame).await {
                    return;
                }
            }
            if waiting.is_empty() {
                return;
            }
            let Some(text) = client.text_or_close().await else {
                return;
            };
            let ack: Value = serde_json::from_str(&text).unwrap();
            let id = ack["ack"]
                .as_str()
                .unwrap_or_else(|| panic!("no ack: {ack}"));
            let ids = match ack["msgIds"].as_array() {
                Some(ids) => ids.iter().map(|id| id.as_u64().unwrap()).collect(),
                None => vec![ack["msgId"].as_u64().unwrap()],
            };
            let known = self.sends.insert(id.to_owned(), Some(ids)).unwrap();
            assert!(known.is_none(), "acknowledged twice: {id}");
            waiting.retain(|waiting| waiting != id);
            acks.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// All that the history holds: (mailbox, clientMsgId) → msgId; asserts that it holds nothing
/// twice and that ids rise.
async fn stored(server: &Server) -> BTreeMap<(String, String), u64> {
    let mut stored = BTreeMap::new();
    for n in 0..BOXES {
        let name = format!("box-{n}");
        let mut last = 0;
        for message in server.mailbox(&name).await {
            let id = message["msgId"].as_u64().unwrap();
            assert!(id > last, "{id} after {last}");
            last = id;
            let key = (
                name.clone(),
                message["content"]["id"].as_str().unwrap().to_owned(),
            );
            assert!(stored.insert(key.clone(), id).is_none(), "twice: {key:?}");
        }
    }
    stored
}

/// Asserts that every acknowledged send is stored under its ids.
fn assert_kept(senders: &[Sender], stored: &BTreeMap<(String, String), u64>, round: u64) {
    for sender in senders {
        for (id, ids) in &sender.sends {
            let Some(ids) = ids else { continue };
            for (name, msg_id) in sender.recipients(id).into_iter().zip(ids) {
                let found = stored.get(&(name.clone(), id.clone()));
                assert_eq!(found, Some(msg_id), "round {round}: {id} to {name}");
            }
        }
    }
}

fn login(number: usize) -> Login {
    Login::new(&format!("sender-{number}"))
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var("RELAYBOX_TEST_ROUNDS");
    let rounds: u64 = rounds.map_or(5, |text| text.parse().expect("a number of rounds"));
    let mut server = Server::start().await;
    let mut senders: Vec<Sender> = (0..SENDERS)
        .map(|number| Sender {
            number,
            next: 0,
            sends: BTreeMap::new(),
        })
        .collect();
    let mut newest = 0;
    for round in 0..rounds {
        let acks = Arc::new(AtomicU64::new(0));
        // A different moment in every round, early ones among them.
        let kill_at = 1 + (round * 7919 + u64::from(server.pid())) % 400;
        let mut running = Vec::new();
        for mut sender in senders.drain(..) {
            let mut client = server.connect(&login(sender.number)).await;
            let acks = acks.clone();
            running.push(tokio::spawn(async move {
                sender.run(&mut client, u64::MAX, &acks).await;
                sender
            }));
        }
        until("enough acknowledgements", async || {
            (acks.load(Ordering::SeqCst) >= kill_at).then_some(())
        })
        .await;
        server.kill9().await;
        for task in running {
            senders.push(tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap());
        }
        server.spawn().await;

        let stored = stored(&server).await;
        assert_kept(&senders, &stored, round);
        // Ids go on above all that was, also above what nobody was told of.
        let before = stored.values().copied().max().unwrap_or(newest);
        let mut prober = server.user("prober").await;
        newest = prober.say_acked("probes", "x").await;
        assert!(newest > before, "{newest} after {before}");
    }
    // What is in doubt is sent again: then everything is there, once.
    for sender in &mut senders {
        let mut client = server.login(&login(sender.number)).await;
        sender.run(&mut client, 10, &AtomicU64::new(0)).await;
        assert!(
            sender.sends.values().all(Option::is_some),
            "unanswered sends"
        );
    }
    let stored = stored(&server).await;
    assert_kept(&senders, &stored, rounds);
    let sent = senders
        .iter()
        .flat_map(|s| s.sends.keys().map(|id| s.recipients(id).len()));
    assert_eq!(stored.len(), sent.sum::<usize>());

    // And what the history holds is what a first login is given, in order.
    let expected: Vec<u64> = server.mailbox("box-0").await.iter().map(id_of).collect();
    let mut client = server.user("box-0").await;
    for id in expected {
        assert_eq!(client.message().await["msgId"], id);
    }
    client.nothing().await;
}

fn id_of(message: &Value) -> u64 {
    message["msgId"].as_u64().unwrap()
}

/// Every file below `directory`.
fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Something done to the index `data/db` while the server is down.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 7] = [
    ("deleted", |db| std::fs::remove_dir_all(db).unwrap()),
    ("emptied", |db| {
        std::fs::remove_dir_all(db).unwrap();
        std::fs::create_dir(db).unwrap();
    }),
    ("a file instead", |db| {
        std::fs::remove_dir_all(db).unwrap();
        std::fs::write(db, "no directory").unwrap();
    }),
    ("files overwritten", |db| {
        for path in files_below(db) {
            let bytes = std::fs::metadata(&path).unwrap().len();
            std::fs::write(&path, vec![0xa5; usize::try_from(bytes).unwrap()]).unwrap();
        }
    }),
    ("files cut in half", |db| {
        for path in files_below(db) {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
    }),
    ("files emptied", |db| {
        for path in files_below(db) {
            std::fs::write(&path, "").unwrap();
        }
    }),
    ("a byte in sixteen thousand flipped", |db| {
        for path in files_below(db) {
            let mut bytes = std::fs::read(&path).unwrap();
            for byte in bytes.iter_mut().skip(100).step_by(16_000) {
                *byte ^= 0x10;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }),
];

#[tokio::test]
async fn a_lost_or_damaged_index_comes_back_whole() {
    let mut server = Server::start().await;
    let token = server.add_domain("acme").await;
    let mut reader = server.user("reader").await;
    let mut sender = server.user("u1").await;
    for n in 0..200 {
        let content = format!("{n} {}", "x".repeat(n * 97 % 3000));
        sender.say_acked(["box", "reader"][n % 2], &content).await;
    }
    sender.say_acked("box", &"large".repeat(40_000)).await;
    let frame = json!({"toId": "box", "type": 10, "content": "once", "clientMsgId": "once"});
    sender.send(&frame).await;
    let once = sender.ack("once").await["msgId"].clone();
    reader.contents(100).await;
    reader.close().await;
    drop(sender);
    let boxed = server.mailbox("box").await;
    let read = server.mailbox("reader").await;
    for (case, damage) in DAMAGES {
        // After a clean stop the index is trusted, so a flipped byte may go unseen until it is
        // read; after a kill it is verified.
        let kills: &[bool] = if case.contains("flipped") {
            &[true]
        } else {
            &[true, false]
        };
        for &kill in kills {
            // First into the index with all of it, then stop in the way to be tried.
            server.restart().await;
            if kill {
                server.kill9().await;
            } else {
                server.stop().await;
            }
            damage(&server.home.data().join("db"));
            server.spawn().await;
            assert!(server.mailbox("box").await == boxed, "{case}, kill {kill}");
            assert!(
                server.mailbox("reader").await == read,
                "{case}, kill {kill}"
            );
            let mut sender = server.user("u1").await;
            sender.send(&frame).await;
            let ack = sender.ack("once").await;
            assert_eq!(
                (&ack["duplicate"], &ack["msgId"]),
                (&json!(true), &once),
                "{case}"
            );
            server.user("reader").await.nothing().await;
            server
                .login(&Login::new("u1").domain("acme").token(&token))
                .await;
        }
    }
    // Nobody has ever read this one.
    let mut client = server.user("box").await;
    for message in &boxed {
        assert_eq!(client.message().await["msgId"], message["msgId"]);
    }
    client.nothing().await;
}

#[tokio::test]
async fn a_plain_copy_of_the_running_data_directory_is_whole() {
    let mut server = Server::start().await;
    let mut sender = server.user("u1").await;
    for n in 0..300 {
        sender.say_acked("box", &n.to_string()).await;
    }
    let expected = server.mailbox("box").await;
    let copy = server.home.path("copy");
    let mut command = std::process::Command::new("cp");
    command.arg("-r").arg(server.home.data()).arg(&copy);
    assert!(command.status().unwrap().success());
    drop(sender);
    server.stop().await;
    std::fs::rename(server.home.data(), server.home.path("original")).unwrap();
    std::fs::rename(&copy, server.home.data()).unwrap();
    server.spawn().await;
    assert!(
        server.mailbox("box").await == expected,
        "the copy lacks messages"
    );
}

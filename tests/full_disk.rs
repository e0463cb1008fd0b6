//! A disk without room, whatever it is that is full: the server starts, serves what there is,
//! erases, sweeps and takes orders; and it takes sends again when there is room.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::random::Random;
use common::small_disk::SmallDisk;
use common::{Home, Login, Options, PROJECT_TOKEN, Server, until, until_within};
use serde_json::{Value, json};

/// A sweep works in small pieces, and tries again now and then.
const SWEPT_WITHIN: Duration = Duration::from_secs(120);

/// What is taken by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Space,
    Files,
}

struct World {
    full: Full,
    server: Server,
    sent: u64,
    /// What was acknowledged for each mailbox, by number.
    acked: BTreeMap<&'static str, BTreeMap<u64, u64>>,
    random: Random,
    disk: SmallDisk,
}

impl World {
    async fn new(full: Full) -> Option<Self> {
        let home = Arc::new(Home::new());
        let disk = SmallDisk::with_files(&home.data(), 200, 200)?;
        let server = Server::at(home.clone(), Options::new()).await;
        Some(Self {
            full,
            server,
            sent: 0,
            acked: BTreeMap::new(),
            random: Random::new(7),
            disk,
        })
    }

    fn fill(&self) {
        match self.full {
            Full::Space => self.disk.fill(),
            Full::Files => self.disk.fill_files(),
        }
    }

    fn free(&self) {
        match self.full {
            Full::Space => self.disk.free(),
            Full::Files => self.disk.free_files(),
        }
    }

    /// Sends 100 KiB that nothing makes smaller; whether that was taken.
    async fn send(&mut self, to: &'static str) -> bool {
        self.sent += 1;
        let n = self.sent;
        let padding: String = (0..100 << 10)
            .map(|_| char::from(b'0' + self.random.below(64) as u8))
            .collect();
        let body = json!({
            "domain": "demo", "toId": to, "fromId": "shop", "fromName": "Shop", "type": 10,
            "content": {"n": n, "padding": padding},
        });
        let answer = self.server.post("/messages", PROJECT_TOKEN, &body).await;
        if answer.status == 503 {
            return false;
        }
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.json()["msgId"].as_u64().unwrap();
        self.acked.entry(to).or_default().insert(n, id);
        true
    }

    /// The whole mailbox. Where a checkpoint met the full disk in the midst, the index is opened
    /// anew, and is away for as long as that takes.
    async fn mailbox(&self, to: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = all.len() / 100 + 1;
            let target = format!("/message-log?domain=demo&toId={to}&size=100&page={page}");
            let answer = until("a page of history", async || {
                let answer = self.server.get(&target, Some(PROJECT_TOKEN)).await;
                (answer.status != 503).then_some(answer)
            })
            .await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let list = answer.json()["list"].as_array().unwrap().clone();
            let is_last = list.len() < 100;
            all.extend(list);
            if is_last {
                return all;
            }
        }
    }

    /// Exactly the acknowledged ones are in the history, under their ids.
    async fn check(&self) {
        for (to, acked) in &self.acked {
            let mut found = BTreeMap::new();
            for message in self.mailbox(to).await {
                let n = message["content"]["n"].as_u64().unwrap();
                found.insert(n, message["msgId"].as_u64().unwrap());
            }
            assert!(found == *acked, "{to}: {found:?} instead of {acked:?}");
        }
    }

    /// Erases a mailbox, and waits until nothing of it is on the disk.
    async fn erase(&mut self, of: &'static str) {
        let bearer = format!("Bearer {PROJECT_TOKEN}");
        let headers = [("authorization", bearer.as_str())];
        let target = format!("/message-log?domain=demo&toId={of}");
        let answer = self.server.request("DELETE", &target, &headers).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        self.acked.entry(of).or_default().clear();
        self.check().await;
        let mark = self.server.home.data().join("sweep.due");
        let is_done = async || (!mark.exists()).then_some(());
        until_within(SWEPT_WITHIN, "the sweep", is_done).await;
        self.check().await;
    }

    async fn is_ready(&self) -> bool {
        self.server.get("/readyz", None).await.status == 200
    }

    /// Sends until nothing more is taken.
    async fn send_until_full(&mut self) {
        let begun = self.sent;
        loop {
            self.fill();
            let sent = self.send("box").await;
            if !sent && !self.is_ready().await {
                break;
            }
            assert!(self.sent < begun + 1000, "100 MB went onto a full disk");
        }
        assert_eq!(self.server.get("/healthz", None).await.status, 200);
        let mut login = self.server.connect(&Login::new("late")).await;
        login.try_send_text("ping").await;
        assert_eq!(login.text_or_code().await, Err(Some(1013)));
        self.check().await;
    }

    /// All the commands, beside a server that runs or without one.
    async fn orders(&self, name: &str) {
        let home = &self.server.home;
        home.cli(&["domain", "add", name]).await.success();
        home.cli(&["domain", "rotate", name]).await.success();
        let list = home.cli(&["domain", "list"]).await.success();
        assert!(list.contains(name), "{list}");
        let user = ["token", "--domain", name, "--id", "u"];
        home.cli(&user).await.success();
        let remove = ["domain", "remove", name, "--yes"];
        home.cli(&remove).await.success();
        let copy = home.path(format!("copy-{name}"));
        let copy = copy.to_str().unwrap();
        home.cli(&["backup", copy]).await.success();
        home.cli_bare(&["check", copy]).await.success();
        home.cli(&["check"]).await.success();
        // It finds that the disk is full.
        home.cli(&["doctor"]).await.failure(1, &[]);
    }
}

async fn scenario(full: Full) {
    let Some(mut world) = World::new(full).await else {
        return;
    };
    for to in ["box", "other", "third"].into_iter().cycle().take(300) {
        assert!(world.send(to).await);
    }
    world.send_until_full().await;
    world.orders("running").await;
    world.check().await;
    world.erase("third").await;

    // What that has freed is taken again.
    world.send_until_full().await;
    world.server.stop().await;
    world.fill();
    world.server.spawn().await;
    world.send_until_full().await;
    for _ in 0..3 {
        world.server.kill9().await;
        world.fill();
        world.server.spawn().await;
        world.send_until_full().await;
    }
    world.server.stop().await;
    world.fill();
    world.orders("stopped").await;
    let home = world.server.home.clone();
    home.cli(&["check", "--repair"]).await.success();
    world.fill();
    world.server.spawn().await;
    world.check().await;

    // What is erased makes room for what comes.
    world.erase("other").await;
    if full == Full::Files {
        world.free();
    }
    until("room", async || world.is_ready().await.then_some(())).await;
    assert!(world.send("box").await);
    world.server.restart().await;
    world.check().await;
}

#[tokio::test]
async fn without_space() {
    scenario(Full::Space).await;
}

#[tokio::test]
async fn without_files() {
    scenario(Full::Files).await;
}

//! Walks over mailboxes that grow meanwhile meet every message once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::task::JoinHandle;

use super::ids;
use crate::harness::links::links;
use crate::support::{Login, Options, PROJECT_TOKEN, Server, until};

const SENDERS: usize = 3;
/// Sends of each, at least.
const SENDS: usize = 150;

/// Senders write to the box, and it to them, until they are told to stop.
struct Growth {
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Growth {
    fn begin(server: &Arc<Server>) -> Self {
        let (sent, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let grow = |sender: usize| {
            let (server, sent, stop) = (server.clone(), sent.clone(), stop.clone());
            tokio::spawn(async move {
                let name = format!("s{sender}");
                let mut client = server.user(&name).await;
                let owner = Login::new("box").resource(&name);
                let mut owner = server.login(&owner).await;
                let mut n = 0;
                while n < SENDS || !stop.load(Ordering::Relaxed) {
                    // Some are larger than a piece of an answer.
                    let content =
                        "x".repeat([5, 300, 20_000][n % 29 % 3 * usize::from(n % 7 == 0)]);
                    client.say_acked("box", &content).await;
                    if n % 3 == 0 {
                        owner.say_acked(&name, &content).await;
                    }
                    n += 1;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        Self {
            tasks: (0..SENDERS).map(grow).collect(),
            sent,
            stop,
        }
    }

    async fn reached(&self, count: usize) {
        until("the mailbox to grow", async || {
            (self.sent.load(Ordering::Relaxed) >= count).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn server() -> Arc<Server> {
    // The index is written often: messages move from memory into it while they are walked over.
    let options = Options::new().args(&["--tail-bytes-max", "1MiB"]);
    Arc::new(Server::with(options).await)
}

/// Follows the links from here to the end: what was listed, and `asOf`.
async fn follow(server: &Server, more: &str) -> (Vec<u64>, u64) {
    let mut target = format!("/message-log?domain=demo&toId=box&size=23{more}");
    let mut listed = Vec::new();
    loop {
        let answer = server.get(&target, Some(PROJECT_TOKEN)).await;
        let body = answer.json();
        listed.extend(ids(&body));
        match links(&answer).remove("next") {
            Some(next) => target = next,
            None => return (listed, body["asOf"].as_u64().unwrap()),
        }
    }
}

fn ids_from(messages: &[Value], sender: Option<&str>) -> Vec<u64> {
    let theirs = |m: &&Value| sender.is_none_or(|sender| m["fromId"] == sender);
    let ids = messages.iter().filter(theirs).map(|m| m["msgId"].as_u64());
    ids.flatten().collect()
}

/// The newest first, as all of `wanted` up to `as_of`, each once.
fn assert_walked(mut listed: Vec<u64>, ascending: bool, as_of: u64, wanted: &[u64], what: &str) {
    if !ascending {
        listed.reverse();
    }
    let wanted: Vec<u64> = wanted.iter().copied().filter(|id| *id <= as_of).collect();
    assert!(wanted.len() > SENDS / 10, "{what}: only {}", wanted.len());
    assert_eq!(listed, wanted, "{what}");
}

#[tokio::test]
async fn a_walk_meets_every_message_once() {
    let server = server().await;
    let growth = Growth::begin(&server);
    growth.reached(SENDS / 2).await;
    let walks = [
        "",
        "&order=asc",
        "&after=0",
        "&before=9007199254740991",
        "&after=0&before=9007199254740991",
        "&fromId=s1",
        "&fromId=s1&order=asc",
        "&fromId=s1&after=0",
        "&with=s1",
        "&with=s1&after=0",
    ];
    let walk = async |more: &'static str| (more, follow(&server, more).await);
    let walked = futures_util::future::join_all(walks.map(walk)).await;
    growth.end().await;
    let all = server.mailbox("box").await;
    let theirs = server.mailbox("s1").await;
    for (more, (listed, as_of)) in walked {
        let mut wanted = ids_from(&all, more.contains("s1").then_some("s1"));
        if more.contains("with") {
            wanted.extend(ids_from(&theirs, Some("box")));
            wanted.sort_unstable();
        }
        let range = more.contains("before=");
        let ascending = more.contains("asc") || more.contains("after=") && !range;
        assert_walked(listed, ascending, as_of, &wanted, more);
    }
}

#[tokio::test]
async fn who_goes_upwards_meets_what_arrives_meanwhile() {
    let server = server().await;
    let growth = Growth::begin(&server);
    let (mut listed, mut last, mut ended) = (Vec::<u64>::new(), 0, false);
    loop {
        let answer = server
            .history("box", &format!("&size=100&after={last}"))
            .await;
        let list = ids(&answer);
        listed.extend(&list);
        match list.last() {
            Some(newest) => last = *newest,
            None if ended => break,
            None => {}
        }
        if growth.sent.load(Ordering::Relaxed) >= SENDERS * SENDS {
            growth.stop.store(true, Ordering::Relaxed);
            ended = growth.tasks.iter().all(JoinHandle::is_finished);
        }
    }
    growth.end().await;
    let all = server.mailbox("box").await;
    let all: Vec<u64> = all.iter().map(|m| m["msgId"].as_u64().unwrap()).collect();
    assert_eq!(listed, all);
}

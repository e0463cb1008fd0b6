//! How fast the store is, beside the least that the same durability costs.
//!
//! `cargo bench --bench store`. Each figure of the store is paired in the same run with
//! its floor: the same bytes in batches of the same number of messages, appended to a
//! plain file with one fdatasync each. Settings: `RELAYBOX_BENCH_SECONDS` (for each
//! load, default 8), `RELAYBOX_BENCH_DIR` (default: under the build directory).
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use relaybox::clock::SystemClock;
use relaybox::model::{
    ClientMsgId, Domain, Draft, Mailbox, Message, MessageType, MsgId, Recipient, Resource, UserId,
    UserName,
};
use relaybox::store::{CommitSink, Store, StoreOptions};

const MAILBOXES: u64 = 10_000;
/// About 250 bytes with the names.
const CONTENT_BYTES: usize = 200;
const PAGED_MESSAGES: u64 = 120_000;
const RARE_EVERY: u64 = 2_000;

struct Ignore;

impl CommitSink for Ignore {
    fn committed(&self, _: &[Message]) {}
}

fn main() {
    let seconds = std::env::var("RELAYBOX_BENCH_SECONDS").ok();
    let seconds = seconds
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(8);
    let duration = Duration::from_secs(seconds);
    let base = std::env::var_os("RELAYBOX_BENCH_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-store"),
        PathBuf::from,
    );
    fs::remove_dir_all(&base).unwrap_or_default();
    fs::create_dir_all(&base).unwrap();
    println!(
        "| load | durable msg/s | floor msg/s | of the floor | ack p50 / p99 / worst ms | batch | disk bytes a message byte | RSS grew MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (senders, own_ids) in [(64, false), (1_000, false), (1_000, true)] {
        let name = if own_ids { ", with clientMsgId" } else { "" };
        load(
            &base.join("load"),
            senders,
            own_ids,
            duration,
            &format!("{senders} senders{name}"),
        );
    }
    pages(&base.join("pages"));
    fs::remove_dir_all(&base).unwrap_or_default();
}

/// Names and contents that differ like those of a chat.
struct Load {
    domain: Domain,
    users: Vec<UserId>,
    name: UserName,
    resource: Resource,
    seed: u64,
}

impl Load {
    fn new() -> Self {
        let users = (0..MAILBOXES).map(|n| UserId::parse(&format!("user-{n}")).unwrap());
        Self {
            domain: Domain::parse("bench").unwrap(),
            users: users.collect(),
            name: UserName::parse("Somebody").unwrap(),
            resource: Resource::parse("web").unwrap(),
            seed: 1,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 33) % below
    }

    fn content(&mut self) -> Arc<str> {
        const WORDS: [&str; 16] = [
            "the ",
            "meeting ",
            "is ",
            "at ",
            "noon ",
            "please ",
            "send ",
            "me ",
            "that ",
            "file ",
            "again ",
            "thanks ",
            "see ",
            "you ",
            "tomorrow ",
            "then ",
        ];
        let mut content = String::with_capacity(CONTENT_BYTES + 16);
        content.push('"');
        while content.len() < CONTENT_BYTES {
            let word = self.random(24) as usize;
            match WORDS.get(word) {
                Some(word) => content.push_str(word),
                None => content.push_str(&format!("{:x} ", self.random(1 << 20))),
            }
        }
        content.push('"');
        content.into()
    }

    fn draft(&mut self, from: UserId, to: UserId) -> Draft {
        Draft {
            domain: self.domain.clone(),
            recipients: vec![Recipient {
                user: to,
                offline: false,
            }],
            to_resource: None,
            from_id: from,
            from_name: self.name.clone(),
            from_resource: self.resource.clone(),
            kind: MessageType(10),
            content: self.content(),
            client_msg_id: None,
        }
    }

    fn any_user(&mut self) -> UserId {
        let at = self.random(MAILBOXES) as usize;
        self.users[at].clone()
    }
}

fn send(store: &Store, draft: Draft, sender: usize, acks: &Sender<(usize, Duration)>) {
    let acks = acks.clone();
    let begun = Instant::now();
    let done = move |outcome: Result<_, _>| {
        let _: relaybox::store::Accepted = outcome.unwrap();
        // Nobody listens any more at the end of the run.
        let _ = acks.send((sender, begun.elapsed()));
    };
    store.append(draft, Box::new(done));
}

fn load(dir: &Path, senders: usize, own_ids: bool, duration: Duration, title: &str) {
    let rss_before = rss_bytes();
    let options = StoreOptions::new(dir);
    let store = Store::open(options, Arc::new(SystemClock), Arc::new(Ignore)).unwrap();
    let frames_before = store.stats().frames;
    let mut load = Load::new();
    let (acks, acked) = channel();
    let mut sent = 0_u64;
    let mut message_bytes = 0_u64;
    let mut next = |load: &mut Load, sender: usize| {
        let to = load.any_user();
        let mut draft = load.draft(load.users[sender].clone(), to);
        sent += 1;
        if own_ids {
            draft.client_msg_id = Some(ClientMsgId::parse(&format!("c-{sent}")).unwrap());
        }
        message_bytes += draft.content.len() as u64 + 50;
        send(&store, draft, sender, &acks);
    };
    for sender in 0..senders {
        next(&mut load, sender);
    }
    let mut latencies = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < duration {
        let (sender, latency) = acked.recv().unwrap();
        latencies.push(latency);
        next(&mut load, sender);
    }
    let elapsed = begun.elapsed();
    let rss_peak = rss_bytes();
    let frames = store.stats().frames - frames_before;
    let rate = latencies.len() as f64 / elapsed.as_secs_f64();
    let batch = (sent as f64 / frames as f64).max(1.0);
    store.close();
    drop(store);
    let disk = disk_bytes(dir) as f64 / message_bytes as f64;
    fs::remove_dir_all(dir).unwrap();
    let floor = floor(dir, batch, duration / 4);
    latencies.sort_unstable();
    let ms = |part: f64| {
        let at = ((latencies.len() - 1) as f64 * part) as usize;
        latencies[at].as_secs_f64() * 1_000.0
    };
    println!(
        "| {title} | {rate:.0} | {floor:.0} | {:.0} % | {:.2} / {:.2} / {:.1} | {batch:.0} | {disk:.2} | {} |",
        100.0 * rate / floor,
        ms(0.5),
        ms(0.99),
        ms(1.0),
        rss_peak.saturating_sub(rss_before) >> 20
    );
}

/// Messages a second of appending batches of so many messages with an fdatasync each.
fn floor(dir: &Path, batch: f64, duration: Duration) -> f64 {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join("floor");
    let mut file = File::create(&path).unwrap();
    let bytes = vec![b'x'; (batch * (CONTENT_BYTES + 50) as f64) as usize];
    let begun = Instant::now();
    let mut batches = 0;
    while begun.elapsed() < duration {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        batches += 1;
    }
    let rate = f64::from(batches) * batch / begun.elapsed().as_secs_f64();
    fs::remove_dir_all(dir).unwrap();
    rate
}

fn pages(dir: &Path) {
    let store = Store::open(
        StoreOptions::new(dir),
        Arc::new(SystemClock),
        Arc::new(Ignore),
    );
    let store = store.unwrap();
    let mut load = Load::new();
    let (acks, acked) = channel();
    let reader = UserId::parse("reader").unwrap();
    let rare = UserId::parse("rare").unwrap();
    for n in 0..PAGED_MESSAGES {
        let from = if n % RARE_EVERY == 0 {
            rare.clone()
        } else {
            load.any_user()
        };
        let draft = load.draft(from, reader.clone());
        send(&store, draft, 0, &acks);
        if n >= 5_000 {
            acked.recv().unwrap();
        }
    }
    drop(acks);
    while acked.recv().is_ok() {}
    store.checkpoint();
    let mailbox = Mailbox {
        domain: load.domain.clone(),
        user: reader,
    };
    println!("\n| page of 10 of {PAGED_MESSAGES} messages | µs |\n| --- | --- |");
    for (title, page, from) in [
        ("page 1", 1, None),
        ("page 10,000", 10_000, None),
        ("page 1, a rare sender's", 1, Some(&rare)),
        ("page 6, a rare sender's", 6, Some(&rare)),
    ] {
        const TIMES: u32 = 500;
        let begun = Instant::now();
        for _ in 0..TIMES {
            let total = store.rank(&mailbox, from, MsgId::MAX).unwrap();
            let end = total - (page - 1) * 10;
            let list = store.slice(&mailbox, from, end - 10..end).unwrap();
            assert_eq!(list.len(), 10);
        }
        println!(
            "| {title} | {:.0} |",
            (begun.elapsed() / TIMES).as_secs_f64() * 1e6
        );
    }
    store.close();
}

fn disk_bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            bytes += disk_bytes(&entry.path());
        } else {
            use std::os::unix::fs::MetadataExt;
            bytes += entry.metadata().unwrap().blocks() * 512;
        }
    }
    bytes
}

fn rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}

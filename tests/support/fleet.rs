//! Devices and senders that live behind unruly proxies until they are told to finish, and the
//! story of it all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::checker::{self, Kill, Sent, Story};
use super::device::{Device, Mode, Shared};
use super::link::Dialer;
use super::proxy::{Fate, Proxy};
use super::random::Random;
use super::sender::{Sender, Task};
use super::{DEMO, PROJECT_TOKEN, Server, encode, soon, tls, until, wire};

const MODES: [Mode; 3] = [Mode::Auto, Mode::Manual, Mode::After];
/// How long senders may take to have all acknowledged, once they have sent all.
const SENDERS_WITHIN: Duration = Duration::from_secs(120);

/// How large a fleet is, and what it does.
#[derive(Debug, Clone)]
pub struct Plan {
    pub users: usize,
    /// Devices that are there before the first message.
    pub devices: usize,
    /// Devices that may come later.
    pub late: usize,
    pub senders: usize,
    /// Of each sender, at most.
    pub sends: usize,
    pub pace_ms_max: usize,
    /// Large messages of a hundred.
    pub large: usize,
}

/// A fleet under way.
pub struct Fleet {
    proxies: [Proxy; 2],
    random: Random,
    shared: Arc<Shared>,
    dialer: Dialer,
    stop: Arc<AtomicBool>,
    /// User, resource and mode of all devices there are to be, and how many of them run.
    planned: Vec<(String, String, Mode)>,
    running: usize,
    devices: JoinSet<(checker::Device, Vec<String>)>,
    senders: JoinSet<(Vec<Sent>, Vec<String>)>,
    story: Story,
}

impl Fleet {
    /// Lets a fleet loose on a server that listens with and without TLS.
    pub async fn start(server: &Server, plan: &Plan, random: Random) -> Self {
        let plain = server.plain.as_ref().expect("a plain listener, too");
        let proxies = [
            Proxy::to(&server.address, random.fork(1)).await,
            Proxy::to(plain, random.fork(2)).await,
        ];
        let users: Vec<String> = (0..plan.users).map(|n| format!("user-{n}")).collect();
        let offered = users.iter().map(|user| (user.clone(), AtomicU64::new(0)));
        let shared = Arc::new(Shared {
            began: Instant::now(),
            offered: offered.collect(),
            finish: watch::Sender::new(None),
            present: AtomicU64::new(0),
            met: AtomicU64::new(0),
        });
        let planned: Vec<_> = (0..plan.devices + plan.late)
            .map(|n| {
                let mode = MODES[random.fork(5000 + n as u64).below(MODES.len())];
                (
                    users[n % users.len()].clone(),
                    format!("{mode:?}-{n}"),
                    mode,
                )
            })
            .collect();
        let roots = tls::roots(&server.home.ca());
        let mut fleet = Self {
            dialer: Dialer::new(roots, &proxies[0].address, &proxies[1].address),
            proxies,
            random,
            shared,
            stop: Arc::default(),
            planned,
            running: 0,
            devices: JoinSet::new(),
            senders: JoinSet::new(),
            story: Story::default(),
        };
        fleet.launch(server, plan, &users).await;
        fleet
    }

    async fn launch(&mut self, server: &Server, plan: &Plan, users: &[String]) {
        // All that are early are known before anything is sent, and get that first.
        let early = plan.devices as u64;
        (0..early).for_each(|_| self.run_next(true, 0));
        self.counted("logins", |shared| &shared.present, early)
            .await;
        self.announce(server, "hello").await;
        self.counted("first deliveries", |shared| &shared.met, early)
            .await;
        self.set_calm(false);
        // Of those that are late, half are written to before they come.
        let targets = self.planned.iter().take(plan.devices + plan.late / 2);
        let targets: Vec<_> = targets
            .map(|(user, resource, _)| (user.clone(), resource.clone()))
            .collect();
        for n in 0..plan.senders {
            let task = Task {
                name: format!("sender-{n}"),
                users: users.to_vec(),
                resources: targets.clone(),
                sends: plan.sends,
                pace_ms_max: plan.pace_ms_max,
                large: plan.large,
                stop: self.stop.clone(),
            };
            let random = self.random.fork(2000 + n as u64);
            let sender = Sender::new(task, self.dialer.clone(), random);
            self.senders.spawn(sender.run());
        }
    }

    /// Lets up to `count` more devices come, within so many milliseconds.
    pub fn join(&mut self, count: usize, within_ms: usize) {
        let left = self.planned.len() - self.running;
        (0..count.min(left)).for_each(|_| self.run_next(false, within_ms));
    }

    fn run_next(&mut self, early: bool, within_ms: usize) {
        let (user, resource, mode) = &self.planned[self.running];
        let mut random = self.random.fork(10_000 + self.running as u64);
        let pause = random.millis(within_ms);
        let (dialer, shared) = (self.dialer.clone(), self.shared.clone());
        let device = Device::new((user, resource), *mode, early, dialer, random, shared);
        self.devices.spawn(device.run(pause));
        self.running += 1;
    }

    fn set_calm(&self, calm: bool) {
        for proxy in &self.proxies {
            proxy.set_calm(calm);
        }
    }

    async fn counted(&self, what: &str, counter: fn(&Shared) -> &AtomicU64, wanted: u64) {
        until(what, async || {
            (counter(&self.shared).load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .await;
    }

    /// Sends a message to each user, straight to the server; their ids.
    async fn announce(&mut self, server: &Server, word: &str) -> BTreeMap<String, u64> {
        let mut client = server.user("herald").await;
        let users: Vec<String> = self.shared.offered.keys().cloned().collect();
        let mut ids = BTreeMap::new();
        for user in users {
            let key = format!("{word}-{user}");
            let content = json!({"key": key}).to_string();
            let frame =
                json!({"toId": user, "type": 10, "content": {"key": key}, "clientMsgId": key});
            client.send(&frame).await;
            let id = client.ack(&key).await["msgId"].as_u64().unwrap();
            self.story.sent.push(Sent {
                key,
                from: "herald/web".into(),
                to: vec![user.clone()],
                to_resource: None,
                content: wire::hash(&content),
                attempts: 1,
                ids: Some(vec![id]),
            });
            ids.insert(user, id);
        }
        client.close().await;
        ids
    }

    /// Something befalls the server that leaves it dead; starts it again.
    pub async fn strike(&mut self, server: &mut Server, blow: impl AsyncFnOnce(&mut Server)) {
        let began = self.shared.began.elapsed();
        blow(server).await;
        let ended = self.shared.began.elapsed();
        self.story.kills.push(Kill { began, ended });
        server.spawn().await;
        self.moved(server);
    }

    /// The server is back, at another address.
    pub fn moved(&self, server: &Server) {
        self.proxies[0].retarget(&server.address);
        self.proxies[1].retarget(server.plain.as_ref().expect("a plain listener"));
    }

    /// No new sends from now on; those that were begun are brought to their end.
    pub fn stop_sending(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the senders, then lets all devices get what they lack; the whole story, and how
    /// often which end came to connections.
    pub async fn finish(mut self, server: &Server) -> (Story, BTreeMap<Fate, usize>) {
        let all_sent = async {
            while let Some(done) = self.senders.join_next().await {
                let (sent, wrong) = done.unwrap();
                self.story.sent.extend(sent);
                self.story.wrong.extend(wrong);
            }
        };
        let all_sent = timeout(SENDERS_WITHIN, all_sent).await;
        all_sent.expect("every send is acknowledged in the end");
        let mut befell = self.proxies[0].tally();
        for (fate, count) in self.proxies[1].tally() {
            *befell.entry(fate).or_default() += count;
        }
        let took = self.shared.began.elapsed();
        eprintln!("all sent after {took:?}; befell: {befell:?}");
        self.set_calm(true);
        let last = self.announce(server, "end").await;
        self.shared.finish.send_replace(Some(last));
        while let Some(done) = self.devices.join_next().await {
            let (diary, wrong) = done.unwrap();
            self.story.devices.push(diary);
            self.story.wrong.extend(wrong);
        }
        eprintln!("finished after {:?}", self.shared.began.elapsed());
        let users: Vec<String> = self.shared.offered.keys().cloned().collect();
        for user in users {
            let history = soon("the history", history(server, &user)).await;
            self.story.history.insert(user, history);
        }
        (self.story, befell)
    }
}

/// Everything in a mailbox, oldest first.
async fn history(server: &Server, user: &str) -> Vec<checker::Message> {
    let mut all = Vec::new();
    for page in 1.. {
        let user = encode(user);
        let target = format!("/message-log?domain={DEMO}&toId={user}&size=100&page={page}");
        let answer = server.get(&target, Some(PROJECT_TOKEN)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let (total, list) = wire::page(&answer.body);
        if list.is_empty() {
            assert_eq!(total, all.len());
            break;
        }
        all.extend(list);
    }
    all.reverse();
    all
}

/// Asserts that a story has no fault, and says how much there was to find any in.
#[track_caller]
pub fn assert_good(story: &Story) {
    let connections = story.devices.iter().flat_map(|device| &device.connections);
    let connected = connections.clone().count();
    let got: usize = connections.map(|connection| connection.got.len()).sum();
    let stored: usize = story.history.values().map(Vec::len).sum();
    eprintln!(
        "{} sends, {stored} messages, {} devices, {connected} connections, {got} deliveries",
        story.sent.len(),
        story.devices.len(),
    );
    let faults = checker::check(story);
    let some = &faults[..faults.len().min(20)];
    let said = format!("{some:?}");
    for device in &story.devices {
        let name = format!("{}/{}", device.user, device.resource);
        if said.contains(&format!("{name}\"")) || said.contains(&format!("{name} ")) {
            eprintln!("{name}, from {}:", device.base);
            for connection in &device.connections {
                let ids: Vec<_> = connection.got.iter().map(|message| message.id).collect();
                let (opened, after, offered) =
                    (connection.opened, connection.after, connection.offered);
                eprintln!("  {opened:?} after {after:?}: {ids:?}, confirmed up to {offered}");
            }
        }
    }
    assert!(faults.is_empty(), "{} faults: {some:#?}", faults.len());
}

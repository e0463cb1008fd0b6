//! A full load of acknowledged sends from many sessions, that lasts until it is told to end or
//! the server is gone. What it did is in a ledger.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ledger::{self, Ledger, Sent};
use super::link::{Dialer, Heard, Link};
use super::random::Random;
use super::wire::{self, Ack};
use super::{Login, Server, soon, tls, until};

/// Sends of one session that wait for their acknowledgement.
const WINDOW: usize = 24;
/// Old sends that a new session repeats.
const REPEATS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);

/// Senders under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    acks: Arc<Acks>,
    senders: JoinSet<()>,
}

/// What was acknowledged.
#[derive(Default)]
pub struct Acks {
    pub count: AtomicU64,
    pub gap: Mutex<Gap>,
}

#[derive(Default)]
pub struct Gap {
    /// Since the last acknowledgement.
    pub since: Option<Instant>,
    /// The longest time without any.
    pub longest: Duration,
}

impl Acks {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut gap = self.gap.lock().unwrap();
        let since = gap.since.replace(Instant::now());
        let since = since.map_or(Duration::ZERO, |at| at.elapsed());
        gap.longest = gap.longest.max(since);
    }
}

impl Load {
    /// All senders of the ledger, each in a session of its own. `newest`: ids up to this one were
    /// there before, so none of them may be given again.
    pub fn start(server: &Server, ledger: &Arc<Ledger>, newest: u64, random: &Random) -> Self {
        let plain = server.plain.as_ref().expect("a plain listener, too");
        let dialer = Dialer::new(tls::roots(&server.home.ca()), &server.address, plain);
        let mut load = Self {
            stop: Arc::default(),
            acks: Arc::default(),
            senders: JoinSet::new(),
        };
        for number in 0..ledger.senders() {
            let sender = Sender {
                number,
                newest,
                ledger: ledger.clone(),
                random: random.fork(number as u64),
                stop: load.stop.clone(),
                acks: load.acks.clone(),
                waiting: VecDeque::new(),
            };
            load.senders.spawn(sender.run(dialer.clone()));
        }
        load
    }

    /// Waits until so many sends were acknowledged in all.
    pub async fn acknowledged(&self, count: u64) {
        until("acknowledgements", async || {
            (self.acks.count.load(Ordering::SeqCst) >= count).then_some(())
        })
        .await;
    }

    /// No new sends; returns when all that was sent is acknowledged, or the server gone.
    pub async fn end(mut self) -> Arc<Acks> {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = soon("the end of a sender", self.senders.join_next()).await {
            ended.unwrap();
        }
        self.acks
    }
}

struct Sender {
    number: usize,
    newest: u64,
    ledger: Arc<Ledger>,
    random: Random,
    stop: Arc<AtomicBool>,
    acks: Arc<Acks>,
    /// The numbers of sends that wait for their acknowledgement here.
    waiting: VecDeque<usize>,
}

impl Sender {
    async fn run(mut self, dialer: Dialer) {
        let login = Login::new(&ledger::sender_name(self.number));
        // Encrypted or not, but for all of a round: handshakes are dear.
        let encrypted = self.number.is_multiple_of(8);
        while !self.stopped() {
            match dialer.dial(&login, encrypted, PATIENCE).await {
                Ok(link) => self.session(link).await,
                Err(Heard::Wrong(what)) => panic!("{}: {what}", self.number),
                Err(_) => {}
            }
            sleep(AGAIN).await;
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn session(&mut self, mut link: Link) {
        self.waiting.clear();
        let (doubtful, old): (Vec<usize>, Vec<usize>) = {
            let account = self.ledger.account(self.number);
            let all = 0..account.len();
            all.partition(|number| account[*number].ids.is_none())
        };
        for number in doubtful {
            if !self.send(&mut link, number).await {
                return;
            }
        }
        for _ in 0..REPEATS.min(old.len()) {
            let number = old[self.random.below(old.len())];
            if !self.repeat(&mut link, number).await {
                return;
            }
        }
        loop {
            while self.waiting.len() < WINDOW && !self.stopped() {
                let number = self.begin();
                if !self.send(&mut link, number).await {
                    return;
                }
            }
            if self.waiting.is_empty() {
                return;
            }
            match link.next().await {
                Heard::Text(text) => match wire::answer(&text) {
                    Ok(Some(ack)) => self.acknowledge(&ack),
                    // Refused for now: again, in another session.
                    Ok(None) => return,
                    Err(wrong) => panic!("{wrong}"),
                },
                Heard::Ping(_) => {}
                Heard::Ended => return,
                Heard::Wrong(what) => panic!("{}: {what}", self.number),
            }
        }
    }

    /// The number of a new send.
    fn begin(&self) -> usize {
        let mut account = self.ledger.account(self.number);
        account.push(Sent::default());
        account.len() - 1
    }

    fn frame(&self, number: usize, content: &str) -> String {
        let to = self.ledger.recipients(self.number, number);
        let to: Vec<_> = to.into_iter().map(ledger::name).collect();
        let key = ledger::key(self.number, number);
        // Written by hand, so that the content's text stays as it is.
        format!(
            r#"{{"toId":{},"type":10,"content":{content},"clientMsgId":"{key}"}}"#,
            json!(to)
        )
    }

    async fn send(&mut self, link: &mut Link, number: usize) -> bool {
        {
            let mut account = self.ledger.account(self.number);
            account[number].attempts += 1;
            account[number].attempts_unseen += 1;
        }
        self.waiting.push_back(number);
        let content = ledger::content(self.number, number);
        link.send(&self.frame(number, &content)).await
    }

    /// Sends one again that is acknowledged, with another content: the first stands.
    async fn repeat(&mut self, link: &mut Link, number: usize) -> bool {
        self.waiting.push_back(number);
        link.send(&self.frame(number, r#""again""#)).await
    }

    fn acknowledge(&mut self, ack: &Ack) {
        let number = match ledger::numbers(&ack.key) {
            Some((sender, number)) if sender == self.number => number,
            _ => panic!("not sent here: {ack:?}"),
        };
        let place = self.waiting.iter().position(|waiting| *waiting == number);
        let place = place.unwrap_or_else(|| panic!("not waited for: {ack:?}"));
        self.waiting.remove(place);
        let mut account = self.ledger.account(self.number);
        let sent = &mut account[number];
        let known = sent.ids.as_ref().or(sent.found.as_ref());
        if let Some(known) = known {
            let repeated = ack.duplicate && ack.ids == *known;
            assert!(repeated, "it has the ids {known:?} already: {ack:?}");
        } else if ack.duplicate {
            assert!(sent.attempts_unseen > 1, "sent once only: {ack:?}");
        } else {
            let lowest = ack.ids.iter().min().copied().unwrap_or_default();
            assert!(lowest > self.newest, "{} was there: {ack:?}", self.newest);
        }
        if sent.ids.is_none() {
            sent.ids = Some(ack.ids.clone());
            self.acks.add();
        }
    }
}

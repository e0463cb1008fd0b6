//! What was sent and what was acknowledged, and whether a server holds just that.
//!
//! Contents and recipients follow from a send's number, so that all of a long run fits into
//! memory and every byte of it can be checked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use futures_util::stream::{self, StreamExt};

use super::checker::Message;
use super::random::Random;
use super::{DEMO, Login, PROJECT_TOKEN, Raw, Server, raw, wire};

/// Mailboxes that are read at the same time.
const READING_MAX: usize = 4;
/// How many pages of the history are held against the rest.
const PAGES: usize = 3;
const PAGE: usize = 100;

/// One send of a sender.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// As acknowledged, in the order of its recipients.
    pub ids: Option<Vec<u64>>,
    /// As it was found on a server that had not acknowledged it before.
    pub found: Option<Vec<u64>>,
    /// How often it was sent, and how often since it was last looked for.
    pub attempts: u32,
    pub attempts_unseen: u32,
}

/// What was acknowledged at some moment.
pub struct Acknowledged {
    /// For each sender, the ids of each send.
    pub ids: Vec<Vec<Option<Vec<u64>>>>,
    /// Up to where mailboxes were erased.
    erased: HashMap<usize, u64>,
}

/// The memory of all senders.
pub struct Ledger {
    pub mailboxes: usize,
    accounts: Vec<Mutex<Vec<Sent>>>,
    pub erased: Mutex<HashMap<usize, Erased>>,
}

/// Up to where a mailbox was erased: surely, and perhaps (nobody answered).
#[derive(Debug, Clone, Copy, Default)]
pub struct Erased {
    pub sure: u64,
    pub perhaps: u64,
}

/// The ids that a server holds, by mailbox, in order.
pub type Stored = Vec<Vec<u64>>;

impl Ledger {
    pub fn new(senders: usize, mailboxes: usize) -> Arc<Self> {
        Arc::new(Self {
            mailboxes,
            accounts: (0..senders).map(|_| Mutex::default()).collect(),
            erased: Mutex::default(),
        })
    }

    pub fn senders(&self) -> usize {
        self.accounts.len()
    }

    pub fn account(&self, sender: usize) -> MutexGuard<'_, Vec<Sent>> {
        self.accounts[sender].lock().unwrap()
    }

    /// What is acknowledged by now.
    pub fn acknowledged(&self) -> Acknowledged {
        let erased = self.erased.lock().unwrap();
        let erased = erased
            .iter()
            .map(|(mailbox, erased)| (*mailbox, erased.sure));
        let erased = erased.collect();
        let accounts = (0..self.senders()).map(|sender| self.account(sender));
        let ids = accounts.map(|account| account.iter().map(|sent| sent.ids.clone()).collect());
        Acknowledged {
            ids: ids.collect(),
            erased,
        }
    }

    /// The mailboxes that a send goes to.
    pub fn recipients(&self, sender: usize, number: usize) -> Vec<usize> {
        let mut random = seeded(sender, number);
        let first = random.below(self.mailboxes);
        let count = if random.once_in(10) { 3 } else { 1 };
        let all = (0..count.min(self.mailboxes)).map(|n| (first + n) % self.mailboxes);
        all.collect()
    }

    /// Everything of the mailbox below this may be erased.
    pub fn floor(&self, mailbox: usize) -> u64 {
        let erased = self.erased.lock().unwrap();
        erased.get(&mailbox).map_or(0, |erased| erased.perhaps)
    }

    /// Asserts that the server holds what was `acknowledged`, each once, in order, byte for byte
    /// and under its id, and nothing that nobody sent. What it holds.
    pub async fn audit(&self, server: &Server, acknowledged: &Acknowledged) -> Stored {
        let reading = (0..self.mailboxes).map(|n| mailbox(server, n));
        let read: Vec<Vec<Message>> = stream::iter(reading).buffered(READING_MAX).collect().await;
        let mut found: Vec<HashMap<usize, Vec<Option<u64>>>> = vec![HashMap::new(); self.senders()];
        for (number, messages) in read.iter().enumerate() {
            let erased = acknowledged.erased.get(&number).copied();
            self.check_mailbox(number, erased.unwrap_or(0), messages, &mut found);
        }
        for (sender, (found, acknowledged)) in found.iter().zip(&acknowledged.ids).enumerate() {
            self.check_sender(sender, found, acknowledged);
        }
        let ids = |messages: &Vec<Message>| messages.iter().map(|message| message.id).collect();
        read.iter().map(ids).collect()
    }

    fn check_mailbox(
        &self,
        mailbox: usize,
        erased: u64,
        messages: &[Message],
        found: &mut [HashMap<usize, Vec<Option<u64>>>],
    ) {
        let lowest = messages.first().map_or(u64::MAX, |first| first.id);
        self.settle(mailbox, lowest);
        let mut last = 0;
        for message in messages {
            let at = format!("{} in {}", message.key, name(mailbox));
            let id = message.id;
            assert!(id > last, "{id} after {last}: {at}");
            assert!(id >= erased, "{id} was erased: {at}");
            last = id;
            let key = numbers(&message.key).unwrap_or_else(|| panic!("nobody's: {at}"));
            let (sender, number) = key;
            assert!(sender < self.senders(), "nobody sent {at}");
            assert!(number < self.account(sender).len(), "nobody sent {at}");
            let recipients = self.recipients(sender, number);
            let place = recipients.iter().position(|to| *to == mailbox);
            let place = place.unwrap_or_else(|| panic!("not sent there: {at}"));
            assert_eq!(message.to, name(mailbox), "{at}");
            assert_eq!(message.from, format!("{}/web", sender_name(sender)), "{at}");
            let content = content(sender, number);
            assert!(message.content == wire::hash(&content), "altered: {at}");
            assert_eq!(message.send_at, id / 1000, "{at}");
            let ids = found[sender].entry(number);
            let ids = ids.or_insert_with(|| vec![None; recipients.len()]);
            let before = ids[place].replace(id);
            assert_eq!(before, None, "twice, as {id}, too: {at}");
        }
    }

    /// An erasure that nobody answered was carried out, or it was not: the `lowest` message that is
    /// left shows it.
    pub fn settle(&self, mailbox: usize, lowest: u64) {
        let mut erased = self.erased.lock().unwrap();
        if let Some(erased) = erased.get_mut(&mailbox) {
            match lowest < erased.perhaps {
                true => erased.perhaps = erased.sure,
                false => erased.sure = erased.perhaps,
            }
        }
    }

    fn check_sender(
        &self,
        sender: usize,
        found: &HashMap<usize, Vec<Option<u64>>>,
        acknowledged: &[Option<Vec<u64>>],
    ) {
        let mut account = self.account(sender);
        // By mailbox, the last one that was sent once only: those keep their order.
        let mut last: HashMap<usize, (u64, usize)> = HashMap::new();
        for number in 0..account.len() {
            let key = key(sender, number);
            let recipients = self.recipients(sender, number);
            let none = vec![None; recipients.len()];
            let found = found.get(&number).unwrap_or(&none);
            let wanted = acknowledged.get(number).and_then(Option::as_ref);
            for (place, (mailbox, found)) in recipients.iter().zip(found).enumerate() {
                let wanted = wanted.map(|ids| ids[place]);
                match found {
                    Some(found) => {
                        assert_eq!(*found, wanted.unwrap_or(*found), "{key}");
                    }
                    None => {
                        let gone = wanted.is_none_or(|id| id < self.floor(*mailbox));
                        assert!(gone, "LOST: {key} to {}: {wanted:?}", name(*mailbox));
                    }
                }
                if let Some(found) = found.filter(|_| account[number].attempts == 1) {
                    let (before, other) = last.insert(*mailbox, (found, number)).unwrap_or((0, 0));
                    assert!(found > before, "{key} came before {other} of its sender");
                }
            }
            let sent = &mut account[number];
            if sent.ids.is_none() {
                let all: Option<Vec<u64>> = found.iter().copied().collect();
                let erased = recipients.iter().any(|mailbox| self.floor(*mailbox) > 0);
                let partly = all.is_none() && found.iter().any(Option::is_some);
                assert!(!partly || erased, "stored in part: {key}: {found:?}");
                sent.found = all;
                sent.attempts_unseen = 0;
            }
        }
    }
}

fn seeded(sender: usize, number: usize) -> Random {
    Random::new(((sender as u64) << 40) ^ number as u64).fork(77)
}

pub fn sender_name(sender: usize) -> String {
    format!("sender-{sender}")
}

pub fn name(mailbox: usize) -> String {
    format!("box-{mailbox}")
}

/// A send's `clientMsgId`.
pub fn key(sender: usize, number: usize) -> String {
    format!("{sender}-{number}")
}

/// The sender and number of a `clientMsgId`.
pub fn numbers(key: &str) -> Option<(usize, usize)> {
    let (sender, number) = key.split_once('-')?;
    Some((sender.parse().ok()?, number.parse().ok()?))
}

/// The JSON text of a send's content: mostly short, one in a hundred up to 60 KB.
pub fn content(sender: usize, number: usize) -> String {
    let mut random = seeded(sender, number).fork(78);
    let bytes = match random.below(100) {
        0 => random.below(60_000),
        1..=8 => random.below(4_000),
        _ => random.below(200),
    };
    let noise = noise();
    let at = random.below(noise.len() - bytes);
    let padding = &noise[at..at + bytes];
    format!(
        r#"{{ "pad":"{padding}", "key": "{}"}}"#,
        key(sender, number)
    )
}

/// Letters that do not compress well.
fn noise() -> &'static str {
    static NOISE: OnceLock<String> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut random = Random::new(0);
        let letters = (0..1 << 18).map(|_| char::from(b'0' + random.below(64) as u8));
        letters.map(|c| if c == '\\' { 'z' } else { c }).collect()
    })
}

/// Everything in a mailbox as a device gets it that has seen nothing, oldest first; asserts that
/// the history tells the same.
async fn mailbox(server: &Server, number: usize) -> Vec<Message> {
    let user = name(number);
    let (total, newest) = page(server, &user, 1).await;
    let login = Login::new(&user).resource("auditor").after(0);
    let mut session = Raw::plain(server, &login).await;
    session.answers = true;
    let mut messages = Vec::with_capacity(total);
    while messages.len() < total {
        match session.frame().await {
            raw::Frame::Text(text) => {
                let message = wire::message(&text);
                messages.push(message.unwrap_or_else(|wrong| panic!("{user}: {wrong}")));
            }
            raw::Frame::Ping(_) => {}
            other => panic!("{user} has {total}, {} came: {other:?}", messages.len()),
        }
    }
    session.settle().await;
    let more = session.take_held();
    assert!(more.is_empty(), "{user} has {total}, more came: {more:?}");
    check_page(&user, &messages, 1, &newest);
    let mut random = Random::new(number as u64 ^ total as u64);
    for _ in 0..PAGES.min(total / PAGE) {
        let at = 1 + random.below(total.div_ceil(PAGE));
        let (total, listed) = page(server, &user, at).await;
        assert_eq!(total, messages.len(), "{user}");
        check_page(&user, &messages, at, &listed);
    }
    messages
}

async fn page(server: &Server, user: &str, page: usize) -> (usize, Vec<Message>) {
    let target = format!("/message-log?domain={DEMO}&toId={user}&size={PAGE}&page={page}");
    let answer = server.get(&target, Some(PROJECT_TOKEN)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    wire::page(&answer.body)
}

fn check_page(user: &str, messages: &[Message], page: usize, listed: &[Message]) {
    let expected = messages.iter().rev().skip((page - 1) * PAGE).take(PAGE);
    let expected: Vec<_> = expected.map(|m| (m.id, m.content)).collect();
    let listed: Vec<_> = listed.iter().map(|m| (m.id, m.content)).collect();
    assert!(expected == listed, "page {page} of {user}");
}

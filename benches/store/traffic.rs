//! Messages like those of a chat, and senders that each wait for their acknowledgement.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use relaybox::model::{
    ClientMsgId, Domain, Draft, Message, MessageType, Recipient, Resource, UserId, UserName,
};
use relaybox::store::{Accepted, CommitSink, Store};

pub const DOMAIN: &str = "bench";
pub const MAILBOXES: u64 = 10_000;
/// About 250 bytes with the names.
const CONTENT_BYTES: usize = 200;

/// Nobody is online.
pub struct Ignore;

impl CommitSink for Ignore {
    fn committed(&self, _: &[Message]) {}
}

/// Makes drafts.
pub struct Traffic {
    domain: Domain,
    users: Vec<UserId>,
    name: UserName,
    resource: Resource,
    seed: u64,
    own_ids: Option<u64>,
}

impl Traffic {
    /// `own_ids`: with a `clientMsgId` each.
    pub fn new(own_ids: bool) -> Self {
        let users = (0..MAILBOXES).map(|n| UserId::parse(&format!("user-{n}")).unwrap());
        Self {
            domain: Domain::parse(DOMAIN).unwrap(),
            users: users.collect(),
            name: UserName::parse("Somebody").unwrap(),
            resource: Resource::parse("web").unwrap(),
            seed: 1,
            own_ids: own_ids.then_some(0),
        }
    }

    pub fn random(&mut self, below: u64) -> u64 {
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

    pub fn any_user(&mut self) -> UserId {
        let at = self.random(MAILBOXES) as usize;
        self.users[at].clone()
    }

    /// From anyone to anyone.
    pub fn any_draft(&mut self) -> Draft {
        let (from, to) = (self.any_user(), self.any_user());
        self.draft(from, to)
    }

    pub fn draft(&mut self, from: UserId, to: UserId) -> Draft {
        let client_msg_id = self.own_ids.as_mut().map(|last| {
            *last += 1;
            ClientMsgId::parse(&format!("c-{last}")).unwrap()
        });
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
            client_msg_id,
        }
    }
}

/// What of a draft is a message's own: its content, its names and its id.
fn message_bytes(draft: &Draft) -> u64 {
    let to = &draft.recipients[0].user;
    let names = draft.domain.as_str().len() + to.as_str().len() + draft.from_id.as_str().len();
    let names = names + draft.from_name.as_str().len() + draft.from_resource.as_str().len();
    (draft.content.len() + names + size_of::<u64>()) as u64
}

/// How long acknowledgements took. Its memory does not grow.
pub struct Latencies {
    /// By tens of microseconds; the last one has all above.
    counts: Vec<u32>,
    worst: Duration,
}

impl Latencies {
    const STEP: Duration = Duration::from_micros(10);

    pub fn new() -> Self {
        Self {
            counts: vec![0; 100_000],
            worst: Duration::ZERO,
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }

    fn add(&mut self, latency: Duration) {
        let at = (latency.as_nanos() / Self::STEP.as_nanos()) as usize;
        let last = self.counts.len() - 1;
        self.counts[at.min(last)] += 1;
        self.worst = self.worst.max(latency);
    }

    /// The latency below which this part of all is, in milliseconds.
    pub fn ms(&self, part: f64) -> f64 {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all as f64 * part) as u64;
        let mut below = 0;
        for (at, count) in (0_u32..).zip(&self.counts) {
            below += u64::from(*count);
            if below >= wanted {
                return (Self::STEP * at).as_secs_f64() * 1e3;
            }
        }
        self.worst_ms()
    }

    pub fn worst_ms(&self) -> f64 {
        self.worst.as_secs_f64() * 1e3
    }
}

/// What makes drafts durable.
pub trait Commits {
    /// Takes a draft; `done` is called once it is durable.
    fn commit(&self, draft: Draft, done: impl FnOnce() + Send + 'static);
}

impl Commits for Store {
    fn commit(&self, draft: Draft, done: impl FnOnce() + Send + 'static) {
        let done = |outcome: Result<Accepted, _>| {
            outcome.unwrap();
            done();
        };
        self.append(draft, Box::new(done));
    }
}

/// Senders of which each has one send under way.
pub struct Senders<'a, C> {
    to: &'a C,
    acks: Sender<(usize, Duration)>,
    acked: Receiver<(usize, Duration)>,
    pub latencies: Latencies,
    /// Of all messages that were handed over.
    pub sent_bytes: u64,
    waiting: usize,
}

impl<'a, C: Commits> Senders<'a, C> {
    pub fn new(to: &'a C) -> Self {
        let (acks, acked) = channel();
        Self {
            to,
            acks,
            acked,
            latencies: Latencies::new(),
            sent_bytes: 0,
            waiting: 0,
        }
    }

    /// Hands over a sender's draft.
    pub fn send(&mut self, sender: usize, draft: Draft) {
        self.sent_bytes += message_bytes(&draft);
        let acks = self.acks.clone();
        let begun = Instant::now();
        self.to.commit(draft, move || {
            // Nobody listens any more once the part is over.
            let _ = acks.send((sender, begun.elapsed()));
        });
        self.waiting += 1;
    }

    /// Waits for an acknowledgement; the sender that may go on.
    pub fn next(&mut self) -> usize {
        let (sender, latency) = self.acked.recv().unwrap();
        self.latencies.add(latency);
        self.waiting -= 1;
        sender
    }

    /// Hands over so many drafts each millisecond, whatever becomes of those before.
    pub fn pace(&mut self, count: u32, traffic: &mut Traffic, time: Duration) {
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < time {
            while sent < begun.elapsed().as_millis() as u32 * count {
                self.send(0, traffic.any_draft());
                sent += 1;
            }
            while let Ok((_, latency)) = self.acked.recv_timeout(Duration::from_micros(200)) {
                self.latencies.add(latency);
                self.waiting -= 1;
            }
        }
    }

    /// Waits for all.
    pub fn drain(&mut self) {
        while self.waiting > 0 {
            self.next();
        }
    }

    /// So many senders send all the time, for so long; how many messages were acknowledged.
    pub fn run(&mut self, count: usize, traffic: &mut Traffic, time: Duration) -> u64 {
        for sender in 0..count {
            self.send(sender, traffic.any_draft());
        }
        let begun = Instant::now();
        let mut acknowledged = 0;
        while begun.elapsed() < time {
            let sender = self.next();
            self.send(sender, traffic.any_draft());
            acknowledged += 1;
        }
        acknowledged
    }
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

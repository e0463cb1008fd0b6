//! History against a plain list: random mailboxes, every combination of parameters, and messages
//! that arrive and vanish while an answer is read.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::*;
use super::{NOW_US, USERS, id_of, mailbox, open, send_later};
use crate::clock::ManualClock;
use crate::model::UserId;

#[derive(Debug, Clone)]
struct Sent {
    to: usize,
    from: usize,
    bytes: usize,
    /// Clock step before the send.
    gap_us: u64,
}

/// A number near an existing id or time.
#[derive(Debug, Clone, Copy)]
enum Near {
    Zero,
    Most,
    Message(prop::sample::Index, i64),
}

#[derive(Debug, Clone)]
struct Asked {
    to: usize,
    senders: Option<(usize, bool)>,
    since: Option<Near>,
    until: Option<Near>,
    as_of: Option<Near>,
    page: u64,
    order: Order,
    before: Option<Near>,
    after: Option<Near>,
    size: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<Sent>),
    Checkpoint,
    Erase(usize, Option<Near>),
    /// A query, and a step after its first piece.
    Ask(Asked, Option<Box<Step>>),
}

fn near() -> impl Strategy<Value = Near> {
    prop_oneof![
        1 => Just(Near::Zero),
        1 => Just(Near::Most),
        8 => (any::<prop::sample::Index>(), -1..=1i64).prop_map(|(at, by)| Near::Message(at, by)),
    ]
}

fn send() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![2 => 0..40usize, 1 => 8_000..20_000usize];
    let gap_us = prop_oneof![3 => Just(0), 1 => 0..3000u64];
    // The first two talk to each other and to themselves; the third only sends.
    let sent = (0..2usize, 0..USERS.len(), bytes, gap_us);
    let sent = sent.prop_map(|(to, from, bytes, gap_us)| Sent {
        to,
        from,
        bytes,
        gap_us,
    });
    prop_oneof![4 => vec(sent.clone(), 1..30), 1 => vec(sent, 100..250)].prop_map(Step::Send)
}

fn asked() -> impl Strategy<Value = Asked> {
    let maybe = |weight| prop_oneof![weight => Just(None), 1 => near().prop_map(Some)];
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    let senders = prop::option::of((0..USERS.len(), any::<bool>()));
    let size = prop_oneof![1 => 1..6u64, 1 => 6..101u64];
    let filters = (0..2usize, senders, maybe(3), maybe(3), maybe(3));
    let place = (1..6u64, order, maybe(1), maybe(1), size);
    (filters, place).prop_map(
        |((to, senders, since, until, as_of), (page, order, before, after, size))| Asked {
            to,
            senders,
            since,
            until,
            as_of,
            page,
            order,
            before,
            after,
            size,
        },
    )
}

fn erase() -> impl Strategy<Value = Step> {
    (0..2usize, prop::option::weighted(0.9, near()))
        .prop_map(|(to, before)| Step::Erase(to, before))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let meanwhile = prop_oneof![4 => erase(), 1 => send(), 1 => Just(Step::Checkpoint)];
    let meanwhile = prop::option::of(meanwhile.prop_map(Box::new));
    let step = prop_oneof![
        4 => send(),
        1 => Just(Step::Checkpoint),
        1 => erase(),
        20 => (asked(), meanwhile).prop_map(|(asked, meanwhile)| Step::Ask(asked, meanwhile)),
    ];
    vec(step, 5..60)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    id: MsgId,
    to: usize,
    from: usize,
    bytes: usize,
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    /// Sorted by id.
    list: Vec<Listed>,
    last: MsgId,
}

impl World {
    fn new(dir: &std::path::Path) -> Self {
        let clock = Arc::new(ManualClock::new(NOW_US));
        Self {
            store: open(dir, clock.clone()),
            clock,
            list: Vec::new(),
            last: MsgId::ZERO,
        }
    }

    fn send(&mut self, sends: &[Sent]) {
        let mut waiting = Vec::new();
        for sent in sends {
            self.clock.advance_us(sent.gap_us);
            let answer = send_later(&self.store, sent.to, sent.from, sent.bytes);
            waiting.push((answer, sent));
        }
        for (answer, sent) in waiting {
            let id = id_of(&answer);
            self.last = id;
            let &Sent {
                to, from, bytes, ..
            } = sent;
            self.list.push(Listed {
                id,
                to,
                from,
                bytes,
            });
        }
    }

    fn near(&self, near: Near) -> MsgId {
        match near {
            Near::Zero => MsgId::ZERO,
            Near::Most => MsgId::MAX,
            Near::Message(..) if self.list.is_empty() => MsgId(1),
            Near::Message(at, by) => {
                let id = at.get(&self.list).id;
                MsgId(id.0.saturating_add_signed(by))
            }
        }
    }

    fn erase(&mut self, to: usize, before: Option<Near>) {
        let before = before.map(|before| self.near(before));
        self.store.erase(&mailbox(to), before).unwrap();
        let stays = |message: &Listed| before.is_some_and(|before| message.id >= before);
        self.list
            .retain(|message| message.to != to || stays(message));
    }

    fn query(&self, asked: &Asked) -> HistoryQuery {
        let id = |near: Option<Near>| near.map(|near| self.near(near));
        let ms = |near: Option<Near>| match near? {
            Near::Message(at, by) if !self.list.is_empty() => {
                let at_ms = at.get(&self.list).id.send_at_ms();
                Some(at_ms.saturating_add_signed(by))
            }
            near => Some(self.near(near).0),
        };
        let (before, after) = (id(asked.before), id(asked.after));
        let senders = match asked.senders {
            None => Senders::All,
            Some((user, false)) => Senders::From(mailbox(user).user),
            Some((user, true)) => Senders::With(mailbox(user).user),
        };
        let cursor = before.is_some() || after.is_some() || matches!(senders, Senders::With(_));
        HistoryQuery {
            mailbox: mailbox(asked.to),
            since_ms: ms(asked.since),
            until_ms: ms(asked.until),
            as_of: id(asked.as_of),
            place: if cursor {
                Place::Cursor { before, after }
            } else {
                Place::Page(asked.page, asked.order)
            },
            senders,
            size: asked.size,
        }
    }

    /// Messages that match the filters, oldest first.
    fn matching(&self, asked: &Asked, query: &HistoryQuery) -> Vec<Listed> {
        let to = asked.to;
        let theirs = |message: &&Listed| match asked.senders {
            None => message.to == to,
            Some((user, false)) => (message.to, message.from) == (to, user),
            Some((user, true)) => [(to, user), (user, to)].contains(&(message.to, message.from)),
        };
        let counts = |message: &&Listed| {
            let sent_ms = message.id.0 / 1000;
            query.since_ms.is_none_or(|since| sent_ms >= since)
                && query.until_ms.is_none_or(|until| sent_ms <= until)
                && query.as_of.is_none_or(|as_of| message.id <= as_of)
        };
        let all = self.list.iter().filter(theirs).filter(counts);
        all.cloned().collect()
    }

    fn ask(&mut self, asked: &Asked, meanwhile: Option<&Step>) -> Result<(), TestCaseError> {
        let query = self.query(asked);
        let matching = self.matching(asked, &query);
        let mut listed = matching.clone();
        let (skipped, ascending) = match query.place {
            Place::Page(number, order) => ((number - 1) * query.size, order == Order::Ascending),
            Place::Cursor { before, after } => {
                listed.retain(|message| {
                    before.is_none_or(|before| message.id < before)
                        && after.is_none_or(|after| message.id > after)
                });
                (0, before.is_none() && after.is_some())
            }
        };
        if !ascending {
            listed.reverse();
        }
        let size = query.size as usize;
        let skipped = listed.len().min(skipped as usize);
        listed.drain(..skipped);
        let more = listed.len() > size;
        listed.truncate(size);

        let (mut page, first) = find(&self.store, &query).unwrap();
        let total = matching.len();
        let newest = matching.last().map_or(MsgId::ZERO, |message| message.id);
        let given = query.as_of.filter(|as_of| *as_of <= self.last && total > 0);
        prop_assert_eq!(page.total, total as u64);
        prop_assert_eq!(page.pages, total.div_ceil(size) as u64);
        prop_assert_eq!(page.as_of, given.unwrap_or(newest));
        let next = listed.last().filter(|_| more).map(|message| message.id);
        prop_assert_eq!(page.next, next);

        if let Some(step) = meanwhile {
            self.step(step)?;
            // What was read stays; the rest shows what is still there.
            let there: HashMap<_, _> = self.list.iter().map(|m| (m.id, m)).collect();
            let (read, mut at) = (first.len(), 0);
            listed.retain(|message| {
                at += 1;
                at <= read || there.contains_key(&message.id)
            });
        }
        let mut read = first;
        while !page.is_read() {
            read.extend(read_on(&self.store, &query, &mut page).unwrap());
        }
        let user = |id: &UserId| USERS.iter().position(|user| *user == id.as_str()).unwrap();
        let read: Vec<Listed> = read
            .iter()
            .map(|message| Listed {
                id: message.id,
                to: user(&message.mailbox.user),
                from: user(&message.from_id),
                bytes: message.content.len(),
            })
            .collect();
        prop_assert_eq!(read, listed);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Send(sends) => self.send(sends),
            Step::Checkpoint => self.store.flush(),
            Step::Erase(to, before) => self.erase(*to, *before),
            Step::Ask(asked, meanwhile) => {
                return self
                    .ask(asked, meanwhile.as_deref())
                    .map_err(|error| TestCaseError::fail(format!("{error}\n{asked:?}")));
            }
        }
        Ok(())
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Prints and returns the seed of this run.
fn seed() -> u64 {
    let given = number("RELAYBOX_TEST_SEED");
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one("seed"));
    eprintln!("RELAYBOX_TEST_SEED={seed}");
    seed
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: number("RELAYBOX_TEST_CASES").map_or(48, |cases| cases as u32),
        rng_seed: RngSeed::Fixed(seed()),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_history_says_what_a_plain_list_says(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(dir.path());
        for step in &steps {
            world.step(step)?;
        }
    }
}

//! Runs random steps against store and model.

use super::super::support::*;
use std::collections::btree_map::Entry;
use std::hash::{BuildHasher as _, RandomState};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::cursors::{RESOURCES, USERS};
use super::expected::Model;
use super::steps::{Ending, Harm, Step, steps};
use crate::clock::Clock as _;
use crate::store::tests::simulated::SimulatedFileSystem;

/// How long messages are kept: two of the months that pass, and not three.
const KEPT_US: u64 = 80 * 24 * 60 * 60 * 1_000_000;

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) files: SimulatedFileSystem,
    pub(super) clock: Arc<ManualClock>,
    store: Option<Store>,
    pub(super) model: Model,
    /// Nothing goes wrong but that the disk is full: what is ordered is done.
    is_sound: bool,
}

impl World {
    pub(super) fn new(is_sound: bool) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            files: SimulatedFileSystem::default(),
            clock: clock(),
            store: None,
            model: Model::default(),
            is_sound,
        }
    }

    pub(super) fn open(&mut self) {
        let start = |world: &Self| {
            let mut options = options(world.dir.path());
            options.segment_bytes = 16 << 10;
            options.memtable_bytes_max = 512 << 10;
            options.retention.all = Some(Duration::from_micros(KEPT_US));
            let files = Arc::new(world.files.clone());
            Store::open_with(
                options,
                world.clock.clone(),
                Arc::new(Seen::default()),
                files,
            )
        };
        let mut opened = start(self);
        if opened.is_err() && !self.is_sound {
            // A fault struck while it opened.
            self.files.lose_power(7);
            opened = start(self);
        }
        let store = opened.unwrap();
        if store.clock_hold().is_some() {
            // A month had passed, and a crash came before that was noted.
            self.files.disarm();
            assert!(store.accept_clock().unwrap());
        }
        self.store = Some(store);
        self.settle();
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Finds out what became of the doubtful, and holds the rest against the model.
    fn settle(&mut self) {
        let present = self.store().domains() == [record("d")];
        if self.model.domain_doubtful {
            if self.model.domain && !present {
                self.model.forget();
            }
            self.model.domain = present;
            self.model.domain_doubtful = false;
        }
        assert_eq!(present, self.model.domain);
        self.expire();
        for to in USERS {
            let found = check_consistent(self.store(), &mailbox("d", to));
            for (_, before) in self
                .model
                .doubtful_erasures
                .iter()
                .filter(|(of, _)| of == to)
            {
                if found.first().is_none_or(|first| first.id >= *before) {
                    let known = self.model.mailboxes.entry(to.to_owned()).or_default();
                    known.retain(|id, _| id >= before);
                }
            }
            for message in found {
                let known = self.model.mailboxes.entry(to.to_owned()).or_default();
                let content = message.content.to_string();
                if let Entry::Vacant(place) = known.entry(message.id) {
                    let key = (to.to_owned(), content.clone());
                    assert!(self.model.doubtful.remove(&key), "{to} has {}", message.id);
                    place.insert(content);
                }
                self.model.last = self.model.last.max(message.id);
                let newest = self.model.newest.entry(to.to_owned()).or_default();
                *newest = message.id.max(*newest);
            }
        }
        self.model.doubtful.clear();
        self.model.doubtful_erasures.clear();
        self.check();
        let store = self.store.as_ref().unwrap();
        self.model.cursors.settle(store);
    }

    pub(super) fn check(&self) {
        let store = self.store();
        self.model.cursors.check(store);
        for to in USERS {
            let found = check_consistent(store, &mailbox("d", to));
            let found: Vec<_> = found
                .iter()
                .map(|m| (m.id, m.content.to_string()))
                .collect();
            let known = self.model.mailboxes.get(to).cloned().unwrap_or_default();
            assert_eq!(found, known.into_iter().collect::<Vec<_>>(), "{to}");
        }
    }

    /// What is older than the retention is gone.
    fn expire(&mut self) {
        let oldest = MsgId(self.clock.now_us() - KEPT_US);
        for (to, messages) in &mut self.model.mailboxes {
            messages.retain(|id, _| *id > oldest);
            let oldest = messages.keys().next().copied();
            self.model.cursors.begins_at(to, oldest);
        }
    }

    fn erase(&mut self, to: u8, before: Option<u8>) {
        let to = format!("u{to}");
        let known = self.model.mailboxes.entry(to.clone()).or_default();
        let at = before.and_then(|at| known.keys().nth(usize::from(at)).copied());
        let erased = self.store.as_ref().unwrap().erase(&mailbox("d", &to), at);
        let before = at.unwrap_or(MsgId::MAX);
        match erased {
            Ok(()) => known.retain(|id, _| *id >= before),
            Err(error) => {
                assert!(!self.is_sound, "an erasure: {error}");
                self.model.doubtful_erasures.push((to, before));
            }
        }
    }

    pub(super) fn send(&mut self, sends: &[(u8, u8, u16, bool)]) {
        let mut waiting = Vec::new();
        for (from, to, bytes, own_id) in sends {
            self.model.sent += 1;
            let number = self.model.sent;
            let to = USERS
                .get(usize::from(*to))
                .map_or(&USERS[..], std::slice::from_ref);
            let content = format!("{number} {}", "x".repeat(usize::from(*bytes)));
            let mut draft = draft(&format!("s{from}"), to, &content);
            if *own_id {
                draft = with_id(draft, &number.to_string());
            }
            let own_id = own_id.then(|| (draft.from_id.to_string(), number.to_string()));
            waiting.push((to, content, own_id, send_later(self.store(), draft)));
        }
        for (to, content, own_id, answer) in waiting {
            match answer.recv_timeout(WAIT).unwrap() {
                Ok(accepted) => {
                    self.model.accepted(to, &content, &accepted);
                    if let Some((from, own_id)) = own_id {
                        self.model.own_ids.insert(own_id, (from, accepted.ids));
                    }
                }
                Err(_) => self.model.refused(to, &content),
            }
        }
    }

    fn send_to(&mut self, to: u8, resource: u8) {
        let (to, resource) = names(to, resource);
        self.model.sent += 1;
        let content = self.model.sent.to_string();
        let mut draft = draft("s0", &[to], &content);
        draft.to_resource = Some(Resource::parse(resource).unwrap());
        let accepted = send(self.store(), draft);
        let refused = matches!(accepted, Err(AppendError::DomainRemoved));
        if !refused {
            let cursors = &mut self.model.cursors;
            cursors.touched(to, resource, None, accepted.is_ok());
        }
        match accepted {
            Ok(accepted) => self.model.accepted(&[to], &content, &accepted),
            Err(_) => self.model.refused(&[to], &content),
        }
    }

    fn enter(&mut self, to: u8, resource: u8, after: Option<u8>) {
        let (to, resource) = names(to, resource);
        let ids = self.model.mailboxes.get(to);
        let after = after.map(|at| {
            let id = ids.and_then(|ids| ids.keys().nth(usize::from(at)));
            id.copied().unwrap_or_default()
        });
        let entered = enter(self.store(), &device("d", to, resource), after);
        let cursors = &mut self.model.cursors;
        match entered {
            Ok(id) => cursors.entered(to, resource, after, id),
            Err(AppendError::DomainRemoved) => {}
            Err(_) => cursors.touched(to, resource, after, false),
        }
    }

    fn repeat(&self) {
        if let Some((own_id, (from, ids))) = self.model.own_ids.last_key_value() {
            let again = with_id(draft(from, &["u0"], "again"), own_id);
            if let Ok(accepted) = send(self.store(), again) {
                assert!(accepted.duplicate);
                assert_eq!(accepted.ids, *ids);
            }
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        // Threads work meanwhile.
        self.clock.advance_monotonic(Duration::from_millis(100));
        match step {
            Step::Send(sends) => self.send(sends),
            Step::Repeat => self.repeat(),
            Step::Confirm(to, resource) => {
                let (to, resource) = names(*to, *resource);
                let newest = self.model.newest.get(to).copied().unwrap_or_default();
                self.store().confirm(&device("d", to, resource), newest);
                self.model.cursors.confirmed(to, resource, newest);
            }
            Step::Enter(to, resource, after) => self.enter(*to, *resource, *after),
            Step::SendTo(to, resource) => self.send_to(*to, *resource),
            Step::Month => {
                self.clock.advance_us(31 * 24 * 60 * 60 * 1_000_000);
                let noted = || {
                    let age = self.store().shared().age();
                    age.state().wall_us == self.clock.now_us() && !age.is_due()
                };
                super::super::support::look(self.store());
                let broken = || self.files.is_crashed() || self.store().writable().is_err();
                eventually("it is noted, or cannot be", || noted() || broken());
                let surely = noted();
                self.model.cursors.unused_for_long(surely);
                self.model.own_ids.clear();
            }
            Step::PutDomain if !self.model.domain && !self.model.domain_doubtful => {
                match self.store().put_domain(record("d")) {
                    Ok(()) => self.model.domain = true,
                    Err(error) => {
                        assert!(!self.is_sound, "a domain: {error}");
                        self.model.domain_doubtful = true;
                    }
                }
            }
            Step::RemoveDomain if self.model.domain && !self.model.domain_doubtful => {
                match self.store().remove_domain(&domain("d")) {
                    Ok(removed) => {
                        assert!(removed);
                        self.model.domain = false;
                        self.model.forget();
                        self.model.cursors.removed(self.model.last, true);
                    }
                    Err(error) => {
                        assert!(!self.is_sound, "a domain's removal: {error}");
                        self.model.domain_doubtful = true;
                        self.model.cursors.removed(self.model.last, false);
                    }
                }
            }
            Step::PutDomain | Step::RemoveDomain => {}
            Step::Erase(to, before) => self.erase(*to, *before),
            Step::Flush => self.store().flush(),
            Step::MoveClock(by_us) => {
                let now_us = self.clock.now_us().saturating_add_signed(i64::from(*by_us));
                self.clock.set_us(now_us);
            }
            Step::Arm(fault, after) => self.files.arm(*fault, *after),
            Step::Reopen(ending) => return self.reopen(*ending),
        }
        if self.files.is_crashed() {
            self.reopen(Ending::Power(u64::from(self.model.sent), Harm::None));
        }
        self.expire();
        self.check();
    }

    pub(super) fn reopen(&mut self, ending: Ending) {
        let store = self.store.take().unwrap();
        let mut harm = Harm::None;
        match ending {
            Ending::Close | Ending::CloseAnd(_) => {
                store.close();
                if let Ending::CloseAnd(after) = ending {
                    harm = after;
                }
            }
            Ending::Kill => {}
            Ending::Power(_, after) => harm = after,
        }
        drop(store);
        if let Ending::Power(seed, _) = ending {
            self.files.lose_power(seed);
        } else if self.files.is_crashed() {
            self.files.lose_power(1);
        }
        self.harm(harm);
        self.open();
    }
}

fn names(to: u8, resource: u8) -> (&'static str, &'static str) {
    (USERS[usize::from(to)], RESOURCES[usize::from(resource)])
}

pub(crate) fn cases() -> u32 {
    let cases = std::env::var("RELAYBOX_TEST_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(120)
}

/// The seed of this run, printed.
pub(super) fn seed() -> u64 {
    let given = std::env::var("RELAYBOX_TEST_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one("seed"));
    eprintln!("RELAYBOX_TEST_SEED={seed}");
    seed
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        rng_seed: RngSeed::Fixed(seed()),
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_holds_what_the_model_holds(steps in steps()) {
        let mut world = World::new(false);
        world.open();
        for step in &steps {
            world.step(step);
        }
        world.files.disarm();
        world.reopen(Ending::Power(3, Harm::None));
        world.reopen(Ending::CloseAnd(Harm::Delete));
        // A domain that was removed takes nothing.
        world.store().put_domain(record("d")).unwrap();
        world.send(&[(0, 0, 10, true)]);
        prop_assert!(world.model.doubtful.is_empty(), "the store is writable again");
        world.check();
    }
}

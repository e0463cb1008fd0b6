//! The store against a plain model, through crashes, failing disks and a broken index.
//!
//! Held: what was acknowledged is there exactly once, in the order of ids, whatever
//! happened; ids rise strictly; what was refused is not there, unless a crash came
//! before its fate was settled; a repeat gets the first ids.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::simulated::{Fault, SimulatedFileSystem};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// So many sends at once: sender, recipient, bytes, and whether with an own id.
    Send(Vec<(u8, u8, u16, bool)>),
    /// The last own id once more.
    Repeat,
    Confirm(u8),
    PutDomain,
    RemoveDomain,
    Checkpoint,
    MoveClock(i32),
    Arm(Fault, u32),
    Reopen(Ending),
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Close,
    Kill,
    Power(u64, Harm),
    CloseAnd(Harm),
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    None,
    Truncate(u16),
    Overwrite(u16),
    Delete,
    DeleteState,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        3 => Just(Fault::Crash),
        2 => Just(Fault::FailSync),
        2 => Just(Fault::ShortWrite),
        1 => (1..60_u32).prop_map(Fault::Full),
    ];
    let harm = prop_oneof![
        2 => Just(Harm::None),
        1 => any::<u16>().prop_map(Harm::Truncate),
        1 => any::<u16>().prop_map(Harm::Overwrite),
        1 => Just(Harm::Delete),
        1 => Just(Harm::DeleteState),
    ];
    let ending = prop_oneof![
        1 => Just(Ending::Close),
        1 => Just(Ending::Kill),
        3 => (any::<u64>(), harm.clone()).prop_map(|(seed, harm)| Ending::Power(seed, harm)),
        1 => harm.prop_map(Ending::CloseAnd),
    ];
    let send = (0..4_u8, 0..3_u8, 0..3_000_u16, any::<bool>());
    let step = prop_oneof![
        12 => prop::collection::vec(send, 1..30).prop_map(Step::Send),
        2 => Just(Step::Repeat),
        2 => (0..3_u8).prop_map(Step::Confirm),
        1 => Just(Step::PutDomain),
        1 => Just(Step::RemoveDomain),
        3 => Just(Step::Checkpoint),
        1 => (-1_000_000..1_000_000_i32).prop_map(Step::MoveClock),
        5 => (fault, 0..40_u32).prop_map(|(fault, after)| Step::Arm(fault, after)),
        3 => ending.prop_map(Step::Reopen),
    ];
    prop::collection::vec(step, 1..30)
}

/// What the store must hold.
#[derive(Default)]
struct Model {
    /// By recipient: id → content.
    mailboxes: BTreeMap<String, BTreeMap<MsgId, String>>,
    /// Contents whose sends were not acknowledged since the last open, by recipient.
    doubtful: BTreeSet<(String, String)>,
    /// Own ids of acknowledged sends.
    own_ids: BTreeMap<String, (String, Vec<MsgId>)>,
    cursors: BTreeMap<String, (MsgId, MsgId)>,
    domain: bool,
    domain_doubtful: bool,
    last: MsgId,
    sent: u32,
}

struct World {
    dir: tempfile::TempDir,
    files: SimulatedFileSystem,
    clock: Arc<ManualClock>,
    store: Option<Store>,
    model: Model,
}

impl World {
    fn open(&mut self) {
        let start = |world: &Self| {
            let mut options = options(world.dir.path());
            options.segment_bytes = 16 << 10;
            options.tail_bytes_max = 512 << 10;
            let files = Arc::new(world.files.clone());
            Store::open_with(
                options,
                world.clock.clone(),
                Arc::new(Seen::default()),
                files,
            )
        };
        let mut opened = start(self);
        if opened.is_err() {
            // A fault struck while it opened.
            self.files.lose_power(7);
            opened = start(self);
        }
        self.store = Some(opened.unwrap());
        self.settle();
    }

    fn store(&self) -> &Store {
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
        for to in ["u0", "u1", "u2"] {
            let found = check_consistent(self.store(), &mailbox("d", to));
            for message in found {
                let known = self.model.mailboxes.entry(to.to_owned()).or_default();
                let content = message.content.to_string();
                if let Entry::Vacant(place) = known.entry(message.id) {
                    let key = (to.to_owned(), content.clone());
                    assert!(self.model.doubtful.remove(&key), "{to} has {}", message.id);
                    place.insert(content);
                }
                self.model.last = self.model.last.max(message.id);
            }
        }
        self.model.doubtful.clear();
        self.check();
    }

    fn check(&self) {
        let store = self.store();
        for to in ["u0", "u1", "u2"] {
            let found = check_consistent(store, &mailbox("d", to));
            let found: Vec<_> = found
                .iter()
                .map(|m| (m.id, m.content.to_string()))
                .collect();
            let known = self.model.mailboxes.get(to).cloned().unwrap_or_default();
            assert_eq!(found, known.into_iter().collect::<Vec<_>>(), "{to}");
            let (least, most) = self.model.cursors.get(to).copied().unwrap_or_default();
            let cursor = store.cursor(&device("d", to, "web")).unwrap();
            let cursor = cursor.unwrap_or_default();
            assert!(least <= cursor && cursor <= most, "{least} {cursor} {most}");
        }
    }

    fn send(&mut self, sends: &[(u8, u8, u16, bool)]) {
        let mut waiting = Vec::new();
        for (from, to, bytes, own_id) in sends {
            self.model.sent += 1;
            let number = self.model.sent;
            let to = format!("u{to}");
            let content = format!("{number} {}", "x".repeat(usize::from(*bytes)));
            let mut draft = draft(&format!("s{from}"), &[&to], &content);
            if *own_id {
                draft = with_id(draft, &number.to_string());
            }
            let own_id = own_id.then(|| (draft.from_id.to_string(), number.to_string()));
            waiting.push((to, content, own_id, send_later(self.store(), draft)));
        }
        for (to, content, own_id, answer) in waiting {
            match answer.recv_timeout(WAIT).unwrap() {
                Ok(accepted) => {
                    assert!(!accepted.duplicate);
                    assert!(accepted.ids[0] > self.model.last);
                    self.model.last = accepted.ids[0];
                    let known = self.model.mailboxes.entry(to).or_default();
                    known.insert(accepted.ids[0], content);
                    if let Some((from, own_id)) = own_id {
                        self.model.own_ids.insert(own_id, (from, accepted.ids));
                    }
                }
                Err(_) => {
                    self.model.doubtful.insert((to, content));
                }
            }
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

    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(sends) => self.send(sends),
            Step::Repeat => self.repeat(),
            Step::Confirm(to) => {
                let to = format!("u{to}");
                let newest = self
                    .model
                    .mailboxes
                    .get(&to)
                    .and_then(BTreeMap::last_key_value);
                let newest = newest.map(|(id, _)| *id);
                let confirmed = newest.unwrap_or_default();
                self.store().confirm(&device("d", &to, "web"), confirmed);
                // From the beginning: that is where a removal of the domain has put it.
                let most = newest.unwrap_or(MsgId::MAX);
                self.model.cursors.entry(to).or_default().1 = most;
            }
            Step::PutDomain if !self.model.domain && !self.model.domain_doubtful => {
                match self.store().put_domain(record("d")) {
                    Ok(()) => self.model.domain = true,
                    Err(_) => self.model.domain_doubtful = true,
                }
            }
            Step::RemoveDomain if self.model.domain && !self.model.domain_doubtful => {
                match self.store().remove_domain(&domain("d")) {
                    Ok(removed) => {
                        assert!(removed);
                        self.model.domain = false;
                        self.model.forget();
                    }
                    Err(_) => self.model.domain_doubtful = true,
                }
            }
            Step::PutDomain | Step::RemoveDomain => {}
            Step::Checkpoint => self.store().checkpoint(),
            Step::MoveClock(by_us) => {
                let now_us = NOW_US.saturating_add_signed(i64::from(*by_us));
                self.clock.set_us(now_us);
            }
            Step::Arm(fault, after) => self.files.arm(*fault, *after),
            Step::Reopen(ending) => return self.reopen(*ending),
        }
        if self.files.is_crashed() {
            self.reopen(Ending::Power(u64::from(self.model.sent), Harm::None));
        }
        self.check();
    }

    fn reopen(&mut self, ending: Ending) {
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

    fn harm(&self, harm: Harm) {
        let db = self.dir.path().join("db");
        let file = db.join("db");
        let bytes = std::fs::read(&file).unwrap_or_default();
        match harm {
            Harm::None => {}
            Harm::Truncate(part) => {
                let kept = bytes.len() * usize::from(part) / 65_536;
                std::fs::write(&file, &bytes[..kept]).unwrap();
            }
            Harm::Overwrite(part) => {
                let mut bytes = bytes;
                let from = bytes.len() * usize::from(part) / 65_536;
                let to = bytes.len().min(from + 4_096);
                bytes[from..to].fill(0x5a);
                std::fs::write(&file, &bytes).unwrap();
            }
            Harm::Delete => {
                if db.exists() {
                    std::fs::remove_dir_all(db).unwrap();
                }
            }
            Harm::DeleteState => {
                let state = self.dir.path().join("db.state");
                self.files.remove(&state).unwrap_or_default();
            }
        }
    }
}

impl Model {
    /// What the removal of the domain does.
    fn forget(&mut self) {
        self.mailboxes.clear();
        self.own_ids.clear();
        self.cursors.clear();
    }
}

fn cases() -> u32 {
    let cases = std::env::var("RELAYBOX_TEST_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(120)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_holds_what_the_model_holds(steps in steps()) {
        let mut world = World {
            dir: tempfile::tempdir().unwrap(),
            files: SimulatedFileSystem::default(),
            clock: clock(),
            store: None,
            model: Model::default(),
        };
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

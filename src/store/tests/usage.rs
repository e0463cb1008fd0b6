//! What a domain stores counts the same when it is accepted and when it is measured, and is no less than
//! half of what it takes on disk.

use super::shared::disk_bytes;
use super::support::*;

const SEGMENT_BYTES: u64 = 1 << 20;
const MESSAGES: usize = 6_000;
/// Of an index with next to nothing in it.
const FIXED: u64 = 2 << 20;

/// A store whose domain is counted as things are accepted.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    counted: u64,
    things: u64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Self::open(dir.path());
        Self {
            dir,
            store,
            counted: 0,
            things: 0,
        }
    }

    fn open(dir: &Path) -> Store {
        let mut options = options(dir);
        options.segment_bytes = SEGMENT_BYTES;
        options.memtable_bytes_max = 16 << 20;
        Store::open(options, clock(), Arc::new(Seen::default())).unwrap()
    }

    fn send(&mut self, draft: Draft) {
        self.send_all(vec![draft]);
    }

    fn send_all(&mut self, drafts: Vec<Draft>) {
        for drafts in drafts.chunks(64) {
            let answers: Vec<_> = drafts
                .iter()
                .map(|draft| send_later(&self.store, draft.clone()))
                .collect();
            for (answer, draft) in answers.into_iter().zip(drafts) {
                let accepted = answer.recv_timeout(WAIT).unwrap().unwrap();
                self.counted += accepted.stored_bytes;
                let rows = 1 + u64::from(draft.to_resource.is_some());
                self.things += rows * draft.recipients.len() as u64 + 1;
            }
        }
    }

    fn enter(&mut self, device: &Device) {
        let (sender, receiver) = channel();
        let done = move |outcome| {
            let _ = sender.send(outcome);
        };
        self.store.enter(device, None, Box::new(done));
        let entered: Entered = receiver.recv_timeout(WAIT).unwrap().unwrap();
        self.counted += entered.stored_bytes;
        self.things += 1;
    }

    /// The lengths of names and lists in the index are not counted one by one.
    fn check(&self, when: &str) {
        let measured = self.store.usage(&domain("d"), &|| false).unwrap();
        let off = measured.abs_diff(self.counted);
        assert!(
            off <= 16 * self.things,
            "{when}: {measured}, and {} as {} were accepted",
            self.counted,
            self.things
        );
    }

    fn reopen(&mut self) {
        self.store.close();
        self.store = Self::open(self.dir.path());
    }

    /// What the domain takes on disk, beside the segment that is open.
    fn on_disk(&self) -> u64 {
        self.store.flush();
        let of = |name: &str| disk_bytes(&self.dir.path().join(name));
        (of("journal") + of("db")).saturating_sub(SEGMENT_BYTES)
    }
}

/// Of the longest that the contract allows; no two alike.
fn long(n: usize) -> String {
    format!("{n:0>width$}", width = UserId::MAX_BYTES)
}

fn to_new_recipients(n: usize, count: usize, name: &dyn Fn(usize) -> String) -> Draft {
    let to: Vec<String> = (0..count).map(|of| name(n * count + of)).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    draft("a", &to, "1")
}

#[test]
fn what_is_accepted_counts_as_it_is_measured() {
    let mut world = World::new();
    for n in 0..40 {
        let content = "x".repeat([10, 3_000][n % 2]);
        let mut one = draft("a", &["u", "v", "w"], &content);
        if n % 3 == 0 {
            one.to_resource = Some(Resource::parse(&format!("r{n}")).unwrap());
        }
        let one = with_id(one, &format!("id{n}"));
        world.send(one.clone());
        world.send(draft("b", &["u"], &content));
        // A repeat is not stored again.
        let things = world.things;
        world.send(one);
        world.things = things;
        for _ in 0..2 {
            world.enter(&device("d", "w", &format!("d{}", n % 10)));
        }
    }
    // Another domain's are not.
    let mut of_another = draft("a", &["u"], "1");
    of_another.domain = domain("dd");
    send(&world.store, of_another).unwrap();
    world.check("in memory");
    world.store.flush();
    world.check("in the index");
    world.reopen();
    world.check("after a restart");
    let before = world.store.usage(&domain("d"), &|| false).unwrap();
    world.store.erase(&mailbox("d", "u"), None).unwrap();
    let after = world.store.usage(&domain("d"), &|| false).unwrap();
    // Whoever waits for it no more has it end.
    assert!(world.store.usage(&domain("d"), &|| true).is_err());
    // What it shared stays with the others; the erasure itself is kept for a while.
    assert!(after < before - 80 * 512, "{before}, {after}");
}

#[test]
fn one_byte_messages_take_no_more_of_the_disk_than_twice_what_they_count() {
    let short = |n: usize| format!("{n:x}");
    let few = |n: usize| format!("u{}", n % 100);
    let names: [(&str, &dyn Fn(usize) -> String); 3] = [
        ("ever new recipients", &short),
        ("ever new recipients with long ids", &long),
        ("few recipients", &few),
    ];
    for (what, name) in names {
        for (count, has_id) in [(1, true), (1, false), (100, true)] {
            let mut world = World::new();
            let drafts = (0..MESSAGES / count).map(|n| {
                let draft = to_new_recipients(n, count, name);
                match has_id {
                    true => with_id(draft, &format!("{n:0>64}")),
                    false => draft,
                }
            });
            world.send_all(drafts.collect());
            let on_disk = world.on_disk();
            assert!(
                on_disk <= FIXED + 2 * world.counted,
                "{what}, {count} at once: {on_disk} for {}",
                world.counted
            );
        }
    }
}

#[test]
fn cursors_take_no_more_of_the_disk_than_twice_what_they_count() {
    let mut world = World::new();
    for n in 0..MESSAGES {
        world.enter(&device("d", &long(n), "web"));
    }
    let on_disk = world.on_disk();
    assert!(
        on_disk <= FIXED + 2 * world.counted,
        "{on_disk} for {}",
        world.counted
    );
}

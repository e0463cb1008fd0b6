//! The power is cut, again and again, while the server does all that it ever does: what was
//! acknowledged is there when it is back, once, in order and under its id.
//!
//! The data directory is on a disk of its own that loses whatever was not made durable.
//! `RELAYBOX_TEST_SEED=` replays, `RELAYBOX_TEST_ROUNDS=` is the number of power cuts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use crate::harness::disk::{Fuse, LoopDisk};
use crate::harness::eraser::Eraser;
use crate::harness::reader::Readers;
use crate::support::brief::{self, Brief};
use crate::support::fleet::{self, Fleet, Plan};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::random::{self, Random};
use crate::support::{Home, Options, Server};

const ROUNDS: u64 = 4;
const DISK_MEGABYTES: u64 = 4096;
const SENDERS: usize = 24;
const MAILBOXES: usize = 40;
const READERS: usize = 6;
const UP_MS_MAX: usize = 3000;
/// So that a compaction comes to its end now and then.
const LONG_MS_MAX: usize = 10_000;
const LONG_EVERY: usize = 4;
/// The index may have to be made anew, from all of many rounds, by a debug build.
const START_WITHIN: Duration = Duration::from_secs(180);
/// How long a cut may wait for its moment.
const MOMENT_WITHIN: Duration = Duration::from_secs(10);

/// So small that a second has several flushes, new segments and compressions.
const OPTIONS: [&str; 8] = [
    "--plain",
    "127.0.0.1:0",
    "--tail-bytes-max",
    "1MiB",
    "--segment-bytes",
    "1MiB",
    "--cache-bytes",
    "1MiB",
];

/// With and without what a file system does for programs that forget to sync.
const MOUNTS: [&str; 3] = [
    "defaults",
    "noauto_da_alloc",
    "noauto_da_alloc,data=writeback",
];

/// When the power is cut.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Any,
    /// The index has just been written to.
    Index,
    /// A file is about to take another's place: the index's state, a segment.
    State,
    Segment,
    /// A compaction has begun, has an index beside the one that counts, or has ended.
    Compaction,
}

const MOMENTS: [Moment; 5] = [
    Moment::Any,
    Moment::Index,
    Moment::State,
    Moment::Segment,
    Moment::Compaction,
];

impl Moment {
    /// Waits for it, and cuts the power then or when it does not come.
    fn cut(self, data: &Path, server: u32, fuse: Fuse) -> Instant {
        let before = self.sight(data);
        let end = Instant::now() + MOMENT_WITHIN;
        while self.sight(data) == before && Instant::now() < end {
            std::hint::spin_loop();
        }
        let now = Instant::now();
        fuse.blow(server);
        now
    }

    /// What changes when it comes.
    fn sight(self, data: &Path) -> Option<(SystemTime, PathBuf)> {
        let modified = |path: PathBuf| Some((path.metadata().ok()?.modified().ok()?, path));
        match self {
            Self::Any => Some((SystemTime::now(), PathBuf::new())),
            Self::Index => {
                let indexes = std::fs::read_dir(data.join("db")).ok()?;
                let files = indexes.filter_map(|index| modified(index.ok()?.path().join("db")));
                files.max()
            }
            Self::Compaction => {
                let indexes = std::fs::read_dir(data.join("db")).ok()?.count();
                let due = data.join("sweep.due").exists();
                let sight = format!("{indexes} {due}");
                Some((SystemTime::UNIX_EPOCH, sight.into()))
            }
            Self::State => modified(data.join("db.state.new")),
            Self::Segment => {
                let files = std::fs::read_dir(data.join("journal")).ok()?;
                let paths = files.filter_map(|file| Some(file.ok()?.path()));
                let mut new = paths.filter(|path| path.extension().is_some_and(|e| e == "new"));
                new.next().map(|path| (SystemTime::UNIX_EPOCH, path))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_power_cuts() {
    let home = Arc::new(Home::new());
    let Some(disk) = LoopDisk::make(&home.path("disk"), &home.data(), DISK_MEGABYTES) else {
        return;
    };
    let mut random = Random::new(random::seed());
    let options = Options::new().args(&OPTIONS).env("RELAYBOX_LOG", "info");
    let options = brief::options(options);
    // The server goes before the disk that it stands on.
    let mut server = Server::at(home.clone(), options).await;
    server.excuse_index();
    server.start_within = START_WITHIN;
    let ledger = Ledger::new(SENDERS, MAILBOXES);
    let mut readers = Readers::new(READERS);
    let mut brief = Brief::new();
    let mut newest = 0;
    for round in 0..random::rounds(ROUNDS) {
        let began = Instant::now();
        let load = Load::start(&server, &ledger, newest, &random.fork(round));
        readers.start(&server);
        brief.start(&server, &random.fork(round));
        let eraser = Eraser::start(&server, &ledger, random.fork(1000 + round));
        load.acknowledged(1).await;
        let long = random.once_in(LONG_EVERY);
        let up_ms_max = if long { LONG_MS_MAX } else { UP_MS_MAX };
        tokio::time::sleep(random.millis(up_ms_max)).await;
        let moment = MOMENTS[random.below(MOMENTS.len())];
        let (data, pid, fuse) = (home.data(), server.pid(), disk.fuse());
        let cut = tokio::task::spawn_blocking(move || moment.cut(&data, pid, fuse));
        let cut = cut.await.unwrap();
        server.kill9().await;
        let acks = load.end().await;
        let last = acks.gap.lock().unwrap().since;
        // Receipts go with commits: one that came before the last of them is stored.
        readers.end(last.map_or(cut, |last| last.min(cut))).await;
        brief.end().await;
        eraser.end().await;
        let mount = MOUNTS[random.below(MOUNTS.len())];
        disk.power_up(mount);
        let back = Instant::now();
        server.spawn().await;
        let opened = back.elapsed();
        brief.check(&server).await;
        let stored = ledger.audit(&server, &ledger.acknowledged()).await;
        let delivered = readers.check(&stored, &ledger);
        newest = stored.iter().flatten().copied().max().unwrap_or(newest);
        eprintln!(
            "round {round}: cut at {moment:?}, mounted {mount}: {} acknowledged \
             with a pause of {:?}, \
             {delivered} delivered, {} stored; open after {opened:?}, checked after {:?}, in all {:?}",
            acks.count.load(Ordering::SeqCst),
            acks.gap.lock().unwrap().longest,
            stored.iter().map(Vec::len).sum::<usize>(),
            back.elapsed(),
            began.elapsed(),
        );
    }
    let log = server.stderr();
    for words in [
        "not fit",
        "torn end was cut off",
        "was removed from disk",
        "stays on disk",
    ] {
        eprintln!("{words}: {} times", log.matches(words).count());
    }
    drop(server);
    drop(disk);
}

/// Else what it removed counts as lost once the next one is not carried out.
#[test]
fn an_unanswered_erasure_that_was_carried_out_stays_known() {
    let ledger = Ledger::new(1, 1);
    ledger.erasing(0, 100);
    ledger.settle(0, 100);
    ledger.erasing(0, 200);
    ledger.settle(0, 100);
    assert_eq!(ledger.floor(0), 100);
}

const PLAN: Plan = Plan {
    users: 6,
    devices: 18,
    late: 18,
    senders: 12,
    sends: usize::MAX,
    pace_ms_max: 40,
    large: 10,
};
const SETTLED_MS: usize = 2500;
const LATE_A_ROUND: usize = 6;

/// Devices of all kinds get all that is theirs, whatever the power does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_survives_power_cuts() {
    let home = Arc::new(Home::new());
    let Some(disk) = LoopDisk::make(&home.path("disk"), &home.data(), DISK_MEGABYTES) else {
        return;
    };
    let mut random = Random::new(random::seed());
    let options = Options::new()
        .args(&OPTIONS)
        .args(&["--ping-interval", "1s"]);
    let mut server = Server::at(home.clone(), options).await;
    server.excuse_index();
    server.start_within = START_WITHIN;
    let mut fleet = Fleet::start(&server, &PLAN, random.fork(0)).await;
    for _ in 0..random::rounds(ROUNDS) {
        // In turn before and after receipts are long stored.
        tokio::time::sleep(random.millis(2 * SETTLED_MS)).await;
        fleet.join(LATE_A_ROUND, SETTLED_MS / 2);
        tokio::time::sleep(random.millis(SETTLED_MS / 2)).await;
        let fuse = disk.fuse();
        let mount = MOUNTS[random.below(MOUNTS.len())];
        fleet
            .strike(&mut server, async |server| {
                fuse.blow(server.pid());
                server.kill9().await;
                disk.power_up(mount);
            })
            .await;
    }
    fleet.stop_sending();
    let (story, _) = fleet.finish(&server).await;
    fleet::assert_good(&story);
    drop(server);
    drop(disk);
}

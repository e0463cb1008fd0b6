//! A disk without room, whatever it is that is full: the server starts, serves what there is,
//! erases, compacts and takes orders; and it takes sends again when there is room.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::journal::segments;
use crate::support::random::Random;
use crate::support::small_disk::SmallDisk;
use crate::support::{
    Home, Login, Options, Outcome, PROJECT_TOKEN, Server, soon, until, until_within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

/// A compaction works in small pieces, and tries again now and then.
const COMPACTED_WITHIN: Duration = Duration::from_secs(120);

/// What there is no more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Space,
    Files,
    /// Of a quota that statvfs(2) does not show: EDQUOT.
    Quota,
    /// For all processes alike (RLIMIT_FSIZE): EFBIG.
    FileSize(u64),
}

struct World {
    full: Full,
    options: Options,
    server: Server,
    sent: u64,
    /// What was acknowledged for each mailbox, by number.
    acked: BTreeMap<&'static str, BTreeMap<u64, u64>>,
    random: Random,
    disk: Option<SmallDisk>,
}

impl World {
    /// On a disk of so many megabytes.
    async fn new(full: Full, megabytes: usize, args: &[&str]) -> Option<Self> {
        let home = Arc::new(Home::new());
        let disk = match full {
            Full::FileSize(_) => None,
            Full::Quota => {
                let image = home.path("disk");
                Some(SmallDisk::with_quota(&image, &home.data(), megabytes)?)
            }
            _ => Some(SmallDisk::with_files(&home.data(), megabytes, 200)?),
        };
        let options = Options::new().args(args);
        let server = Server::at(home.clone(), options.clone()).await;
        Some(Self {
            full,
            options,
            server,
            sent: 0,
            acked: BTreeMap::new(),
            random: Random::new(7),
            disk,
        })
    }

    fn fill(&self) {
        match (&self.disk, self.full) {
            (Some(disk), Full::Space | Full::Quota) => disk.fill(),
            (Some(disk), Full::Files) => disk.fill_files(),
            _ => {}
        }
    }

    fn free(&self) {
        match (&self.disk, self.full) {
            (Some(disk), Full::Space | Full::Quota) => disk.free(),
            (Some(disk), Full::Files) => disk.free_files(),
            _ => {}
        }
    }

    fn limited(&self, command: Command) -> Command {
        match self.full {
            Full::FileSize(bytes) => self.server.home.limited(&command, bytes),
            _ => command,
        }
    }

    /// Starts the server where it is full.
    async fn spawn(&mut self) {
        self.fill();
        let command = self.server.home.serve_command(&self.options);
        self.server.spawn_as(self.limited(command)).await;
    }

    /// Runs a subcommand on the data.
    async fn cli(&self, args: &[&str]) -> Outcome {
        let mut command = self.server.home.bare_command(args);
        command.arg("--data").arg(self.server.home.data());
        self.server.home.run(self.limited(command)).await
    }

    /// A client in the terminal.
    fn client(&self, args: &[&str]) -> Command {
        let url = format!("wss://localhost:{}", self.server.port());
        let mut command = self.server.home.bare_command(args);
        command.args(["--domain", "demo", "--url", &url]);
        command.env("RELAYBOX_CLIENT_TOKEN", PROJECT_TOKEN);
        self.limited(command)
    }

    /// Sends 100 KiB that nothing makes smaller; whether that was taken.
    async fn send(&mut self, to: &'static str) -> bool {
        self.sent += 1;
        let n = self.sent;
        let padding: String = (0..100 << 10)
            .map(|_| char::from(b'0' + self.random.below(64) as u8))
            .collect();
        let body = json!({
            "domain": "demo", "toId": to, "fromId": "shop", "fromName": "Shop", "type": 10,
            "content": {"n": n, "padding": padding},
        });
        let answer = self.server.post("/messages", PROJECT_TOKEN, &body).await;
        if answer.status == 503 {
            return false;
        }
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.json()["msgId"].as_u64().unwrap();
        self.acked.entry(to).or_default().insert(n, id);
        true
    }

    /// The whole mailbox. Where a flush met the full disk in the midst, the index is opened
    /// anew, and is away for as long as that takes.
    async fn mailbox(&self, to: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = all.len() / 100 + 1;
            let target = format!("/message-log?domain=demo&toId={to}&size=100&page={page}");
            let answer = until("a page of history", async || {
                let answer = self.server.get(&target, Some(PROJECT_TOKEN)).await;
                (answer.status != 503).then_some(answer)
            })
            .await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let list = answer.json()["list"].as_array().unwrap().clone();
            let is_last = list.len() < 100;
            all.extend(list);
            if is_last {
                return all;
            }
        }
    }

    /// Exactly the acknowledged ones are in the history, under their ids.
    async fn check(&self) {
        for (to, acked) in &self.acked {
            let mut found = BTreeMap::new();
            for message in self.mailbox(to).await {
                let n = message["content"]["n"].as_u64().unwrap();
                found.insert(n, message["msgId"].as_u64().unwrap());
            }
            assert!(found == *acked, "{to}: {found:?} instead of {acked:?}");
        }
    }

    /// Erases a mailbox, and waits until nothing of it is on the disk.
    async fn erase(&mut self, of: &'static str) {
        let bearer = format!("Bearer {PROJECT_TOKEN}");
        let headers = [("authorization", bearer.as_str())];
        let target = format!("/message-log?domain=demo&toId={of}");
        let answer = self.server.request("DELETE", &target, &headers).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        self.acked.entry(of).or_default().clear();
        self.check().await;
        let mark = self.server.home.data().join("sweep.due");
        let is_done = async || (!mark.exists()).then_some(());
        until_within(COMPACTED_WITHIN, "the compaction", is_done).await;
        self.check().await;
    }

    async fn is_ready(&self) -> bool {
        self.server.get("/readyz", None).await.status == 200
    }

    /// Sends until nothing more is taken.
    async fn send_until_full(&mut self) {
        let begun = self.sent;
        loop {
            self.fill();
            let sent = self.send("box").await;
            if !sent && !self.is_ready().await {
                break;
            }
            assert!(self.sent < begun + 1000, "100 MB went onto a full disk");
        }
        assert_eq!(self.server.get("/healthz", None).await.status, 200);
        let mut login = self.server.connect(&Login::new("late")).await;
        login.try_send_text("ping").await;
        assert_eq!(login.text_or_code().await, Err(Some(1013)));
        self.check().await;
    }

    /// All the commands, beside a server that runs or without one.
    async fn orders(&self, name: &str) {
        let home = &self.server.home;
        self.cli(&["domain", "add", name]).await.success();
        self.cli(&["domain", "rotate", name]).await.success();
        let list = self.cli(&["domain", "list"]).await.success();
        assert!(list.contains(name), "{list}");
        let user = ["token", "--domain", name, "--id", "u"];
        self.cli(&user).await.success();
        let remove = ["domain", "remove", name, "--yes"];
        self.cli(&remove).await.success();
        let clock = self.cli(&["clock"]).await.success();
        assert!(!clock.is_empty());
        self.cli(&["clock", "accept"]).await.success();
        let [copy, back] = ["copy", "back"].map(|what| home.path(format!("{what}-{name}")));
        let copied = copy.to_str().unwrap();
        self.cli(&["backup", copied]).await.success();
        home.cli_bare(&["check", copied]).await.success();
        let there = self.server.home.data().join("restored");
        let restore = |to: &Path| {
            let mut command = home.bare_command(["restore", copied, "--data"]);
            command.arg(to);
            home.run(self.limited(command))
        };
        restore(&back).await.success();
        let lack = match self.full {
            Full::Space => Some("No space left on device"),
            Full::Quota => Some("Disk quota exceeded"),
            Full::Files | Full::FileSize(_) => None,
        };
        if let Some(lack) = lack {
            // There is no room for that; it can be done again.
            for _ in 0..2 {
                restore(&there).await.failure(1, &["cannot write", lack]);
            }
            fs::remove_dir_all(&there).unwrap();
        }
        for made in [copy, back] {
            fs::remove_dir_all(made).unwrap();
        }
        self.cli(&["check"]).await.success();
        // It finds that it is full; of a quota only the server knows for sure: a small file may still be written.
        let doctor = self.cli(&["doctor"]).await;
        match self.full {
            Full::Quota if name == "stopped" => {
                let finds = doctor.stdout.contains("problem  data-directory:");
                assert_eq!(doctor.code, Some(i32::from(finds)), "{}", doctor.stdout);
            }
            _ => doctor.failure(1, &[]),
        }
    }

    /// What goes only with a server.
    async fn live_orders(&mut self, mut listening: Child) {
        let stats = self.cli(&["stats"]).await.success();
        assert!(!stats.is_empty());
        let sessions = self.cli(&["sessions"]).await.success();
        assert!(sessions.contains("guest"), "{sessions}");
        let kicked = self
            .cli(&["kick", "--domain", "demo", "--id", "guest"])
            .await;
        assert!(kicked.success().contains("1 session was ended"));
        let ended = soon("the end of listen", listening.wait()).await.unwrap();
        assert_eq!(ended.code(), Some(1));
        // What is compressed meanwhile may give room again.
        for attempt in 1.. {
            self.send_until_full().await;
            let args = ["send", "hello", "hello", "--id", "u1", "--timeout", "1s"];
            let sent = self.server.home.run(self.client(&args)).await;
            if sent.code == Some(1) {
                sent.failure(1, &["no acknowledgement within 1s", "1013"]);
                break;
            }
            assert!(attempt < 20, "{sent:?}");
        }
    }

    /// A `listen`, and what it says.
    fn listen(&self, id: &str) -> (Child, Lines<BufReader<ChildStderr>>) {
        let mut command = tokio::process::Command::from(self.client(&["listen", "--id", id]));
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines)
    }

    /// One that is logged in.
    async fn listening(&self) -> Child {
        let (child, mut lines) = self.listen("guest");
        says(&mut lines, "listening as").await;
        // It may say more.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        child
    }

    /// The files of the journal with their bytes.
    fn journal(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = segments(&self.server.home.data()).into_iter();
        paths.map(|p| (p.clone(), fs::read(p).unwrap())).collect()
    }
}

/// Waits for a line with these words.
async fn says(lines: &mut Lines<BufReader<ChildStderr>>, words: &str) {
    // The longer it is refused, the later it tries again.
    let said = tokio::time::timeout(COMPACTED_WITHIN, async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(words) {
                return true;
            }
        }
        false
    });
    assert_eq!(said.await, Ok(true), "{words}");
}

/// So many messages there are before it is full.
async fn scenario(full: Full, args: &[&str], count: usize) {
    let Some(mut world) = World::new(full, 200, args).await else {
        return;
    };
    if let Full::FileSize(_) = full {
        world.server.stop().await;
        world.spawn().await;
    }
    let listening = world.listening().await;
    for to in ["box", "other", "third"].into_iter().cycle().take(count) {
        assert!(world.send(to).await);
    }
    world.send_until_full().await;
    world.live_orders(listening).await;
    world.orders("running").await;
    world.check().await;
    world.erase("third").await;

    // What that has freed is taken again.
    world.send_until_full().await;
    world.server.stop().await;
    world.spawn().await;
    world.send_until_full().await;
    for _ in 0..2 {
        world.server.kill9().await;
        world.spawn().await;
        world.send_until_full().await;
    }
    world.server.stop().await;
    world.fill();
    world.orders("stopped").await;
    world.cli(&["check", "--repair"]).await.success();
    world.spawn().await;
    world.check().await;

    // What is erased makes room for what comes.
    let (_late, mut told) = world.listen("late");
    // A file that may not grow is begun anew.
    if !matches!(full, Full::FileSize(_)) {
        says(&mut told, "again in").await;
    }
    world.erase("other").await;
    if full == Full::Files {
        world.free();
    }
    until("room", async || world.is_ready().await.then_some(())).await;
    says(&mut told, "listening as").await;
    assert!(world.send("box").await);
    world.server.restart().await;
    world.check().await;
}

#[tokio::test]
async fn without_space() {
    scenario(Full::Space, &[], 300).await;
}

#[tokio::test]
async fn without_quota() {
    scenario(Full::Quota, &[], 300).await;
}

#[tokio::test]
async fn without_files() {
    scenario(Full::Files, &[], 300).await;
}

#[tokio::test]
async fn with_files_that_may_not_grow() {
    let limit = Full::FileSize(20 << 20);
    scenario(limit, &["--tail-bytes-max", "4MiB"], 60).await;
}

/// Damage that nothing is lost by: rubbish behind a sealed segment.
fn spoil(segment: &Path) {
    let mut file = OpenOptions::new().append(true).open(segment).unwrap();
    file.write_all(&b"rubbish".repeat(9)).unwrap();
}

/// Segments of a stopped server that nobody writes on any more.
fn sealed(data: &Path) -> Vec<PathBuf> {
    let mut paths = segments(data);
    paths.retain(|path| {
        fs::read(path)
            .unwrap()
            .starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
    });
    paths
}

async fn repaired(full: Full) {
    let Some(mut world) = World::new(full, 128, &["--segment-bytes", "1MiB"]).await else {
        return;
    };
    for _ in 0..150 {
        assert!(world.send("box").await);
    }
    let data = world.server.home.data();
    world.server.stop().await;
    spoil(&sealed(&data)[1]);
    let open = File::options()
        .write(true)
        .open(segments(&data).pop().unwrap());
    // In its header.
    open.unwrap().write_all_at(b"\xff", 20).unwrap();
    world.fill();
    world.cli(&["check"]).await.failure(1, &["damaged"]);
    let repaired = world.cli(&["check", "--repair"]).await.success();
    assert!(repaired.contains("2 damaged files set aside"), "{repaired}");
    let whole = world.cli(&["check"]).await.success();
    assert!(whole.contains("is whole"), "{whole}");
    world.spawn().await;
    world.check().await;
    world.free();
    until("room", async || world.is_ready().await.then_some(())).await;
    assert!(world.send("box").await);
    world.server.stop().await;

    // More than what is kept back has room for.
    let sealed = sealed(&data);
    sealed.iter().for_each(|path| spoil(path));
    world.fill();
    if full != Full::Files {
        let before = world.journal();
        let refused = world.cli(&["check", "--repair"]).await;
        refused.failure(1, &["there is no room to repair", "up to 12 MiB and"]);
        assert!(world.journal() == before, "the journal was changed");
        let names = fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name());
        let aside = |name: &str| name.starts_with("journal.damaged");
        assert_eq!(names.filter(|n| aside(&n.to_string_lossy())).count(), 1);
        world.free();
        let repaired = world.server.home.cli(&["check", "--repair"]).await;
        repaired.success();
    } else {
        world.cli(&["check", "--repair"]).await.success();
    }
    world.spawn().await;
    world.check().await;
}

#[tokio::test]
async fn a_damaged_directory_is_repaired_without_space() {
    repaired(Full::Space).await;
}

#[tokio::test]
async fn a_damaged_directory_is_repaired_without_quota() {
    repaired(Full::Quota).await;
}

#[tokio::test]
async fn a_damaged_directory_is_repaired_without_files() {
    repaired(Full::Files).await;
}

#[tokio::test]
async fn what_expires_leaves_a_full_disk() {
    for full in [Full::Space, Full::Quota, Full::Files] {
        let args = ["--segment-bytes", "1MiB", "--retention", "demo=2s"];
        let Some(mut world) = World::new(full, 64, &args).await else {
            return;
        };
        for _ in 0..60 {
            assert!(world.send("box").await);
        }
        world.server.stop().await;
        world.spawn().await;
        let bytes = || world.journal().iter().map(|(_, b)| b.len()).sum::<usize>();
        let is_gone = async || {
            // There, trying takes so long that others would get all that is given up.
            if full != Full::Quota {
                world.fill();
            }
            (world.mailbox("box").await.is_empty() && bytes() < 1 << 20).then_some(())
        };
        until_within(COMPACTED_WITHIN, "the end of what has expired", is_gone).await;
        world.free();
        until("room", async || world.is_ready().await.then_some(())).await;
        assert!(world.send("box").await);
    }
}

/// What is in memory has to go into the index before anything can go from the disk.
async fn filled_while_much_was_in_memory(full: Full) {
    // Large enough for much to be there.
    let args = ["--tail-bytes-max", "40MiB"];
    let Some(mut world) = World::new(full, 450, &args).await else {
        return;
    };
    let begun = Instant::now();
    loop {
        assert!(
            begun.elapsed() < COMPACTED_WITHIN,
            "it does not stay in memory"
        );
        for to in ["box", "other"].into_iter().cycle().take(10) {
            assert!(world.send(to).await);
        }
        let stats = world.cli(&["stats", "--json"]).await.success();
        let stats: Value = serde_json::from_str(&stats).unwrap();
        // What is always kept back has no room for that.
        if stats["tailBytes"].as_u64().unwrap() > 16 << 20 {
            break;
        }
    }
    world.fill();
    world.erase("box").await;
    world.erase("other").await;
    until("room", async || world.is_ready().await.then_some(())).await;
    assert!(world.send("box").await);
}

#[tokio::test]
async fn what_is_erased_leaves_a_disk_that_was_filled_while_much_was_in_memory() {
    filled_while_much_was_in_memory(Full::Space).await;
}

#[tokio::test]
async fn what_is_erased_leaves_a_quota_that_was_filled_while_much_was_in_memory() {
    filled_while_much_was_in_memory(Full::Quota).await;
}

#[test]
fn no_command_is_killed_by_a_limit_of_a_file_s_size() {
    let home = Home::new();
    let told = home.path("told");
    for (args, code) in [
        (&["man"] as &[&str], 1),
        (&["completions", "bash"], 1),
        // Help that nobody gets is no error.
        (&["--help"], 0),
        // Its files go on where one may not grow.
        (&["domain", "add", "shop"], 0),
        (&["domain", "list"], 0),
    ] {
        let mut command = home.limited(&home.bare_command(args), 512);
        let output = command.stdout(File::create(&told).unwrap()).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(code == 1, stderr.contains("File too large"), "{stderr}");
    }
    let list = fs::read_to_string(&told).unwrap();
    assert!(list.contains("shop"), "{list}");
}

/// The index is looked at as a copy, which is opened and written to.
#[tokio::test]
async fn a_check_without_room_for_that_copy_takes_the_index_for_no_damage() {
    let mut server = Server::start().await;
    server.stop().await;
    let home = server.home.clone();
    let place = home.path("temporary");
    let Some(_disk) = SmallDisk::mount(&place, 1) else {
        return;
    };
    // There is room for what is copied, and none for what opening it adds.
    std::fs::write(place.join("filler"), vec![0x5a; 896 << 10]).unwrap();
    let mut command = home.bare_command(["check", "--data"]);
    let command = command.arg(home.data()).env("TMPDIR", &place);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(told.contains("the index was not looked at"), "{told}");
    assert!(told.contains("No space left"), "{told}");
}

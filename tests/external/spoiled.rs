//! Copies that are spoiled in every way: `relaybox check`, `relaybox restore` and the start of a
//! server agree on each, and where they call it whole, nothing is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::harness::disk::LoopDisk;
use crate::support::journal::{flip, make, number, open, segments, send};
use crate::support::{Home, Options, Server};

const MESSAGES: u64 = 500;
/// Behind the state that the journal of some copies is of.
const LATER: u64 = 700;
/// The same, and no segment was begun since.
const SOON: u64 = 510;

/// What all three must make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing is said.
    Whole,
    /// All is there, and this is said.
    Noted(&'static str),
    /// This is said, since what came last may be missing; a beginning is there.
    Short(&'static str),
    /// With this.
    Refused(&'static str),
}

use Verdict::{Noted, Refused, Short, Whole};

const SEALED: &str = "the newest segment is sealed";
const LATE: &str = "nothing that was acknowledged before the copy is missing";
const BREAKS_OFF: &str = "the journal breaks off";
const MISSING: &str = "the newest messages are missing from the journal";
const UNSURE: &str = "nothing tells whether this is a copy";
const TORN: &str = "torn";
const PADDED: &str = "zeros stand behind";
const NO_VERSION: &str = "VERSION is missing";
/// Everything that a whole copy gives no reason to say.
const NOTES: [&str; 7] = [
    SEALED,
    LATE,
    BREAKS_OFF,
    UNSURE,
    "that a crash left",
    PADDED,
    NO_VERSION,
];

/// Spoils the copy that it is given.
type Spoil = fn(&Copy);

struct Case {
    what: &'static str,
    verdict: Verdict,
    spoil: Spoil,
}

const fn case(what: &'static str, verdict: Verdict, spoil: Spoil) -> Case {
    Case {
        what,
        verdict,
        spoil,
    }
}

/// A copy that is to be spoiled.
struct Copy {
    dir: PathBuf,
    /// Another data directory.
    other: PathBuf,
}

impl Copy {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn segment(&self, at: usize) -> PathBuf {
        segments(&self.dir).remove(at)
    }

    /// The one that was written on.
    fn newest(&self) -> PathBuf {
        segments(&self.dir).pop().unwrap()
    }

    fn newest_sealed(&self) -> PathBuf {
        self.segment(segments(&self.dir).len() - 2)
    }

    /// sled's file.
    fn index(&self) -> PathBuf {
        let number = fs::read_dir(self.file("db")).unwrap().next().unwrap();
        number.unwrap().path().join("db")
    }
}

fn remove(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.unwrap();
}

fn edit(path: impl AsRef<Path>, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn append(path: impl AsRef<Path>, more: &[u8]) {
    edit(path, |bytes| bytes.extend_from_slice(more));
}

/// As a tool pads that copies in blocks.
fn pad(path: impl AsRef<Path>) {
    append(path, &[0; 4096]);
}

fn junk(path: impl AsRef<Path>) {
    append(path, &[&[0; 512], b"rubbish".as_slice()].concat());
}

fn cut_in_half(path: impl AsRef<Path>) {
    edit(path, |bytes| bytes.truncate(bytes.len() / 2));
}

fn empty(path: impl AsRef<Path>) {
    fs::write(path, "").unwrap();
}

/// Changes the byte at so many hundredths.
fn flip_at(path: &Path, hundredths: usize) {
    let length = fs::metadata(path).unwrap().len() as usize;
    flip(path, (length - 1) * hundredths / 100);
}

fn swap(one: &Path, two: &Path) {
    let bytes = fs::read(one).unwrap();
    fs::copy(two, one).unwrap();
    fs::write(two, bytes).unwrap();
}

/// Puts another directory's file in the place of one.
fn replace(path: &Path, other: &Path) {
    fs::copy(other, path).unwrap();
}

/// As a tool finds it that lists it before it is sealed, and reads it after.
fn seal(path: &Path) {
    edit(path, |bytes| {
        *bytes = zstd::encode_all(bytes.as_slice(), 1).unwrap()
    });
}

fn unseal(path: &Path) {
    edit(path, |bytes| {
        *bytes = zstd::decode_all(bytes.as_slice()).unwrap()
    });
}

/// The frame without records that a clean stop leaves.
const MARK_BYTES: usize = 32;

fn cut(path: &Path, count: usize) {
    edit(path, |bytes| bytes.truncate(bytes.len() - count));
}

/// Cuts off the mark, the last message, and of the one before it nothing.
fn cut_between_frames(path: &Path) {
    edit(path, |bytes| {
        let begins = |at: &usize| bytes[*at..].starts_with(b"rbF1");
        let last = (0..bytes.len() - MARK_BYTES).rev().find(begins).unwrap();
        bytes.truncate(last);
    });
}

/// A state as an earlier version wrote it, without what the file is known by.
fn forget_identity(dir: &Path) {
    edit(dir.join("db.state"), |bytes| {
        let note = bytes.len() - 10;
        let born = [1, 253];
        let why = "the file system of TMPDIR does not tell when a file was made";
        assert!(bytes[note..].starts_with(&born), "{why}");
        bytes.truncate(note);
        let crc = crc32c::crc32c(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
    });
}

/// Each with the index and without.
const CASES: [Case; 45] = [
    case("nothing", Whole, |_| ()),
    case("LOCK: removed", Whole, |c| remove(c.file("LOCK"))),
    case("LOCK: padded", Whole, |c| pad(c.file("LOCK"))),
    case("LOCK: junk", Whole, |c| junk(c.file("LOCK"))),
    case("settings: padded", Whole, |c| {
        fs::write(c.file("relaybox.toml"), "log = \"info\"\n").unwrap();
        pad(c.file("relaybox.toml"));
    }),
    case("VERSION: padded", Whole, |c| pad(c.file("VERSION"))),
    case("VERSION: removed", Noted(NO_VERSION), |c| {
        remove(c.file("VERSION"))
    }),
    case("VERSION: empty", Noted(NO_VERSION), |c| {
        empty(c.file("VERSION"))
    }),
    case("VERSION: zeros", Noted(NO_VERSION), |c| {
        fs::write(c.file("VERSION"), [0, 0]).unwrap();
    }),
    case("VERSION: junk", Refused("VERSION"), |c| {
        junk(c.file("VERSION"))
    }),
    case("VERSION: flipped", Refused("VERSION"), |c| {
        flip(&c.file("VERSION"), 0)
    }),
    case("first: removed", Refused("number 1 is missing"), |c| {
        remove(c.segment(0))
    }),
    case("first: padded", Noted(PADDED), |c| pad(c.segment(0))),
    case("first: junk", Refused("00000001-"), |c| junk(c.segment(0))),
    case("first: cut", Refused("00000001-"), |c| {
        cut_in_half(c.segment(0))
    }),
    case("first: empty", Refused("00000001-"), |c| {
        empty(c.segment(0))
    }),
    case("first: zeros", Refused("00000001-"), |c| {
        edit(c.segment(0), |bytes| bytes.fill(0));
    }),
    case("first: first byte", Refused("00000001-"), |c| {
        flip_at(&c.segment(0), 0)
    }),
    case("first: a tenth", Refused("00000001-"), |c| {
        flip_at(&c.segment(0), 10)
    }),
    case("first: half", Refused("00000001-"), |c| {
        flip_at(&c.segment(0), 50)
    }),
    case("first: last byte", Refused("00000001-"), |c| {
        flip_at(&c.segment(0), 100)
    }),
    case("middle: removed", Refused("number 3 is missing"), |c| {
        remove(c.segment(2))
    }),
    case("middle: padded", Noted(PADDED), |c| pad(c.segment(2))),
    case("middle: junk", Refused("00000003-"), |c| junk(c.segment(2))),
    case("middle: cut", Refused("00000003-"), |c| {
        cut_in_half(c.segment(2))
    }),
    case("middle: half", Refused("00000003-"), |c| {
        flip_at(&c.segment(2), 50)
    }),
    case("middle: another's", Refused("00000003-"), |c| {
        replace(&c.segment(2), &segments(&c.other)[2]);
    }),
    case("middle: twice", Refused("number 3"), |c| {
        fs::copy(c.segment(2), c.file("journal/00000003-77.log")).unwrap();
    }),
    case("two swapped", Refused("00000002-"), |c| {
        swap(&c.segment(1), &c.segment(2))
    }),
    case("newest sealed: padded", Noted(PADDED), |c| {
        pad(c.newest_sealed())
    }),
    case("newest sealed: junk", Refused("byte"), |c| {
        junk(c.newest_sealed())
    }),
    case("newest sealed: last byte", Refused("byte"), |c| {
        flip_at(&c.newest_sealed(), 100)
    }),
    case("all sealed padded", Noted(PADDED), |c| {
        let mut sealed = segments(&c.dir);
        sealed.pop();
        sealed.iter().for_each(pad);
    }),
    case("open: removed", Short(SEALED), |c| remove(c.newest())),
    case("open: sealed meanwhile", Short(SEALED), |c| {
        seal(&c.newest())
    }),
    case(
        "open: removed, and the one before padded",
        Short(SEALED),
        |c| {
            remove(c.newest());
            pad(c.newest());
        },
    ),
    case("open and the one before: removed", Short(SEALED), |c| {
        remove(c.newest());
        remove(c.newest());
    }),
    case("open: padded", Noted(TORN), |c| pad(c.newest())),
    case("open: its last byte cut", Noted(TORN), |c| {
        cut(&c.newest(), 1)
    }),
    case("open: its mark cut", Whole, |c| {
        cut(&c.newest(), MARK_BYTES)
    }),
    case("open: its header", Refused("byte 0"), |c| {
        flip(&c.newest(), 20)
    }),
    case("open: a frame", Refused("at byte"), |c| {
        flip(&c.newest(), 300)
    }),
    case("open: empty", Refused("byte 0"), |c| empty(c.newest())),
    case(
        "all segments removed",
        Refused("its segments are missing"),
        |c| {
            segments(&c.dir).iter().for_each(remove);
        },
    ),
    case("the journal removed", Refused("journal"), |c| {
        remove(c.file("journal"))
    }),
];

/// With the index: that of a copy is not used, but tells how far the journal should reach.
const INDEX_CASES: [Case; 13] = [
    case("open: cut in its last message", Short(BREAKS_OFF), |c| {
        cut(&c.newest(), MARK_BYTES + 1)
    }),
    case("open: cut in half", Short(BREAKS_OFF), |c| {
        cut_in_half(c.newest())
    }),
    // As where it is left out before the one before is compressed.
    case(
        "open: removed, and the one before unsealed",
        Short(BREAKS_OFF),
        |c| {
            remove(c.newest());
            unseal(&c.newest());
        },
    ),
    case("state: padded", Whole, |c| pad(c.file("db.state"))),
    case("state: removed", Whole, |c| remove(c.file("db.state"))),
    case("state: junk", Whole, |c| junk(c.file("db.state"))),
    case("state: cut", Whole, |c| cut_in_half(c.file("db.state"))),
    case("state: flipped", Whole, |c| flip(&c.file("db.state"), 15)),
    case("index: removed", Whole, |c| remove(c.file("db"))),
    case("index: cut", Whole, |c| cut_in_half(c.index())),
    case("index: junk", Whole, |c| junk(c.index())),
    case("index: flipped", Whole, |c| flip_at(&c.index(), 50)),
    case("index: zeros", Whole, |c| {
        edit(c.index(), |bytes| bytes.fill(0))
    }),
];

/// Of what is no copy: what its index knows of was there.
const ORIGINAL_CASES: [Case; 10] = [
    case("nothing", Whole, |_| ()),
    case("state: padded", Whole, |c| pad(c.file("db.state"))),
    case("open: padded", Noted(TORN), |c| pad(c.newest())),
    case("open: its last byte cut", Noted(TORN), |c| {
        cut(&c.newest(), 1)
    }),
    case("open: its mark cut", Whole, |c| {
        cut(&c.newest(), MARK_BYTES)
    }),
    case("open: cut in its last message", Refused(MISSING), |c| {
        cut(&c.newest(), MARK_BYTES + 1)
    }),
    case("open: cut between frames", Refused(MISSING), |c| {
        cut_between_frames(&c.newest())
    }),
    case("open: removed", Refused(MISSING), |c| remove(c.newest())),
    case(
        "open: removed, and the one before unsealed",
        Refused(MISSING),
        |c| {
            remove(c.newest());
            unseal(&c.newest());
        },
    ),
    case(
        "open: removed, and nothing knows of it",
        Short(SEALED),
        |c| {
            remove(c.newest());
            remove(c.file("db.state"));
        },
    ),
];

/// Of what may be a copy or not.
const UNKNOWN_CASES: [Case; 9] = [
    case("nothing", Whole, |_| ()),
    case("open: its mark cut", Whole, |c| {
        cut(&c.newest(), MARK_BYTES)
    }),
    case("open: cut in its last message", Short(UNSURE), |c| {
        cut(&c.newest(), MARK_BYTES + 1)
    }),
    case("open: cut between frames", Short(UNSURE), |c| {
        cut_between_frames(&c.newest())
    }),
    case("open: removed", Short(SEALED), |c| remove(c.newest())),
    case(
        "open: removed, and the one before unsealed",
        Short(UNSURE),
        |c| {
            remove(c.newest());
            unseal(&c.newest());
        },
    ),
    case("index: removed", Whole, |c| remove(c.file("db"))),
    case("index: cut", Whole, |c| cut_in_half(c.index())),
    case("index: zeros", Whole, |c| {
        edit(c.index(), |bytes| bytes.fill(0))
    }),
];

/// Copies of a backup.
const BACKUP_CASES: [Case; 10] = [
    case("nothing", Whole, |_| ()),
    case("BACKUP: padded", Whole, |c| pad(c.file("BACKUP"))),
    case("BACKUP: removed", Whole, |c| remove(c.file("BACKUP"))),
    case("BACKUP: junk", Refused("how far the backup reaches"), |c| {
        junk(c.file("BACKUP"))
    }),
    case(
        "BACKUP: empty",
        Refused("how far the backup reaches"),
        |c| empty(c.file("BACKUP")),
    ),
    case(
        "BACKUP: of an interrupted run",
        Noted("was interrupted"),
        |c| {
            let text = "{\"complete\": false, \"sequence\": 1}";
            fs::write(c.file("BACKUP"), text).unwrap();
        },
    ),
    case(
        "newest removed",
        Refused("the backup held everything"),
        |c| remove(c.newest()),
    ),
    // The backup says that this is all.
    case("newest sealed meanwhile", Whole, |c| seal(&c.newest())),
    case("first padded", Noted(PADDED), |c| pad(c.segment(0))),
    case("first junk", Refused("00000001-"), |c| junk(c.segment(0))),
];

fn copy(from: &Path, to: &Path) {
    let mut command = std::process::Command::new("cp");
    let copied = command.arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// What `text` says of a copy that was not refused.
fn verdict(text: &str, wanted: Verdict) -> Verdict {
    match wanted {
        Noted(note) if text.contains(note) => wanted,
        Short(note) if text.contains(note) => wanted,
        _ => match NOTES.iter().find(|note| text.contains(**note)) {
            Some(note) => Noted(note),
            None => Whole,
        },
    }
}

fn refusal(code: Option<i32>, text: &str, wanted: Verdict) -> Result<Verdict, String> {
    match wanted {
        Refused(why) if code == Some(1) && text.contains(why) && !text.contains("panicked") => {
            Ok(wanted)
        }
        _ => Err(format!("{code:?}: {text}")),
    }
}

async fn checked(home: &Home, wanted: Verdict) -> Result<Verdict, String> {
    let told = home.cli(&["check"]).await;
    let text = format!("{}{}", told.stdout, told.stderr);
    match (told.code, wanted) {
        // Said so in its own words.
        (Some(0), Noted(TORN)) if text.contains("that a crash left") => Ok(wanted),
        (Some(0), Whole | Noted(_)) => Ok(verdict(&text, wanted)),
        (Some(3), Short(_)) => Ok(verdict(&text, wanted)),
        (code, _) => refusal(code, &text, wanted),
    }
}

async fn restored(from: &Path, all: u64, wanted: Verdict) -> Result<Verdict, String> {
    let home = Arc::new(Home::new());
    let told = home.cli(&["restore", from.to_str().unwrap()]).await;
    if told.code != Some(0) {
        assert!(!home.data().join("VERSION").exists(), "something was made");
        return refusal(told.code, &told.stderr, wanted);
    }
    let text = told.stderr.replace("that a crash left", TORN);
    let found = verdict(&text, wanted);
    // Whoever restored it was told, and is not told again.
    let server = Server::at(home, Options::new()).await;
    complete(&server, all, wanted).await?;
    match verdict(&server.stderr(), Whole) {
        Whole => Ok(found),
        again => Err(format!("said again: {again:?}")),
    }
}

async fn served(home: Arc<Home>, all: u64, wanted: Verdict) -> Result<Verdict, String> {
    match Server::attempt(home, Options::new()).await {
        Ok(server) => {
            complete(&server, all, wanted).await?;
            Ok(verdict(&server.stderr(), wanted))
        }
        Err((code, said)) => refusal(code, &said, wanted),
    }
}

async fn complete(server: &Server, all: u64, wanted: Verdict) -> Result<(), String> {
    let numbers: Vec<_> = server.mailbox("box").await.iter().map(number).collect();
    let right = numbers == (0..numbers.len() as u64).collect::<Vec<_>>();
    let whole = numbers.len() as u64 == all;
    match right && (whole || matches!(wanted, Short(_))) {
        true => Ok(()),
        false => Err(format!("it serves {numbers:?}")),
    }
}

/// Asks all three about what is in `home`.
async fn all_say(home: Arc<Home>, what: &str, all: u64, wanted: Verdict, wrong: &mut Vec<String>) {
    let found = [
        ("check", checked(&home, wanted).await),
        ("restore", restored(&home.data(), all, wanted).await),
        ("serve", served(home, all, wanted).await),
    ];
    for (who, found) in found {
        if found != Ok(wanted) {
            wrong.push(format!("{what}: {who}: {found:?} instead of {wanted:?}"));
        }
    }
}

/// Makes directories of `from`, in which there are so many messages, spoils them, and asks all three.
async fn agree_on(
    make: impl Fn(&Path, &Path),
    cases: &[Case],
    from: &Path,
    other: &Path,
    all: u64,
    wrong: &mut Vec<String>,
) {
    for case in cases {
        let home = Arc::new(Home::new());
        make(from, &home.data());
        (case.spoil)(&Copy {
            dir: home.data(),
            other: other.to_owned(),
        });
        all_say(home, case.what, all, case.verdict, wrong).await;
    }
}

async fn agree(cases: &[Case], from: &Path, other: &Path, all: u64, wrong: &mut Vec<String>) {
    agree_on(copy, cases, from, other, all, wrong).await;
}

/// With an index of its own.
fn original(from: &Path, to: &Path) {
    copy(from, to);
    open(to).close();
}

fn unknown(from: &Path, to: &Path) {
    original(from, to);
    forget_identity(to);
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn two() -> (Home, Home) {
    let (one, other) = (Home::new(), Home::new());
    make(&one.data(), MESSAGES);
    make(&other.data(), MESSAGES + 100);
    assert!(segments(&one.data()).len() > 4, "too few segments");
    (one, other)
}

#[tokio::test]
async fn of_a_spoiled_copy_with_its_index_all_say_the_same() {
    let (one, other) = two();
    let (one, other) = (one.data(), other.data());
    let mut wrong = Vec::new();
    agree(&CASES, &one, &other, MESSAGES, &mut wrong).await;
    agree(&INDEX_CASES, &one, &other, MESSAGES, &mut wrong).await;
    assert_none(&wrong);
}

#[tokio::test]
async fn of_a_spoiled_copy_without_its_index_all_say_the_same() {
    let (one, other) = two();
    let bare = one.path("bare");
    copy(&one.data(), &bare);
    remove(bare.join("db"));
    remove(bare.join("db.state"));
    let mut wrong = Vec::new();
    agree(&CASES, &bare, &other.data(), MESSAGES, &mut wrong).await;
    assert_none(&wrong);
}

#[tokio::test]
async fn of_a_spoiled_original_all_say_the_same() {
    let (one, other) = two();
    let (one, other) = (one.data(), other.data());
    let mut wrong = Vec::new();
    agree_on(
        original,
        &ORIGINAL_CASES,
        &one,
        &other,
        MESSAGES,
        &mut wrong,
    )
    .await;
    assert_none(&wrong);
}

#[tokio::test]
async fn of_what_may_be_a_copy_nothing_is_claimed() {
    let (one, other) = two();
    let (one, other) = (one.data(), other.data());
    let mut wrong = Vec::new();
    agree_on(unknown, &UNKNOWN_CASES, &one, &other, MESSAGES, &mut wrong).await;
    assert_none(&wrong);
}

/// Without birth times, inode numbers tell.
#[tokio::test]
async fn where_no_file_system_tells_when_a_file_was_made_all_say_the_same() {
    let home = Home::new();
    let at = home.path("at");
    let inodes = ["-I", "128"];
    let Some(mut disk) = LoopDisk::make_with(&home.path("disk"), &at, 256, &inodes) else {
        return;
    };
    let born = fs::metadata(&at).unwrap().created();
    assert!(born.is_err(), "it tells: {born:?}");
    let on_disk = |name: &str| {
        let home = Arc::new(Home::new());
        std::os::unix::fs::symlink(at.join(name), home.data()).unwrap();
        home
    };
    let data = at.join("data");
    make(&data, 50);
    let mut wrong = Vec::new();
    fs::create_dir(at.join("copy")).unwrap();
    for name in ["journal", "VERSION"] {
        copy(&data.join(name), &at.join("copy").join(name));
    }
    let store = open(&data);
    send(&store, 50..60);
    store.close();
    drop(store);
    for name in ["db", "db.state"] {
        copy(&data.join(name), &at.join("copy").join(name));
    }
    let late = Noted(LATE);
    all_say(on_disk("copy"), "journal first", 50, late, &mut wrong).await;
    fs::rename(&data, at.join("moved")).unwrap();
    disk.reimage(&home.path("image"));
    let moved = on_disk("moved");
    let told = moved.cli(&["check"]).await.success();
    assert!(told.contains("the index is whole"), "{told}");
    all_say(moved.clone(), "moved", 60, Whole, &mut wrong).await;
    open(&moved.data()).close();
    cut_between_frames(&segments(&moved.data()).pop().unwrap());
    let lost = Refused(MISSING);
    all_say(moved, "original", 60, lost, &mut wrong).await;
    assert_none(&wrong);
    drop(disk);
}

#[tokio::test]
async fn of_a_spoiled_backup_all_say_the_same() {
    let (one, other) = two();
    let dest = one.path("backup");
    one.cli(&["backup", dest.to_str().unwrap()]).await.success();
    let mut wrong = Vec::new();
    agree(&BACKUP_CASES, &dest, &other.data(), MESSAGES, &mut wrong).await;
    assert_none(&wrong);
}

#[tokio::test]
async fn an_index_of_another_time_than_the_journal_makes_a_copy_no_worse() {
    let home = Home::new();
    make(&home.data(), MESSAGES);
    let parts = |into: &str, names: &[&str]| {
        fs::create_dir_all(home.path(into)).unwrap();
        for name in names {
            copy(&home.data().join(name), &home.path(into).join(name));
        }
    };
    let (journal, index) = (["journal", "VERSION"], ["db", "db.state"]);
    parts("journal-first", &journal);
    parts("journal-long-before", &journal);
    parts("index-first", &index);
    let store = open(&home.data());
    send(&store, MESSAGES..SOON);
    store.close();
    parts("journal-first", &index);
    let store = open(&home.data());
    send(&store, SOON..LATER);
    store.close();
    parts("journal-long-before", &index);
    parts("index-first", &journal);
    let mut wrong = Vec::new();
    let other = home.data();
    for (from, all, cases) in [
        (
            "journal-first",
            MESSAGES,
            [case("journal first", Noted(LATE), |_| ())],
        ),
        // So it would look if the open segment had been left out.
        (
            "journal-long-before",
            MESSAGES,
            [case("journal long before", Short(BREAKS_OFF), |_| ())],
        ),
        ("index-first", LATER, [case("index first", Whole, |_| ())]),
    ] {
        agree(&cases, &home.path(from), &other, all, &mut wrong).await;
    }
    assert_none(&wrong);
}

#[tokio::test]
async fn a_repair_says_what_only_the_index_knew_of() {
    let home = Arc::new(Home::new());
    make(&home.data(), 50);
    copy(&home.data().join("journal"), &home.path("before"));
    let store = open(&home.data());
    send(&store, 50..60);
    store.close();
    remove(home.data().join("journal"));
    copy(&home.path("before"), &home.data().join("journal"));
    home.cli(&["check"])
        .await
        .failure(1, &["is damaged in 1 place"]);
    let told = home.cli(&["check", "--repair"]).await.success();
    assert!(
        told.contains("lost: frames") && told.contains("not later than"),
        "{told}"
    );
    let data = home.data();
    let server = Server::at(home, Options::new()).await;
    complete(&server, 50, Whole).await.unwrap();
    assert!(data.join("db.broken-1").exists(), "what it had is kept");
}

#[tokio::test]
async fn a_repair_of_what_may_be_a_copy_claims_no_loss() {
    let home = Home::new();
    make(&home.data(), MESSAGES);
    forget_identity(&home.data());
    cut_between_frames(&segments(&home.data()).pop().unwrap());
    let told = home.cli(&["check", "--repair"]).await;
    told.failure(3, &["may be missing"]);
    assert!(!told.stdout.contains("lost"), "{told:?}");
    remove(&segments(&home.data())[0]);
    let told = home.cli(&["check", "--repair"]).await.success();
    let (sure, unsure) = ("lost: frames 1 to", "lost, unless this is a copy: frame");
    assert!(told.contains(sure) && told.contains(unsure), "{told}");
}

/// Moved, renamed or copied as a whole file system, a directory is no copy.
#[tokio::test]
async fn what_was_only_renamed_keeps_its_index() {
    let home = Arc::new(Home::new());
    make(&home.path("before"), 50);
    fs::rename(home.path("before"), home.data()).unwrap();
    let told = home.cli(&["check"]).await.success();
    assert!(told.contains("the index is whole"), "{told}");
    let mut server = Server::at(home.clone(), Options::new()).await;
    assert!(
        !server.stderr().contains("made anew"),
        "{}",
        server.stderr()
    );
    server.stop().await;
    copy(&home.data(), &home.path("copy"));
    let path = home.path("copy");
    let told = home
        .cli_bare(&["check", path.to_str().unwrap()])
        .await
        .success();
    assert!(told.contains("the index came with a copy"), "{told}");
}

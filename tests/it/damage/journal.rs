//! Each case damages the journal in a copy of the same directory, lets `relaybox check` look at
//! it, and starts the server on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{COMPRESSED, SEGMENT_HEADER_BYTES, copy, frames, made, options, segments};
use crate::support::ledger::Ledger;
use crate::support::{Home, Server, random, until};

/// How the directory was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// By a clean stop: the index is trusted.
    Clean,
    /// By a kill.
    Killed,
    /// By a kill, and the index was deleted: all comes from the journal.
    Alone,
}

const ALL: &[Left] = &[Left::Clean, Left::Killed, Left::Alone];
const ALONE: &[Left] = &[Left::Alone];

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The server refuses to start, and names the file and a byte of it.
    Refused,
    /// The same, or it has no need of what is damaged and serves all.
    RefusedOrWhole,
}

/// The segments of a journal, by number.
struct Journal {
    paths: Vec<PathBuf>,
    /// Those of another directory.
    others: Vec<PathBuf>,
}

impl Journal {
    fn of(data: &Path, other: &Path) -> Self {
        Self {
            paths: segments(data),
            others: segments(other),
        }
    }

    fn first(&self) -> &Path {
        &self.paths[0]
    }

    fn middle(&self) -> &Path {
        &self.paths[self.paths.len() / 2]
    }

    fn open(&self) -> &Path {
        self.paths.last().unwrap()
    }
}

/// Damages files; the answer is those that may be named.
type Damage = fn(&Journal) -> Vec<PathBuf>;

struct Case {
    what: &'static str,
    left: &'static [Left],
    expected: Expected,
    damage: Damage,
}

/// Flips a bit of the byte at so many hundredths of the file.
fn flip(path: &Path, hundredths: usize) -> Vec<PathBuf> {
    flip_at(
        path,
        (fs::metadata(path).unwrap().len() as usize - 1) * hundredths / 100,
    )
}

fn flip_at(path: &Path, at: usize) -> Vec<PathBuf> {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
    vec![path.to_owned()]
}

/// Flips a bit in the first, or the last, frame with something in it.
fn flip_frame(path: &Path, last: bool) -> Vec<PathBuf> {
    let mut filled = frames(path).into_iter().filter(|frame| frame.records > 0);
    let frame = if last {
        filled.next_back()
    } else {
        filled.next()
    };
    let bytes = frame.unwrap().bytes;
    flip_at(path, (bytes.start + bytes.end) / 2)
}

fn unpack(path: &Path) {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(&COMPRESSED), "not compressed: {path:?}");
    fs::write(path, zstd::decode_all(bytes.as_slice()).unwrap()).unwrap();
}

fn remove(path: &Path) -> Vec<PathBuf> {
    fs::remove_file(path).unwrap();
    vec![path.to_owned()]
}

fn empty(path: &Path) -> Vec<PathBuf> {
    fs::write(path, "").unwrap();
    vec![path.to_owned()]
}

fn replace(path: &Path, by: &Path) -> Vec<PathBuf> {
    fs::copy(by, path).unwrap();
    vec![path.to_owned()]
}

fn swap(one: &Path, other: &Path) -> Vec<PathBuf> {
    let bytes = fs::read(one).unwrap();
    fs::copy(other, one).unwrap();
    fs::write(other, bytes).unwrap();
    vec![one.to_owned(), other.to_owned()]
}

fn case(what: &'static str, left: &'static [Left], expected: Expected, damage: Damage) -> Case {
    Case {
        what,
        left,
        expected,
        damage,
    }
}

fn cases() -> Vec<Case> {
    use Expected::{Refused, RefusedOrWhole};
    vec![
        case("sealed: its first byte flipped", ALL, RefusedOrWhole, |j| {
            flip(j.middle(), 0)
        }),
        case("sealed: a byte flipped", ALL, RefusedOrWhole, |j| {
            flip(j.middle(), 50)
        }),
        case("sealed, first: a byte flipped", ALL, RefusedOrWhole, |j| {
            flip(j.first(), 20)
        }),
        case("sealed: its last byte flipped", ALONE, Refused, |j| {
            flip(j.middle(), 100)
        }),
        case("sealed, alone: a byte flipped", ALONE, Refused, |j| {
            flip(j.middle(), 70)
        }),
        case("sealed, not compressed: flipped", ALONE, Refused, |j| {
            unpack(j.middle());
            flip(j.middle(), 50)
        }),
        case(
            "sealed, not compressed: its end flipped",
            ALONE,
            Refused,
            |j| {
                unpack(j.middle());
                flip(j.middle(), 100)
            },
        ),
        case("sealed: cut in half", ALONE, Refused, |j| {
            let bytes = fs::read(j.middle()).unwrap();
            fs::write(j.middle(), &bytes[..bytes.len() / 2]).unwrap();
            vec![j.middle().to_owned()]
        }),
        case("sealed, not compressed: cut in half", ALONE, Refused, |j| {
            unpack(j.middle());
            let bytes = fs::read(j.middle()).unwrap();
            fs::write(j.middle(), &bytes[..bytes.len() / 2]).unwrap();
            vec![j.middle().to_owned()]
        }),
        case("open: its header flipped", ALL, Refused, |j| {
            flip(j.open(), 0)
        }),
        case("open: a byte flipped", ALL, RefusedOrWhole, |j| {
            flip_frame(j.open(), false)
        }),
        case("open, alone: a byte flipped", ALONE, Refused, |j| {
            flip_frame(j.open(), false)
        }),
        case("open: its last frame flipped", ALL, RefusedOrWhole, |j| {
            flip_frame(j.open(), true)
        }),
        case("open, alone: its last frame flipped", ALONE, Refused, |j| {
            flip_frame(j.open(), true)
        }),
        case("the first missing", ALL, Refused, |j| remove(j.first())),
        case("the middle one missing", ALL, Refused, |j| {
            remove(j.middle())
        }),
        case("the first empty", ALL, RefusedOrWhole, |j| empty(j.first())),
        case("the first empty, alone", ALONE, Refused, |j| {
            empty(j.first())
        }),
        case("the middle one empty", ALL, RefusedOrWhole, |j| {
            empty(j.middle())
        }),
        case("the middle one empty, alone", ALONE, Refused, |j| {
            empty(j.middle())
        }),
        case("the open one empty", ALL, Refused, |j| empty(j.open())),
        case("only the header of the open one cut", ALL, Refused, |j| {
            let bytes = fs::read(j.open()).unwrap();
            fs::write(j.open(), &bytes[..SEGMENT_HEADER_BYTES - 1]).unwrap();
            vec![j.open().to_owned()]
        }),
        case("swapped", ALL, RefusedOrWhole, |j| {
            swap(j.first(), j.middle())
        }),
        case("swapped, alone", ALONE, Refused, |j| {
            swap(j.first(), j.middle())
        }),
        case("the open one swapped", ALL, Refused, |j| {
            swap(j.first(), j.open())
        }),
        case("the first of another directory", ALONE, Refused, |j| {
            replace(j.first(), &j.others[0]);
            // Which of the two is the stranger, nobody can say.
            j.paths[..2].to_vec()
        }),
        case("the middle one of another directory", ALONE, Refused, |j| {
            let middle = j.paths.len() / 2;
            replace(j.middle(), &j.others[middle])
        }),
        case("the open one of another directory", ALL, Refused, |j| {
            let open = j.paths.len() - 1;
            replace(j.open(), &j.others[open])
        }),
    ]
}

/// Starts a server on a damaged directory: whether it refuses and names one of the files and a
/// byte of it, or serves all that there was; otherwise what is wrong.
async fn outcome(
    home: Arc<Home>,
    files: &[PathBuf],
    ledger: Arc<Ledger>,
) -> Result<Expected, String> {
    let mut server = match Server::attempt(home, options()).await {
        Ok(server) => server,
        Err((code, said)) => {
            let named = |line: &str| files.iter().any(|file| is_named(file, line));
            let right = code == Some(1) && said.lines().any(named) && !said.contains("panicked");
            return right.then_some(Expected::Refused).ok_or(said);
        }
    };
    server.excuse_index();
    let audit = tokio::spawn(async move {
        ledger.audit(&server, &ledger.acknowledged()).await;
    });
    let whole = audit.await.map(|()| Expected::RefusedOrWhole);
    whole.map_err(|_| "it serves something else".to_owned())
}

fn is_named(file: &Path, line: &str) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    let number: u64 = name.split('-').next().unwrap().parse().unwrap();
    let missing = format!("the segment with the number {number} is missing");
    (line.contains(name) || line.contains(&missing)) && line.contains(" at byte ")
}

/// Directories as each case finds them, and the memory of what was sent there.
struct Sample {
    server: Server,
    ledger: Arc<Ledger>,
    /// Of another server.
    other: Server,
}

impl Sample {
    async fn make() -> Self {
        let seed = random::seed();
        let ((other, _), (mut server, ledger)) = tokio::join!(made(seed + 1), made(seed));
        let left = |left: Left| server.home.path(format!("{left:?}"));
        let (clean, killed, alone) = (left(Left::Clean), left(Left::Killed), left(Left::Alone));
        server.kill9().await;
        copy(&server.home.data(), &killed);
        copy(&server.home.data(), &alone);
        fs::remove_dir_all(alone.join("db")).unwrap();
        fs::remove_file(alone.join("db.state")).unwrap();
        server.spawn().await;
        server.stop().await;
        copy(&server.home.data(), &clean);
        server.spawn().await;
        Self {
            server,
            ledger,
            other,
        }
    }

    /// Tries all cases, each on copies of its own, and says which went wrong.
    async fn check(&self, cases: Vec<Case>) {
        let mut wrong = Vec::new();
        for case in cases {
            for left in case.left {
                let home = Arc::new(Home::new());
                copy(&self.server.home.path(format!("{left:?}")), &home.data());
                let journal = Journal::of(&home.data(), &self.other.home.data());
                let files = (case.damage)(&journal);
                let checked = home.cli(&["check"]).await;
                let said = format!("{}{}", checked.stdout, checked.stderr);
                let named = |line: &str| files.iter().any(|file| is_named(file, line));
                if checked.code != Some(1) || !said.lines().any(named) {
                    wrong.push(format!("{}, left {left:?}: {checked:?}", case.what));
                }
                let got = outcome(home, &files, self.ledger.clone()).await;
                let right = got == Ok(case.expected) || got == Ok(Expected::Refused);
                if !right {
                    wrong.push(format!("{}, left {left:?}: {got:?}", case.what));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_named_and_nothing_wrong_is_served() {
    Sample::make().await.check(cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_where_nobody_reads_is_found_in_time() {
    let Sample {
        mut server, other, ..
    } = Sample::make().await;
    // Where it was written: of a copy the whole journal is read at the first start.
    server.stop().await;
    let journal = Journal::of(&server.home.data(), &other.home.data());
    let files = flip(journal.middle(), 50);
    server.spawn().await;
    server.excuse_index();
    until("the damage is named", async || {
        let said = server.stderr();
        let named = |line: &str| files.iter().any(|file| is_named(file, line));
        said.lines().any(named).then_some(())
    })
    .await;
}

//! The house rules that a program can hold: which room may use which, that no files use one another in a circle, how
//! long a file may be, and which words have no place.

#![allow(clippy::unwrap_used)]

mod circles;
mod modules;
mod names;
mod own;
mod rooms;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::circles::{circles, describe};
use crate::modules::Crate;
use crate::rooms::{ROOMS, contradictions, room};

/// The roots of the test binaries.
const TESTS: [&str; 4] = [
    "tests/docs.rs",
    "tests/external/main.rs",
    "tests/it/main.rs",
    "tests/tidy/main.rs",
];

/// Crates that only these rooms or files may name.
const FENCES: [(&str, &[&str]); 9] = [
    ("prometheus", &["metrics"]),
    ("sled", &["src/store/index/engine.rs"]),
    ("bincode", &["store"]),
    ("fastwebsockets", &["websocket", "http"]),
    ("rustls", &["net"]),
    ("tokio_tungstenite", &["client"]),
    ("rcgen", &["net"]),
    ("proxy_header", &["net"]),
    ("anyhow", &["cli", "main"]),
];

/// Words that say that something is not done.
const UNDONE: [&str; 6] = [
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    "#[ignore",
    "FIXME",
    "XXX",
];

const LINES_MAX: usize = 400;

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a directory of the repository: their paths in it, and their texts.
fn sources(dir: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(&repository().join(dir), &mut files);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(repository()).unwrap();
        let name = name.to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// The library with `main.rs` as one of its modules, since it is a room, too.
fn library() -> Crate {
    Crate::read("src/lib.rs", &|file| {
        let text = fs::read_to_string(repository().join(file)).ok()?;
        Some(match file {
            "src/lib.rs" => format!("{text}\nmod main;"),
            "src/main.rs" => text.replace("relaybox::", "crate::"),
            _ => text,
        })
    })
}

fn benches() -> Vec<Crate> {
    let read = |file: &str| fs::read_to_string(repository().join(file)).ok();
    let files = sources("benches").into_iter().map(|(file, _)| file);
    let roots = files.filter(|file| match file.split('/').collect::<Vec<_>>()[..] {
        ["benches", _] => true,
        ["benches", _, last] => last == "main.rs",
        _ => false,
    });
    roots.map(|root| Crate::read(&root, &read)).collect()
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("tests/")
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// Whether a line names this crate's path, and not one whose name ends alike.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::"))
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    let wrong = contradictions(&ROOMS, &library().uses());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The store's rooms, top to bottom (`src/store/mod.rs`).
const STORE: [&str; 21] = [
    "handle",
    "threads",
    "recovery",
    "survey",
    "stored_domains",
    "repair",
    "backup",
    "check",
    "commit",
    "flush",
    "compaction",
    "state",
    "indexing",
    "index",
    "memtable",
    "directory",
    "journal",
    "disk",
    "data",
    "age",
    "api",
];

#[test]
fn rooms_of_the_store_use_only_those_below_them() {
    let height = |file: &str| {
        let inside = file.strip_prefix("src/store/")?;
        let room = inside.split('/').next()?.trim_end_matches(".rs");
        if is_test(file) || room == "mod" {
            return None;
        }
        let found = STORE.iter().position(|known| *known == room);
        Some(found.unwrap_or_else(|| panic!("{file} is in no room of the store")))
    };
    let mut checked = 0;
    for ((from, to), items) in library().uses() {
        if let (Some(user), Some(used)) = (height(&from), height(&to)) {
            checked += 1;
            assert!(
                user <= used,
                "{from} uses {items:?} of {to}, which stands above it"
            );
        }
    }
    assert!(checked > 200, "only {checked} uses found");
}

#[test]
fn no_files_use_one_another_in_a_circle() {
    let library = library();
    let found = library.uses().len();
    assert!(found > 1000, "only {found} uses found");
    let benches = benches();
    for part in benches.iter().chain([&library]) {
        let uses = part.uses();
        let circles = circles(uses.keys().cloned());
        let described: Vec<_> = circles.iter().map(|one| describe(one, &uses)).collect();
        assert!(described.is_empty(), "{}", described.join("\n"));
    }
}

#[test]
fn every_file_belongs_to_a_crate() {
    let (library, benches) = (library(), benches());
    let read = |file: &str| fs::read_to_string(repository().join(file)).ok();
    let tests = TESTS.map(|root| Crate::read(root, &read));
    let known: BTreeSet<&str> = (benches.iter().chain(&tests).flat_map(Crate::files))
        .chain(library.files())
        .collect();
    for (file, _) in ["src", "benches", "tests"].into_iter().flat_map(sources) {
        assert!(
            known.contains(file.as_str()),
            "no `mod` line leads to {file}"
        );
    }
    for file in library.files() {
        let is_known = ROOMS.iter().any(|(known, _)| *known == room(file));
        assert!(
            is_known || file == "src/lib.rs",
            "{file} is in no room of the table"
        );
    }
}

#[test]
fn fenced_crates_are_named_in_their_rooms_only() {
    for (file, text) in sources("src") {
        for (name, rooms) in FENCES {
            let named = code_lines(&text).any(|line| names_crate(line, name));
            let may = rooms.contains(&room(&file)) || rooms.contains(&file.as_str());
            assert!(!named || is_test(&file) || may, "{file} names {name}");
        }
    }
}

#[test]
fn files_are_short_whole_and_say_what_they_are_for() {
    for (file, text) in sources("src") {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{file} has {lines} lines");
        assert!(
            is_test(&file) || text.starts_with("//!"),
            "{file} does not say what it is for"
        );
        for word in UNDONE {
            assert!(!text.contains(word), "{file} holds {word}");
        }
    }
}

//! The house rules that a program can hold: which room may use which, how long a file may
//! be, and which words have no place.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Top to bottom: a room may use only those below it.
const ROOMS: [&str; 19] = [
    "main",
    "cli",
    "client",
    "server",
    "net",
    "http",
    "admin",
    "session",
    "command",
    "hub",
    "limits",
    "websocket",
    "auth",
    "store",
    "config",
    "protocol",
    "model",
    "metrics",
    "clock",
];

/// Crates that only these rooms may name.
const FENCES: [(&str, &[&str]); 9] = [
    ("prometheus", &["metrics"]),
    ("sled", &["store"]),
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

/// Every source file's path below `src`, and its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 20, "the sources are elsewhere");
    let read = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("tests/")
}

/// `store/tail.rs` and `store.rs` are both in the room `store`.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn height(room: &str) -> usize {
    ROOMS
        .iter()
        .position(|known| *known == room)
        .unwrap_or_else(|| panic!("{room} is no room"))
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The words that stand behind `prefix` in a line, each up to its end.
fn words_behind<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.split(prefix)
        .skip(1)
        .map(move |rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())])
}

/// Whether a line names this crate's path, and not one whose name ends alike.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::"))
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn rooms_use_only_those_below_them() {
    let mut checked = 0;
    for (file, text) in sources().iter().filter(|(file, _)| file != "lib.rs") {
        let prefix = if file == "main.rs" {
            "relaybox::"
        } else {
            "crate::"
        };
        for used in code_lines(text).flat_map(|line| words_behind(line, prefix)) {
            if !ROOMS.contains(&used) {
                continue;
            }
            checked += 1;
            let fine = used == room(file) || height(used) > height(room(file));
            assert!(fine, "{file} uses {used}, which stands above it");
        }
    }
    assert!(checked > 50, "only {checked} uses found");
}

#[test]
fn fenced_crates_are_named_in_their_rooms_only() {
    for (file, text) in sources() {
        for (name, rooms) in FENCES {
            let named = code_lines(&text).any(|line| names_crate(line, name));
            assert!(
                !named || is_test(&file) || rooms.contains(&room(&file)),
                "{file} names {name}"
            );
        }
    }
}

#[test]
fn files_are_short_whole_and_say_what_they_are_for() {
    for (file, text) in sources() {
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

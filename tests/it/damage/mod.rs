//! Damage to the files of a data directory: it is noticed and named, and whatever the server
//! still serves is right and whole.

mod index;
mod journal;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::random::Random;
use crate::support::{Options, Server, until};

const SENDERS: usize = 8;
const MAILBOXES: usize = 12;
/// As many segments as the cases need, and some more.
const SEGMENTS: usize = 5;
const SEGMENT_HEADER_BYTES: usize = 64;
const FRAME_HEADER_BYTES: usize = 32;
const COMPRESSED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn options() -> Options {
    let args = ["--plain", "127.0.0.1:0", "--segment-bytes", "1MiB"];
    let small = ["--tail-bytes-max", "1MiB", "--cache-bytes", "1MiB"];
    let options = Options::new().args(&args).args(&small);
    options.env("RELAYBOX_LOG", "info")
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("journal")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A frame in an uncompressed segment.
struct Frame {
    /// Where its records are in the file.
    bytes: Range<usize>,
    records: u32,
}

/// The frames of an uncompressed segment, by what their headers say.
fn frames(segment: &Path) -> Vec<Frame> {
    let file = fs::read(segment).unwrap();
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut frames = Vec::new();
    let mut at = SEGMENT_HEADER_BYTES;
    while file[at..].starts_with(b"rbF1") {
        let begin = at + FRAME_HEADER_BYTES;
        let end = begin + number(at + 20) as usize;
        frames.push(Frame {
            bytes: begin..end,
            records: number(at + 24),
        });
        at = end;
    }
    frames
}

/// A server's directory with a journal of some segments, all but the last compressed, and the
/// memory of what is in it.
async fn made(seed: u64) -> (Server, Arc<Ledger>) {
    let server = Server::with(options()).await;
    let ledger = Ledger::new(SENDERS, MAILBOXES);
    let load = Load::start(&server, &ledger, 0, &Random::new(seed));
    let is_compressed = |path: &PathBuf| fs::read(path).unwrap().starts_with(&COMPRESSED);
    until("enough segments", async || {
        (segments(&server.home.data()).len() > SEGMENTS).then_some(())
    })
    .await;
    load.end().await;
    until("the mark of the end", async || {
        let open = segments(&server.home.data()).pop().unwrap();
        (frames(&open).last()?.records == 0).then_some(())
    })
    .await;
    until("compression", async || {
        let mut sealed = segments(&server.home.data());
        sealed.pop();
        sealed.iter().all(is_compressed).then_some(())
    })
    .await;
    (server, ledger)
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    let copied = command.arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

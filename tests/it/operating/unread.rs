//! Nobody reads what the server writes: it serves and ends all the same.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Read as _, Write as _};
use std::process::Stdio;

use rustix::process::Signal;

use super::bare::Bare;
use crate::support::{Home, Options, until};

/// What a pipe holds, by default (pipe(7)).
const PIPE_BYTES: usize = 64 << 10;

/// A pipe that takes nothing any more, with its reader, who does not read.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'\n'; PIPE_BYTES]).unwrap();
    (reader, writer.into())
}

fn dropped(metrics: &str) -> u64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("relaybox_log_lines_dropped_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_full_pipe_for_the_log_and_for_what_is_printed_stops_nothing() {
    let home = Home::new();
    let ((_log, stderr), (_out, stdout)) = (full_pipe(), full_pipe());
    let bare = Bare::start(&home, stdout, stderr).await;
    // Lines are logged meanwhile, by a reload too.
    bare.signal(Signal::HUP);
    bare.get("/metrics").await;
    let said = home.cli(&["domain", "list"]).await.success();
    assert!(said.contains("demo"), "{said}");
    bare.ends().await;
    // All was made durable, and it starts again with the log at hand.
    let (_log, stderr) = full_pipe();
    let log = home.path("log");
    let bare = Bare::start(&home, File::create(&log).unwrap().into(), stderr).await;
    bare.ends().await;
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.starts_with("ready https://"), "{said}");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_counted_and_stops_nothing() {
    let home = Home::new();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let bare = Bare::start(&home, full().into(), full().into()).await;
    until("the lines are counted", || async {
        (dropped(&bare.get("/metrics").await) > 0).then_some(())
    })
    .await;
    bare.ends().await;

    // The reader has gone.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (out, printed) = std::io::pipe().unwrap();
    drop(out);
    Bare::start(&home, printed.into(), writer.into())
        .await
        .ends()
        .await;
}

#[tokio::test]
async fn a_reader_that_comes_late_finds_every_line() {
    let home = Home::new();
    let (mut reader, stderr) = full_pipe();
    let bare = Bare::start(&home, Stdio::null(), stderr).await;
    assert_eq!(dropped(&bare.get("/metrics").await), 0);
    let reading = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    });
    bare.ends().await;
    let log = reading.join().unwrap();
    for line in ["listening", "stopping"] {
        assert!(log.contains(line), "{log}");
    }
    assert!(!log.contains("dropped"), "{log}");
}

#[tokio::test]
async fn a_start_that_fails_ends_though_nobody_reads_why() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for format in ["text", "json"] {
        let options = Options::new().args(&["--plain", &taken, "--log-format", format]);
        let (_log, stderr) = full_pipe();
        let mut command = home.serve_command(&options);
        let bare = Bare::spawn(command.stderr(stderr), taken.clone());
        assert_eq!(bare.code().await, Some(1));
    }
}

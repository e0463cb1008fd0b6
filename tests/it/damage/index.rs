//! The index, while it is read.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{MAILBOXES, made};
use crate::support::http::Answer;
use crate::support::{DEMO, Login, PROJECT_TOKEN, Server, ledger, random, until};

const PAGES_PER_MAILBOX: usize = 5;

/// Pages of all mailboxes: the status and the body of each, or nothing where it was broken off.
async fn pages(server: &Server) -> Vec<Option<(u16, String)>> {
    let mut pages = Vec::new();
    for mailbox in 0..MAILBOXES {
        for page in 1..=PAGES_PER_MAILBOX {
            let user = ledger::name(mailbox);
            let target = format!("/message-log?domain={DEMO}&toId={user}&size=100&page={page}");
            let bearer = format!("Bearer {PROJECT_TOKEN}");
            let bearer = [("authorization", bearer.as_str())];
            let answer = Answer::try_of(server.stream().await, "GET", &target, &bearer).await;
            pages.push(answer.ok().map(|answer| (answer.status, answer.body)));
        }
    }
    pages
}

/// Whether a device that has seen nothing gets so many messages. As long as something cannot be
/// read its session ends, with a code that tells it to come back.
async fn gets(server: &Server, mailbox: usize, total: u64) -> bool {
    let login = Login::new(&ledger::name(mailbox)).resource("prober");
    let mut client = server.connect(&login.after(0)).await;
    for _ in 0..total {
        match client.text_or_code().await {
            Ok(_) => {}
            Err(code) => {
                assert!(matches!(code, Some(1011 | 1013)), "{code:?}");
                return false;
            }
        }
    }
    true
}

/// Flips a bit in every so many bytes of all files below a directory.
fn flip_all(dir: &Path, every: usize) {
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            flip_all(&path, every);
            continue;
        }
        let file = fs::OpenOptions::new().read(true).write(true).open(&path);
        let file = file.unwrap();
        let bytes = fs::read(&path).unwrap();
        for (at, byte) in bytes.iter().enumerate().skip(every / 2).step_by(every) {
            file.write_all_at(&[byte ^ 0x10], at as u64).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_damaged_while_it_is_read_comes_back_whole() {
    let (mut server, ledger) = made(random::seed()).await;
    server.excuse_index();
    // So that all of it is in the index, and little of that in memory.
    server.restart().await;
    let right = pages(&server).await;
    let mut totals = Vec::new();
    for mailbox in 0..MAILBOXES {
        let page = server.history(&ledger::name(mailbox), "").await;
        totals.push(page["total"].as_u64().unwrap());
    }
    let mut sender = server.user("u1").await;
    for every in [4096, 256] {
        flip_all(&server.home.data().join("db"), every);
        until("all pages", async || {
            let got = pages(&server).await;
            for (got, right) in got.iter().zip(&right) {
                let is_page = got.as_ref().is_some_and(|(status, _)| *status < 500);
                assert!(got == right || !is_page, "{got:?} instead of {right:?}");
            }
            let mut all = got == right;
            for (mailbox, total) in totals.iter().enumerate() {
                all &= gets(&server, mailbox, *total).await;
            }
            all.then_some(())
        })
        .await;
        sender.say_acked("somebody", "x").await;
    }
    ledger.audit(&server, &ledger.acknowledged()).await;
    let log = server.stderr();
    assert!(log.contains("index"), "nobody was told: {log}");
}

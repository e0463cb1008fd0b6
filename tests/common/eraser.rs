//! Erases mailboxes up to some message while they fill, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::http::Answer;
use super::ledger::{self, Ledger};
use super::random::Random;
use super::{DEMO, PROJECT_TOKEN, Server, soon};

const PAUSE_MS_MAX: usize = 100;

/// Erases until it is told to end, the server is gone, or it is dropped.
pub struct Eraser {
    stop: Arc<AtomicBool>,
    running: JoinHandle<()>,
}

impl Eraser {
    pub fn start(server: &Server, ledger: &Arc<Ledger>, mut random: Random) -> Self {
        let address = server.plain.clone().expect("a plain listener, too");
        let ledger = ledger.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                sleep(random.millis(PAUSE_MS_MAX)).await;
                let Some((mailbox, id)) = ledger.any_erasable(&mut random) else {
                    continue;
                };
                ledger.erasing(mailbox, id);
                match erase(&address, mailbox, id).await {
                    Some(204) => ledger.erased(mailbox, id),
                    // It may have been carried out, or not.
                    None | Some(503) => return,
                    Some(status) => panic!("an erasure is answered with {status}"),
                }
            }
        });
        Self { stop, running }
    }

    /// Waits for the last answer.
    pub async fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = soon("the end of the eraser", &mut self.running).await;
        ended.unwrap();
    }
}

impl Drop for Eraser {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The status of the answer, if one came.
async fn erase(address: &str, mailbox: usize, before: u64) -> Option<u16> {
    let user = ledger::name(mailbox);
    let target = format!("/message-log?domain={DEMO}&toId={user}&before={before}");
    let bearer = format!("Bearer {PROJECT_TOKEN}");
    let tcp = TcpStream::connect(address).await.ok()?;
    let headers = [("authorization", bearer.as_str())];
    let answer = Answer::try_of(Box::new(tcp), "DELETE", &target, &headers).await;
    Some(answer.ok()?.status)
}

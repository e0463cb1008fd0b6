//! Erases mailboxes up to some message while they fill, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::support::http::Answer;
use crate::support::ledger::{self, Ledger};
use crate::support::random::Random;
use crate::support::{DEMO, PROJECT_TOKEN, Server, soon};

const PAUSE_MS_MAX: usize = 100;
/// This part of all mailboxes is never erased.
const KEPT_PART: usize = 4;
/// Mailboxes are erased up to messages of this part, counted from the newest.
const NEWER_PART: usize = 5;

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

impl Ledger {
    /// A mailbox that is erased now and then, and the id of a rather new message there.
    pub fn any_erasable(&self, random: &mut Random) -> Option<(usize, u64)> {
        let sender = random.below(self.senders());
        let account = self.account(sender);
        let back = random.below(account.len() / NEWER_PART + 1) + 1;
        let number = account.len().checked_sub(back)?;
        let ids = account.get(number)?.ids.as_ref()?;
        let recipients = self.recipients(sender, number);
        let place = random.below(recipients.len());
        let erasable = recipients[place] >= self.mailboxes / KEPT_PART;
        erasable.then_some((recipients[place], ids[place]))
    }

    /// Everything of the mailbox below `before` is about to be erased.
    pub fn erasing(&self, mailbox: usize, before: u64) {
        let mut erased = self.erased.lock().unwrap();
        let erased = erased.entry(mailbox).or_default();
        erased.perhaps = erased.perhaps.max(before);
    }

    /// The server said that everything of the mailbox below `before` is erased.
    pub fn erased(&self, mailbox: usize, before: u64) {
        let mut erased = self.erased.lock().unwrap();
        let erased = erased.entry(mailbox).or_default();
        erased.sure = erased.sure.max(before);
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

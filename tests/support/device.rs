//! A device of a fleet: logs in again and again, and keeps a diary of each connection.
//!
//! What it knows to be confirmed for sure: a receipt that it sent and behind which it asked `ping`
//! and was answered `pong`, as frames are handled in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Login;
use super::checker::{self, Connection, Message, Receipt};
use super::link::{Dialer, Heard, Link};
use super::processed::Processed;
use super::random::Random;
use super::wire;

/// How long a question may wait for its answer, and a login for its handshake.
const PATIENCE_MS: u64 = 1500;
const PATIENCE: Duration = Duration::from_millis(PATIENCE_MS);
const LIFE_MS_MAX: usize = 2500;
const QUESTION_MS_MAX: usize = 300;
/// Where a device is quiet for so long that the server asks whether it lives.
const QUIET_MS_MAX: usize = 2500;
/// How long a device that is told to finish goes on.
const FINISH_WITHIN: Duration = Duration::from_secs(30);
/// How far behind the last delivery an application may be when it crashes.
const UNPROCESSED_MAX: usize = 12;

/// How a device confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By its Pongs.
    Auto,
    /// By `received`, now and then.
    Manual,
    /// Says at most logins what it has processed; confirms in the one or the other way.
    After,
}

/// What devices of a fleet share.
pub struct Shared {
    pub began: Instant,
    /// The highest receipt that any device of a user has given away.
    pub offered: BTreeMap<String, AtomicU64>,
    /// Set at the end: the last message of each user.
    pub finish: watch::Sender<Option<BTreeMap<String, u64>>>,
    /// Devices whose login was accepted.
    pub present: AtomicU64,
    /// Devices that have been delivered to.
    pub met: AtomicU64,
}

/// A device that runs.
pub struct Device {
    mode: Mode,
    dialer: Dialer,
    random: Random,
    shared: Arc<Shared>,
    wrong: Vec<String>,
    diary: checker::Device,
    /// Logged in before there was any message.
    early: bool,
    /// Whether a login was accepted.
    present: bool,
    /// Whether anything was delivered yet, on any connection.
    met: bool,
    processed: Processed,
}

/// What a device keeps in mind while it is connected.
struct Here {
    connection: Connection,
    manual: bool,
    /// Receipts sent here.
    receipts: Vec<u64>,
    /// The question that waits for its answer: since when, and what that will confirm.
    question: Option<(Instant, u64)>,
}

impl Device {
    pub fn new(
        (user, resource): (&str, &str),
        mode: Mode,
        early: bool,
        dialer: Dialer,
        random: Random,
        shared: Arc<Shared>,
    ) -> Self {
        let diary = checker::Device {
            user: user.into(),
            resource: resource.into(),
            ..checker::Device::default()
        };
        Self {
            mode,
            dialer,
            random,
            shared,
            wrong: Vec::new(),
            diary,
            early,
            present: false,
            met: false,
            processed: Processed::default(),
        }
    }

    /// Lives until it is told to finish and has its last message; its diary and what it met that
    /// should not be. Begins after `pause`.
    pub async fn run(mut self, pause: Duration) -> (checker::Device, Vec<String>) {
        sleep(pause).await;
        let mut finish = self.shared.finish.subscribe();
        while finish.borrow_and_update().is_none() {
            self.connect(&mut finish).await;
            sleep(self.random.millis(150)).await;
        }
        let end = Instant::now() + FINISH_WITHIN;
        while !self.has_all() && Instant::now() < end {
            self.connect(&mut finish).await;
            sleep(self.random.millis(50)).await;
        }
        (self.diary, self.wrong)
    }

    fn has_all(&self) -> bool {
        let finish = self.shared.finish.borrow();
        let last = finish.as_ref().map(|last| last[&self.diary.user]);
        last.is_some_and(|last| self.processed.last() >= last)
    }

    fn note(&mut self, what: String) {
        let checker::Device { user, resource, .. } = &self.diary;
        self.wrong.push(format!("{user}/{resource}: {what}"));
    }

    fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    async fn connect(&mut self, finish: &mut watch::Receiver<Option<BTreeMap<String, u64>>>) {
        let manual = match self.mode {
            Mode::Auto => false,
            Mode::Manual => true,
            Mode::After => self.random.once_in(2),
        };
        let says = self.mode == Mode::After && !self.random.once_in(3);
        let after = says.then(|| self.after());
        let mut login = Login::new(&self.diary.user).resource(&self.diary.resource);
        if manual {
            login = login.receipts("manual");
        } else if self.random.once_in(2) {
            login = login.receipts("auto");
        }
        if let Some(after) = after {
            login = login.after(after);
            self.processed.login(after);
        }
        let encrypted = self.random.once_in(2);
        let dialed = self.dialer.dial(&login, encrypted, PATIENCE).await;
        let mut here = Here {
            connection: Connection {
                opened: self.now(),
                after,
                ..Connection::default()
            },
            manual,
            receipts: Vec::new(),
            question: None,
        };
        match dialed {
            Ok(link) => self.live(link, &mut here, finish).await,
            Err(Heard::Wrong(what)) => return self.note(what),
            // Its login may arrive yet.
            Err(_) => {}
        }
        self.diary.connections.push(here.connection);
    }

    /// What the application has processed: mostly all; at times it crashed before.
    fn after(&mut self) -> u64 {
        if self.random.once_in(25) {
            return 0;
        }
        let back = match self.random.below(3) {
            0 => self.random.below(UNPROCESSED_MAX),
            _ => 0,
        };
        self.processed.before_last(back)
    }

    async fn live(
        &mut self,
        mut link: Link,
        here: &mut Here,
        finish: &mut watch::Receiver<Option<BTreeMap<String, u64>>>,
    ) {
        let opened = Instant::now();
        let life = self.random.millis(LIFE_MS_MAX);
        let question_ms_max = match self.random.below(4) {
            0 => QUIET_MS_MAX,
            _ => QUESTION_MS_MAX,
        };
        let mut ask_at = opened + self.random.millis(question_ms_max);
        // Confirms at once what an earlier connection got: it counts once it has come again.
        if here.manual
            && let Some(last) = self.processed.claim()
            && self.random.once_in(3)
            && !self.confirm(&mut link, here, last).await
        {
            return;
        }
        loop {
            let finishing = finish.borrow().is_some();
            let leave_at = opened + life;
            let wake_at = here.question.map_or(ask_at, |(since, _)| since + PATIENCE);
            tokio::select! {
                heard = link.next() => {
                    if !self.hear(heard, &mut link, here).await {
                        return;
                    }
                }
                () = sleep_until(wake_at) => {
                    // No answer: the connection is dead and nobody said so.
                    if here.question.is_some() || !self.ask(&mut link, here).await {
                        return;
                    }
                    ask_at = Instant::now() + self.random.millis(question_ms_max);
                }
                () = sleep_until(leave_at), if !finishing => break,
                _ = finish.changed(), if !finishing => {}
            }
            if finishing && self.has_all() {
                break;
            }
        }
        if self.random.once_in(2) {
            link.close().await;
        }
    }

    /// Takes what came; whether the connection goes on.
    async fn hear(&mut self, heard: Heard, link: &mut Link, here: &mut Here) -> bool {
        match heard {
            Heard::Ended => return false,
            Heard::Wrong(what) => {
                self.note(what);
                return false;
            }
            Heard::Ping(payload) if payload.is_empty() => return link.flush().await,
            Heard::Ping(payload) => {
                let last = here.connection.got.last().map_or(0, |message| message.id);
                match payload.parse() {
                    Ok(id) if id <= last && id > 0 => {
                        if here.manual {
                            return link.flush().await;
                        }
                        self.offer(here, id);
                        if !link.flush().await {
                            return false;
                        }
                        here.receipts.push(id);
                    }
                    _ => {
                        self.note(format!("a Ping with {payload:?} behind {last}"));
                        return false;
                    }
                }
            }
            Heard::Text(text) if text == "pong" => {
                let Some((asked, id)) = here.question.take() else {
                    self.note("an unasked pong".into());
                    return false;
                };
                if !std::mem::replace(&mut self.present, true) {
                    self.shared.present.fetch_add(1, Ordering::SeqCst);
                }
                let answered = self.now();
                if id > 0 {
                    let asked = asked - self.shared.began;
                    here.connection.sure.push(Receipt {
                        asked,
                        answered,
                        id,
                    });
                }
            }
            Heard::Text(text) => match wire::message(&text) {
                Ok(message) => self.take(message, here),
                Err(what) => {
                    self.note(what);
                    return false;
                }
            },
        }
        true
    }

    fn take(&mut self, message: Message, here: &mut Here) {
        let from_start = self.early || here.connection.after == Some(0);
        if !self.met {
            self.met = true;
            // The others' cursors cannot be above this, so its own could not begin above.
            let offered = &self.shared.offered[&self.diary.user];
            self.diary.base = if from_start {
                0
            } else {
                offered.load(Ordering::SeqCst)
            };
            self.shared.met.fetch_add(1, Ordering::SeqCst);
        }
        self.processed.take(message.id, from_start);
        here.connection.got.push(message);
    }

    /// Remembers a receipt that is about to leave.
    fn offer(&self, here: &mut Here, id: u64) {
        here.connection.offered = here.connection.offered.max(id);
        self.shared.offered[&self.diary.user].fetch_max(id, Ordering::SeqCst);
    }

    async fn confirm(&mut self, link: &mut Link, here: &mut Here, id: u64) -> bool {
        self.offer(here, id);
        here.receipts.push(id);
        link.send(&format!(r#"{{"received":{id}}}"#)).await
    }

    /// Confirms something now and then, and asks for an answer behind it.
    async fn ask(&mut self, link: &mut Link, here: &mut Here) -> bool {
        let got = &here.connection.got;
        if here.manual && !got.is_empty() && !self.random.once_in(3) {
            // Mostly the last; at times one that is confirmed already.
            let back = match self.random.below(4) {
                0 => self.random.below(got.len()),
                _ => 0,
            };
            let id = got[got.len() - 1 - back].id;
            if !self.confirm(link, here, id).await {
                return false;
            }
        }
        // What has not come again yet, the server holds: that is not confirmed by an answer.
        let last = here.connection.got.last().map_or(0, |message| message.id);
        let confirmed = here.receipts.iter().filter(|id| **id <= last).max();
        let confirmed = confirmed.copied().unwrap_or(0);
        here.question = Some((Instant::now(), confirmed));
        link.send("ping").await
    }
}

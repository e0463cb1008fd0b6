//! Devices that read mailboxes while they fill, and confirm what they got. What each session got
//! is held against the mailbox afterwards: nothing was delivered that was not durable, nothing is
//! left out, and the cursor is between what was surely stored and what was ever confirmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::checker::STORED_WITHIN;
use crate::support::ledger::{self, Ledger, Stored};
use crate::support::link::{Dialer, Heard, Link};
use crate::support::{Login, Server, soon, tls, wire};

const PATIENCE: Duration = Duration::from_secs(10);
/// Between two receipts.
const RECEIPT_PAUSE: Duration = Duration::from_millis(100);

/// One device's memory, which outlives the server.
#[derive(Debug, Default)]
struct Device {
    mailbox: usize,
    /// The highest id that it confirmed.
    offered: u64,
    /// What it surely confirmed: when that was answered, and the id.
    answered: Vec<(Instant, u64)>,
    session: Session,
}

/// What one session got.
#[derive(Debug, Default)]
struct Session {
    /// At its login: the cursor is not above this, and not below that.
    offered: u64,
    sure: u64,
    got: Vec<u64>,
}

/// One device for each of some mailboxes.
pub struct Readers {
    devices: Vec<Device>,
    running: JoinSet<Device>,
    stop: Arc<AtomicBool>,
}

impl Readers {
    /// For the mailboxes from 0 on.
    pub fn new(count: usize) -> Self {
        let device = |mailbox| Device {
            mailbox,
            ..Device::default()
        };
        Self {
            devices: (0..count).map(device).collect(),
            running: JoinSet::new(),
            stop: Arc::default(),
        }
    }

    /// Logs all of them in.
    pub fn start(&mut self, server: &Server) {
        let plain = server.plain.as_ref().expect("a plain listener, too");
        let dialer = Dialer::new(tls::roots(&server.home.ca()), &server.address, plain);
        self.stop = Arc::default();
        for mut device in self.devices.drain(..) {
            let (dialer, stop) = (dialer.clone(), self.stop.clone());
            self.running.spawn(async move {
                let login = Login::new(&ledger::name(device.mailbox)).resource("reader");
                let login = login.receipts("manual");
                device.session = Session::default();
                if let Ok(link) = dialer.dial(&login, false, PATIENCE).await {
                    device.session.offered = device.offered;
                    device.session.sure = device.answered.last().map_or(0, |(_, id)| *id);
                    device.read(link, &stop).await;
                }
                device
            });
        }
    }

    /// Waits for the end of all sessions. `killed`: when the server was; receipts of shortly
    /// before count as not stored.
    pub async fn end(&mut self, killed: Instant) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(device) = soon("the end of a reader", self.running.join_next()).await {
            let mut device = device.unwrap();
            let stored = |(at, _): &(Instant, u64)| *at + STORED_WITHIN <= killed;
            device.answered.retain(stored);
            self.devices.push(device);
        }
    }

    /// Asserts that the last sessions got what the mailboxes hold. How many messages that was.
    pub fn check(&self, stored: &Stored, ledger: &Ledger) -> usize {
        for device in &self.devices {
            let floor = ledger.floor(device.mailbox);
            let stored = &stored[device.mailbox];
            device.session.check(device.mailbox, stored, floor);
        }
        let sessions = self.devices.iter().map(|device| &device.session);
        sessions.map(|session| session.got.len()).sum()
    }
}

impl Device {
    async fn read(&mut self, mut link: Link, stop: &AtomicBool) {
        let mut asked: Option<u64> = None;
        let mut next = Instant::now() + RECEIPT_PAUSE;
        while !stop.load(Ordering::SeqCst) {
            match timeout(RECEIPT_PAUSE, link.next()).await {
                Ok(Heard::Text(text)) if text == "pong" => {
                    let id = asked.take().expect("a pong was asked for");
                    self.answered.push((Instant::now(), id));
                }
                Ok(Heard::Text(text)) => {
                    let message = wire::message(&text);
                    let message = message.unwrap_or_else(|wrong| panic!("{wrong}"));
                    self.session.got.push(message.id);
                }
                Ok(Heard::Ended) => return,
                Ok(Heard::Wrong(what)) => panic!("{what}"),
                Ok(Heard::Ping(_)) | Err(_) => {}
            }
            let last = self.session.got.last().copied().unwrap_or_default();
            if Instant::now() < next || last <= self.offered || asked.is_some() {
                continue;
            }
            next = Instant::now() + RECEIPT_PAUSE;
            self.offered = last;
            asked = Some(last);
            let receipt = format!(r#"{{"received":{last}}}"#);
            if !link.send(&receipt).await || !link.send("ping").await {
                return;
            }
        }
    }
}

impl Session {
    /// What was erased, below `floor`, may have come or not.
    fn check(&self, mailbox: usize, stored: &[u64], floor: u64) {
        let at = ledger::name(mailbox);
        let erased = self.got.partition_point(|id| *id < floor);
        let got = &self.got[erased..];
        let Some(first) = got.first() else {
            return;
        };
        let sure = self.sure;
        assert!(
            *first > sure,
            "{at}: {first} was confirmed, as all up to {sure}"
        );
        let due = match erased {
            0 => stored.partition_point(|id| *id <= self.offered),
            _ => 0,
        };
        let place = stored.partition_point(|id| id < first);
        assert!(place <= due, "{at}: a gap before {first}");
        let expected = &stored[place..stored.len().min(place + got.len())];
        assert!(expected == got, "{at}: delivered is not what is stored");
    }
}

//! A domain whose messages are kept for seconds only, and a load on it: beside what has to stay,
//! everything in the data directory is made anew all the time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::link::{Dialer, Heard};
use super::random::Random;
use super::{Login, Options, Server, soon, tls, wire};

pub const DOMAIN: &str = "brief";
pub const TOKEN: &str = "brief-project-token-77ab";
pub const RETENTION: Duration = Duration::from_secs(4);
pub const SENDERS: usize = 4;
const WINDOW: usize = 16;
const CONTENT_BYTES_MAX: usize = 3_000;
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);

/// Declares the domain and how long its messages are kept.
pub fn options(options: Options) -> Options {
    let token = format!("{DOMAIN}={TOKEN}");
    let retention = format!("{DOMAIN}={}s", RETENTION.as_secs());
    options.args(&["--token", &token, "--retention", &retention])
}

/// Senders under way, each to a mailbox of its own.
pub struct Brief {
    /// The acknowledged ids, by mailbox.
    pub ids: Arc<[Mutex<Vec<u64>>]>,
    senders: JoinSet<()>,
}

impl Brief {
    pub fn new() -> Self {
        Self {
            ids: (0..SENDERS).map(|_| Mutex::default()).collect(),
            senders: JoinSet::new(),
        }
    }

    /// Sends until the server is gone or [`Brief::end`].
    pub fn start(&mut self, server: &Server, random: &Random) {
        let plain = server.plain.as_ref().expect("a plain listener, too");
        let dialer = Dialer::new(tls::roots(&server.home.ca()), &server.address, plain);
        for number in 0..SENDERS {
            let (dialer, ids) = (dialer.clone(), self.ids.clone());
            let random = random.fork(900 + number as u64);
            self.senders
                .spawn(async move { send(dialer, random, number, &ids[number]).await });
        }
    }

    pub async fn end(&mut self) {
        self.senders.abort_all();
        while let Some(ended) = soon("the end of a sender", self.senders.join_next()).await {
            if let Err(error) = ended {
                assert!(error.is_cancelled(), "{error}");
            }
        }
    }
}

async fn send(dialer: Dialer, mut random: Random, number: usize, ids: &Mutex<Vec<u64>>) {
    let user = format!("brief-{number}");
    let login = Login::new("brief-sender").domain(DOMAIN).token(TOKEN);
    let login = login.resource(&user);
    let Ok(mut link) = dialer.dial(&login, false, PATIENCE).await else {
        return;
    };
    let mut waiting = 0;
    let mut sent = 0;
    loop {
        while waiting < WINDOW {
            let padding = "brief ".repeat(random.below(CONTENT_BYTES_MAX / 6));
            let key = format!("{:x}-{sent}", random.draw());
            let frame = format!(
                r#"{{"toId":"{user}","type":10,"content":"{padding}","clientMsgId":"{key}"}}"#
            );
            if !link.send(&frame).await {
                return;
            }
            (waiting, sent) = (waiting + 1, sent + 1);
        }
        match link.next().await {
            Heard::Text(text) if text.contains(r#""ack""#) => {
                let ack = wire::answer(&text).unwrap().unwrap();
                ids.lock().unwrap().extend(ack.ids);
                waiting -= 1;
            }
            Heard::Text(text) => {
                let refused = wire::answer(&text);
                assert_eq!(refused, Ok(None), "{text}");
                waiting -= 1;
                sleep(AGAIN).await;
            }
            Heard::Ping(_) => {}
            Heard::Ended => return,
            Heard::Wrong(what) => panic!("{what}"),
        }
    }
}

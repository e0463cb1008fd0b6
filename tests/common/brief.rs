//! A domain whose messages are kept for seconds only, and a load on it: beside what has to stay,
//! everything in the data directory is made anew all the time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::link::{Dialer, Heard};
use super::random::Random;
use super::{Login, Options, Server, soon, tls, wire};

const DOMAIN: &str = "brief";
const TOKEN: &str = "brief-project-token-77ab";
const RETENTION: Duration = Duration::from_secs(4);
const SENDERS: usize = 4;
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
    ids: Arc<[Mutex<Vec<u64>>]>,
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

    /// Asserts that a server has what was acknowledged in the last seconds, and nothing older.
    pub async fn check(&self, server: &Server) {
        for number in 0..SENDERS {
            let target = format!("/message-log?domain={DOMAIN}&toId=brief-{number}&size=100");
            let before = oldest_kept();
            let answer = server.get(&target, Some(TOKEN)).await;
            let after = oldest_kept();
            assert_eq!(answer.status, 200, "{}", answer.body);
            let answer = answer.json();
            let listed = answer["list"].as_array().unwrap().iter();
            let listed: Vec<u64> = listed.map(|m| m["msgId"].as_u64().unwrap()).collect();
            let expired = listed.iter().find(|id| **id < before);
            assert!(expired.is_none(), "{expired:?} has expired: {answer}");
            let ids = self.ids[number].lock().unwrap();
            let recent = ids.iter().rev().take_while(|id| **id > after).take(50);
            for id in recent {
                assert!(listed.contains(id), "LOST: {id} to brief-{number}");
            }
        }
    }
}

/// The lowest id that has not expired.
fn oldest_kept() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from((now.unwrap() - RETENTION).as_micros()).unwrap()
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

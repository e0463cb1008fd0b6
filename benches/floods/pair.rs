//! Two users who talk quietly over TLS, and how long their messages take.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::common::{Server, Session};

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(20);

/// Longer than this no message may take: the server hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// The other one's number.
const OTHER: usize = 2;

/// The sessions of both.
pub struct Pair {
    one: Session,
    other: Session,
    sent: usize,
}

/// Latencies in the order of the messages.
pub type Latencies = Vec<Duration>;

impl Pair {
    pub async fn open(server: &Server) -> Self {
        Self {
            one: server.open(1, "").await,
            other: server.open(OTHER, "").await,
            sent: 0,
        }
    }

    /// Talks for so long: from before a message is written to when the other has it.
    pub async fn talk(&mut self, time: Duration) -> Latencies {
        let count = time.as_millis().div_ceil(PAUSE.as_millis()) as usize;
        let (mut writing, mut answers) = (&mut self.one).split();
        let first = self.sent;
        self.sent += count;
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let sending = async {
            let mut pause = interval(PAUSE);
            pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in first..first + count {
                pause.tick().await;
                let text = format!(r#"{{"toId":"user-{OTHER}","type":10,"content":{number}}}"#);
                begun.send(Instant::now()).unwrap();
                writing.send(Message::text(text)).await.unwrap();
            }
        };
        let other = &mut self.other;
        let receiving = async {
            let mut latencies = Vec::with_capacity(count);
            for number in first..first + count {
                let text = loop {
                    let frame = timeout(DEADLINE, other.next()).await;
                    match frame.expect("the pair waits").unwrap().unwrap() {
                        Message::Text(text) => break text,
                        _ => continue,
                    }
                };
                let now = Instant::now();
                let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(message["content"], number, "in order: {text}");
                latencies.push(now - begins.recv().await.unwrap());
            }
            latencies
        };
        // Pings are answered as frames are read.
        let answering = async {
            while let Some(frame) = answers.next().await {
                frame.unwrap();
            }
            panic!("the quiet one's session ended");
        };
        let talking = async { tokio::join!(sending, receiving).1 };
        tokio::select! {
            latencies = talking => latencies,
            () = answering => unreachable!("it ends by a panic"),
        }
    }
}

//! One session as its device sees it: reads only when told to, answers no Ping by itself, and
//! keeps what came until the model looks at it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::state::{Id, Model, Track};
use super::step::{Device, Receipts};
use crate::support::Login;
use crate::support::raw::{self, Frame, Raw, text_frame};
use crate::support::tls::Stream;

/// What a step comes to: done, or what is wrong.
pub type Outcome<T = ()> = Result<T, TestCaseError>;

/// Ends a step with what is wrong.
macro_rules! fail {
    ($($text:tt)*) => {
        return Err(proptest::test_runner::TestCaseError::fail(format!($($text)*)))
    };
}
pub(crate) use fail;

/// The opcode (RFC 6455, 5.5.3).
const PONG: u8 = 10;

/// A session with manual receipts gets no Ping before it has been silent for this long.
const SILENT_BEFORE_PING: Duration = Duration::from_secs(20);

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Close(u16),
    /// Without a Close.
    Broken,
}

pub struct Session {
    pub device: Device,
    pub receipts: Receipts,
    /// Gone once the session has ended.
    raw: Option<Raw>,
    opened: Instant,
    /// How long to wait for what must come.
    patience: Duration,
    /// What the model knows of it, once the login is accepted.
    pub track: Option<Track>,
    /// Deliveries that the model has not seen yet.
    inbox: Vec<Value>,
    /// The last delivery that was read.
    last: Option<Id>,
    /// All that were read.
    pub given: Vec<Id>,
    /// Ids that Pings asked for.
    pub pings: Vec<Id>,
    /// The highest receipt that was sent.
    pub confirmed: Option<Id>,
    /// Receipts that the server has perhaps not taken yet.
    untaken: Vec<Id>,
    acks: HashMap<String, Value>,
    errors: Vec<Value>,
    pongs: usize,
}

impl Session {
    /// Logs in; whether the login is accepted, or how the session ended.
    pub async fn open(
        stream: Stream,
        device: Device,
        login: &Login,
        (receipts, patience): (Receipts, Duration),
    ) -> Outcome<(Self, Result<(), End>)> {
        let mut session = Self {
            device,
            receipts,
            raw: Some(Raw::open(stream, login).await),
            opened: Instant::now(),
            patience,
            track: None,
            inbox: Vec::new(),
            last: None,
            given: Vec::new(),
            pings: Vec::new(),
            confirmed: None,
            untaken: Vec::new(),
            acks: HashMap::new(),
            errors: Vec::new(),
            pongs: 0,
        };
        let admitted = session.admitted().await?;
        Ok((session, admitted))
    }

    fn raw(&mut self) -> &mut Raw {
        self.raw.as_mut().expect("a session that has not ended")
    }

    /// Reads one frame; how the session ended, if it did.
    async fn read(&mut self) -> Outcome<Option<End>> {
        let patience = self.patience;
        let Some(frame) = self.raw().frame_within(patience).await else {
            fail!("{:?} got nothing within {patience:?}", self.device);
        };
        match frame {
            Frame::Text(text) if text == "pong" => self.pongs += 1,
            Frame::Text(text) => self.text(&text)?,
            Frame::Ping(payload) => self.ping(&payload)?,
            Frame::Pong(_) => fail!("{:?} got a Pong it did not ask for", self.device),
            Frame::Close(code, _) => return Ok(Some(End::Close(code))),
            Frame::Ended => return Ok(Some(End::Broken)),
        }
        Ok(None)
    }

    fn text(&mut self, text: &str) -> Outcome {
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            fail!("{:?} got what is no JSON: {text}", self.device);
        };
        if let Some(key) = value["ack"].as_str() {
            if let Some(first) = self.acks.insert(key.to_owned(), value.clone()) {
                fail!("acknowledged twice: {first} and {value}");
            }
        } else if value["error"].is_object() {
            self.errors.push(value);
        } else if let Some(id) = value["msgId"].as_u64() {
            self.last = Some(id);
            self.given.push(id);
            self.inbox.push(value);
        } else {
            fail!("{:?} got {text}", self.device);
        }
        Ok(())
    }

    fn ping(&mut self, payload: &[u8]) -> Outcome {
        let last = self.last.map(|id| id.to_string()).unwrap_or_default();
        let device = self.device;
        if payload != last.as_bytes() {
            let payload = String::from_utf8_lossy(payload);
            fail!("{device:?} got a Ping {payload:?} after the delivery {last:?}");
        }
        if self.receipts == Receipts::Manual && self.opened.elapsed() < SILENT_BEFORE_PING {
            fail!("{device:?} got a Ping {last:?} though its receipts are manual");
        }
        self.pings.extend(self.last);
        Ok(())
    }

    /// Reads one frame of a session that must live.
    async fn read_on(&mut self) -> Outcome {
        match self.read().await? {
            Some(end) => fail!("the session of {:?} ended: {end:?}", self.device),
            None => Ok(()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Outcome {
        if !self.raw().try_write(bytes).await {
            fail!("the session of {:?} takes nothing", self.device);
        }
        Ok(())
    }

    /// Writes these texts at once.
    pub async fn write_texts(&mut self, texts: &[String]) -> Outcome {
        let bytes: Vec<u8> = texts.iter().flat_map(|text| text_frame(text)).collect();
        self.write(&bytes).await
    }

    /// Waits until the server has handled all that was written; or how it ended the session.
    async fn admitted(&mut self) -> Outcome<Result<(), End>> {
        self.write_texts(&["ping".into()]).await?;
        let wanted = self.pongs + 1;
        while self.pongs < wanted {
            if let Some(end) = self.read().await? {
                return Ok(Err(end));
            }
        }
        Ok(Ok(()))
    }

    /// Waits until the server has handled all that was written, and tells the model which receipts
    /// it has taken.
    pub async fn barrier(&mut self, model: &mut Model) -> Outcome {
        self.handled().await?;
        self.taken(model);
        Ok(())
    }

    /// Waits until the server has handled all that was written.
    pub async fn handled(&mut self) -> Outcome {
        match self.admitted().await? {
            Ok(()) => Ok(()),
            Err(end) => fail!("the session of {:?} ended: {end:?}", self.device),
        }
    }

    /// All that was written has been handled. A receipt for what was not delivered here yet counts
    /// once it has been.
    fn taken(&mut self, model: &mut Model) {
        let last = self.last.unwrap_or(0);
        for id in self.untaken.extract_if(.., |id| *id <= last) {
            model.receipt_taken(self.device, id);
        }
    }

    /// The acknowledgement of this `clientMsgId`.
    pub async fn ack(&mut self, key: &str) -> Outcome<Value> {
        loop {
            if let Some(ack) = self.acks.remove(key) {
                return Ok(ack);
            }
            if let Some(error) = self.errors.first() {
                fail!("{:?} sent {key} and got {error}", self.device);
            }
            self.read_on().await?;
        }
    }

    /// Reads `count` deliveries.
    pub async fn read_deliveries(&mut self, count: usize) -> Outcome {
        let wanted = self.given.len() + count;
        while self.given.len() < wanted {
            self.read_on().await?;
        }
        Ok(())
    }

    /// Reads up to this delivery.
    pub async fn read_up_to(&mut self, id: Id) -> Outcome {
        while self.last.is_none_or(|last| last < id) {
            self.read_on().await?;
        }
        Ok(())
    }

    /// Reads up to the Ping that asks for the last delivery. One that is under way is answered, as no
    /// other comes before.
    pub async fn read_last_ping(&mut self, model: &mut Model) -> Outcome {
        let mut answered = None;
        while self.pings.last() != self.last.as_ref() {
            let asked = self.pings.last().copied();
            if let Some(id) = asked.filter(|_| asked > answered) {
                answered = asked;
                self.confirm(model, id, true).await?;
            }
            self.read_on().await?;
        }
        Ok(())
    }

    /// Reads to the end, and ends the connection.
    pub async fn read_out(&mut self) -> Outcome<End> {
        loop {
            if let Some(end) = self.read().await? {
                self.raw = None;
                return Ok(end);
            }
        }
    }

    /// Sends the receipt `id` as a Pong, or as the application's.
    pub async fn confirm(&mut self, model: &mut Model, id: Id, pong: bool) -> Outcome {
        if pong {
            self.pong(id.to_string().as_bytes()).await?;
        } else {
            self.received(id).await?;
        }
        self.was_received(model, id, true);
        Ok(())
    }

    /// The receipt `id` is on its way. Whether it `counts` is known once the server has handled it
    /// and the message has come; else it may move the cursor or not.
    pub fn was_received(&mut self, model: &mut Model, id: Id, counts: bool) {
        self.hides_cursor();
        model.receipt_sent(self.device, id);
        if counts {
            self.untaken.push(id);
            self.confirmed = self.confirmed.max(Some(id));
        }
    }

    pub async fn pong(&mut self, payload: &[u8]) -> Outcome {
        self.write(&raw::frame(PONG, payload)).await
    }

    pub async fn received(&mut self, id: Id) -> Outcome {
        self.write_texts(&[json!({ "received": id }).to_string()])
            .await
    }

    /// The frames of a receipt for the last that was asked for or given; whether it is taken is
    /// not known.
    pub fn latest_receipt(&mut self, model: &mut Model) -> Option<Vec<u8>> {
        let last = match self.receipts {
            Receipts::Auto => self.pings.last(),
            Receipts::Manual => self.given.last(),
        };
        let id = *last?;
        self.was_received(model, id, true);
        Some(Self::receipts_of(id))
    }

    /// A Pong and a `received` of this id.
    pub fn receipts_of(id: Id) -> Vec<u8> {
        let received = text_frame(&json!({ "received": id }).to_string());
        [raw::frame(PONG, id.to_string().as_bytes()), received].concat()
    }

    /// Writes where the session may be over: then nobody cares.
    pub async fn write_too_late(&mut self, frames: &[u8]) {
        let _ = self.raw().try_write(frames).await;
    }

    /// The error message that came, if one did; there must be no second one.
    pub fn take_error(&mut self) -> Outcome<Option<Value>> {
        if self.errors.len() > 1 {
            fail!("{:?} got errors: {:?}", self.device, self.errors);
        }
        Ok(self.errors.pop())
    }

    /// From now on the first delivery does not show where the cursor is.
    pub fn hides_cursor(&mut self) {
        if let Some(track) = &mut self.track {
            track.hides_cursor();
        }
    }

    /// What is stored by now was perhaps stored before the login.
    pub fn perhaps_began_now(&mut self, model: &Model) {
        if let Some(track) = &mut self.track {
            track.perhaps_began_after(model.newest(self.device.user));
        }
    }

    /// Shows the model what came.
    pub fn digest(&mut self, model: &mut Model) -> Outcome {
        for delivery in self.inbox.drain(..) {
            let Some(track) = &mut self.track else {
                fail!("{:?} got {delivery} without a login", self.device);
            };
            let checked = model.delivered(track, &delivery);
            checked.map_err(TestCaseError::fail)?;
        }
        match self.errors.first() {
            Some(error) => fail!("{:?} got {error}", self.device),
            None => Ok(()),
        }
    }

    /// Closes as a browser does; everything before the server's Close has come, and every receipt
    /// has been taken.
    pub async fn close(&mut self, model: &mut Model) -> Outcome {
        self.raw().close(1000).await;
        match self.read_out().await? {
            End::Close(1000) => {
                self.taken(model);
                self.digest(model)
            }
            end => fail!("{:?} closed and got {end:?}", self.device),
        }
    }
}

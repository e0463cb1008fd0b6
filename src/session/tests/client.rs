//! The client's end of a session: what it has read, and what it answers when told to.

use proptest::prop_assert;

use super::case::{Checked, Failure};
use super::frames::{Frame, REFUSAL, message_id, parse};
use super::wire::Wire;
use crate::model::MsgId;

const MASK: [u8; 4] = [0x5a, 0x11, 0xc3, 0x08];

/// How much a client reads.
#[derive(Clone, Copy)]
pub(super) enum Amount {
    /// Up to so many bytes, and all frames within.
    Bytes(usize),
    /// Up to the next message and no further, as many libraries do when their app asks for one;
    /// they answer every Ping on the way.
    Message,
}

impl Amount {
    pub(super) const ALL: Self = Self::Bytes(usize::MAX);
}

/// The kind of a frame.
enum FrameKind {
    Message,
    Ping,
    Other,
}

/// Bytes that a library reads at once while its app waits for a message.
const PIECE: usize = 16;

/// Time limit for a message to arrive.
const MESSAGE_MS: u64 = 30_000;

pub(super) struct Client {
    pub(super) wire: Wire,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Deliveries, in order of arrival.
    pub(super) ids: Vec<MsgId>,
    /// Payloads of Pings, in order.
    pub(super) pings: Vec<Vec<u8>>,
    /// Number of these that were answered or skipped.
    answered: usize,
    pub(super) errors: usize,
    /// Highest id confirmed by [`Client::answer`].
    said: Option<MsgId>,
    /// The highest receipt for a message of the device.
    pub(super) claimed: MsgId,
    pub(super) closed: Option<u16>,
}

impl Client {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            input: Vec::new(),
            output: Vec::new(),
            ids: Vec::new(),
            pings: Vec::new(),
            answered: 0,
            errors: 0,
            said: None,
            claimed: MsgId::ZERO,
            closed: None,
        }
    }

    /// Reads `amount`; `check` is called for each delivery.
    pub(super) fn read(
        &mut self,
        amount: Amount,
        mut check: impl FnMut(&str, MsgId) -> Checked,
    ) -> Checked {
        self.wire.write(&mut self.output);
        match amount {
            Amount::Bytes(max) => {
                self.fetch(max);
                while self.take_frame(&mut check)?.is_some() {}
            }
            Amount::Message => loop {
                match self.take_frame(&mut check)? {
                    Some(FrameKind::Message) => break,
                    Some(FrameKind::Ping) => self.pong_next(),
                    Some(FrameKind::Other) => {}
                    None if self.fetch(PIECE) => {}
                    None => break,
                }
            },
        }
        if self.closed.is_some() && !self.wire.is_cut() {
            self.send(0x88, &1000_u16.to_be_bytes());
            self.wire.cut(usize::MAX, usize::MAX);
        }
        Ok(())
    }

    /// Whether a session of that age may have timed out on a partial frame.
    pub(super) fn is_late(&self, age_ms: u64) -> bool {
        age_ms >= MESSAGE_MS && (!self.output.is_empty() || self.wire.holds_input())
    }

    /// Reads up to `bytes_max` bytes; `true` if there were any.
    fn fetch(&mut self, bytes_max: usize) -> bool {
        let bytes = self.wire.read(bytes_max).unwrap_or_default();
        self.input.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    /// Takes the first complete frame.
    fn take_frame(
        &mut self,
        check: &mut impl FnMut(&str, MsgId) -> Checked,
    ) -> Result<Option<FrameKind>, Failure> {
        let Some((frame, length)) = parse(&self.input).map_err(super::case::fail)? else {
            return Ok(None);
        };
        let taken = match frame {
            Frame::Ping(payload) => {
                self.pings.push(payload.to_vec());
                FrameKind::Ping
            }
            Frame::Close(code) => {
                self.closed = Some(code);
                FrameKind::Other
            }
            Frame::Text("pong") => FrameKind::Other,
            Frame::Text(text) => match message_id(text) {
                Some(id) => {
                    check(text, id)?;
                    self.ids.push(id);
                    FrameKind::Message
                }
                None => {
                    prop_assert!(text.ends_with(REFUSAL), "{text}");
                    self.errors += 1;
                    FrameKind::Other
                }
            },
        };
        self.input.drain(..length);
        Ok(Some(taken))
    }

    fn send(&mut self, first: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("short");
        self.output.extend([first, 0x80 | length]);
        self.output.extend(MASK);
        self.output
            .extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
        self.wire.write(&mut self.output);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes());
    }

    pub(super) fn received(&mut self, id: MsgId) {
        self.text(&format!("{{\"received\":{id}}}"));
    }

    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.send(0x8a, payload);
    }

    pub(super) fn close(&mut self, code: u16) {
        self.send(0x88, &code.to_be_bytes());
    }

    /// Answers the latest unanswered Ping, as a client may (RFC 6455, 5.5.3).
    pub(super) fn pong_latest(&mut self) {
        if self.answered < self.pings.len() {
            self.answered = self.pings.len() - 1;
            self.pong_next();
        }
    }

    /// Answers the first unanswered Ping and skips the others, as some libraries do.
    pub(super) fn pong_first(&mut self) {
        self.pong_next();
        self.answered = self.pings.len();
    }

    /// Answers the first unanswered Ping.
    pub(super) fn pong_next(&mut self) {
        if let Some(payload) = self.pings.get(self.answered).cloned() {
            self.answered += 1;
            self.pong(&payload);
        }
    }

    /// An honest client after reading: confirms what it received.
    pub(super) fn answer(&mut self, manual: bool) {
        self.pong_latest();
        let last = self.ids.last().copied();
        if manual && last > self.said {
            self.said = last;
            last.into_iter().for_each(|last| self.received(last));
        }
    }

    /// Whether a Ping is unanswered.
    pub(super) fn owes_pong(&self) -> bool {
        self.answered < self.pings.len()
    }
}

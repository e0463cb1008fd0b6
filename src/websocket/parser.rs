//! Client bytes in, messages and control frames out. No I/O, no clock.
//!
//! Our own, as no library bounds the memory of whole messages, survives a cancelled read and refuses unmasked frames.
//!
//! Never buffers more than a message of the permitted size, or the start of a larger one, plus one control frame;
//! between messages it owns no heap memory. Invariants: the output does not depend on how the input is cut, and input
//! after a Close frame or a violation is swallowed.

use std::mem;

use fastwebsockets::{OpCode, unmask};

use super::frame::{self, HEAD_BYTES_MAX, Head, Progress, Rules, Violation};

/// Bytes kept of an oversized message: the fields that describe it stand at its start.
pub const START_BYTES_MAX: usize = 64 << 10;

/// Largest message that is read to its end although it exceeds the limit, so that the session can continue. Anything
/// larger, unless permitted, is a violation.
pub const DISCARDED_BYTES_MAX: usize = 16 << 20;

/// Growth step of a message that has reached this length.
const GROWTH_BYTES: usize = 64 << 10;

/// A complete and valid message or control frame from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A complete text message.
    Text(String),
    /// A complete binary message.
    Binary(Vec<u8>),
    /// A message of more than the permitted size, read to its end and discarded on arrival.
    TooLarge {
        /// Its first [`START_BYTES_MAX`] bytes, or all of it. Of a text message, only these were checked to be UTF-8,
        /// and the last character may be cut.
        start: Vec<u8>,
        /// Its size in bytes.
        bytes: usize,
    },
    /// A Ping, to be answered by a Pong of the same payload (RFC 6455, 5.5.2).
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// The client's Close; nothing follows it.
    Close {
        /// The status code, if the frame had one.
        code: Option<u16>,
    },
}

/// The parser state of one client's byte stream.
#[derive(Debug, Default)]
pub struct Parser {
    message_bytes_max: usize,
    binary: bool,
    closed: bool,
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    /// The frame whose payload is being read, and the number of bytes read.
    frame: Option<(Head, usize)>,
    /// Text or Binary while a message is open.
    message_kind: Option<OpCode>,
    message: Vec<u8>,
    /// Payload bytes of the message's frames so far, the open one's whole length included. Above `message_bytes_max`
    /// only the start is kept.
    message_bytes: usize,
    /// Bytes of `message` known to be UTF-8.
    message_utf8: usize,
    control: Vec<u8>,
}

impl Parser {
    /// A parser at the start of the stream. `message_bytes_max` bounds a message's payload over all its frames: of a
    /// larger one only the start is returned.
    pub fn new(message_bytes_max: usize, binary: bool) -> Self {
        Self {
            message_bytes_max,
            binary,
            ..Self::default()
        }
    }

    /// Consumes input up to the end of the next message or control frame; `None` once all of it is consumed.
    ///
    /// # Errors
    /// The broken rule of RFC 6455; further input is swallowed.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Violation> {
        if self.closed {
            *input = &[];
            return Ok(None);
        }
        let result = self.advance(input);
        if matches!(result, Err(_) | Ok(Some(Incoming::Close { .. }))) {
            *self = Self {
                closed: true,
                ..Self::new(self.message_bytes_max, self.binary)
            };
        }
        result
    }

    /// Bytes held of an incomplete message.
    pub fn buffered_bytes(&self) -> usize {
        self.message.len() + self.control.len()
    }

    /// Most bytes that the incoming message will hold, as far as its heads tell: the announced length, or the permitted
    /// maximum if another frame is to follow.
    pub fn buffered_bytes_max(&self) -> usize {
        if self.is_too_large() {
            return START_BYTES_MAX;
        }
        match self.frame {
            Some((head, _)) if head.fin && !frame::is_control(head.opcode) => self.message_bytes,
            _ => self.message_bytes_max,
        }
    }

    /// Whether a message has begun whose last frame has not arrived yet.
    pub fn is_message_open(&self) -> bool {
        self.message_kind.is_some()
    }

    /// Whether a message or control frame has arrived in part, even if only part of its head.
    pub fn is_unfinished(&self) -> bool {
        self.head_bytes > 0 || self.frame.is_some() || self.is_message_open()
    }

    /// Whether the client's Close or a violation ended the stream.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Violation> {
        loop {
            let Some((head, taken)) = self.frame else {
                match self.take_head(input)? {
                    Some(head) => self.frame = Some((head, 0)),
                    None => return Ok(None),
                }
                continue;
            };
            let taken = taken + self.take_payload(input, head, taken)?;
            if taken < head.payload_bytes {
                self.frame = Some((head, taken));
                return Ok(None);
            }
            self.frame = None;
            if let Some(incoming) = self.complete(head)? {
                return Ok(Some(incoming));
            }
        }
    }

    fn take_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Violation> {
        let rules = Rules {
            message_open: self.message_kind.is_some(),
            message_bytes: self.message_bytes,
            message_bytes_max: self.message_bytes_max.max(DISCARDED_BYTES_MAX),
            binary: self.binary,
        };
        loop {
            match frame::judge(&self.head[..self.head_bytes], rules)? {
                Progress::Complete(head) => {
                    self.head_bytes = 0;
                    if matches!(head.opcode, OpCode::Text | OpCode::Binary) {
                        self.message_kind = Some(head.opcode);
                    }
                    if !frame::is_control(head.opcode) {
                        self.announced(head.payload_bytes);
                    }
                    return Ok(Some(head));
                }
                Progress::Needs(_) if input.is_empty() => return Ok(None),
                Progress::Needs(bytes) => {
                    let step = input.len().min(bytes - self.head_bytes);
                    let (head, rest) = input.split_at(step);
                    self.head[self.head_bytes..self.head_bytes + step].copy_from_slice(head);
                    self.head_bytes += step;
                    *input = rest;
                }
            }
        }
    }

    /// Accounts for a frame of the message, of this length.
    fn announced(&mut self, bytes: usize) {
        self.message_bytes += bytes;
        if self.is_too_large() {
            self.message.truncate(START_BYTES_MAX);
            self.message.shrink_to_fit();
            self.message_utf8 = self.message_utf8.min(self.message.len());
        }
    }

    fn is_too_large(&self) -> bool {
        self.message_bytes > self.message_bytes_max
    }

    /// Consumes the available payload of a frame, unmasked (RFC 6455, 5.3), and returns its length.
    fn take_payload(
        &mut self,
        input: &mut &[u8],
        head: Head,
        taken: usize,
    ) -> Result<usize, Violation> {
        let step = input.len().min(head.payload_bytes - taken);
        let (payload, rest) = input.split_at(step);
        *input = rest;
        let control = frame::is_control(head.opcode);
        let too_large = !control && self.is_too_large();
        let buffer = if control {
            &mut self.control
        } else {
            &mut self.message
        };
        let start = buffer.len();
        let kept = match too_large {
            true => step.min(START_BYTES_MAX - start),
            false => step,
        };
        if start >= GROWTH_BYTES && buffer.capacity() - start < kept {
            // Doubling would let a long message take up to twice its size.
            buffer.reserve_exact(kept.max(GROWTH_BYTES));
        }
        buffer.extend_from_slice(&payload[..kept]);
        let mut mask = head.mask;
        mask.rotate_left(taken & 3);
        unmask(&mut buffer[start..], mask);

        // A message in one piece is checked once, when it becomes a string.
        let whole = head.fin && start == 0 && step == head.payload_bytes && !too_large;
        if !control && self.message_kind == Some(OpCode::Text) && !whole {
            self.check_utf8()?;
        }
        Ok(step)
    }

    /// RFC 6455, 8.1: fails at the first byte that no continuation can mend; a cut code point waits for its rest.
    fn check_utf8(&mut self) -> Result<(), Violation> {
        match str::from_utf8(&self.message[self.message_utf8..]) {
            Ok(_) => self.message_utf8 = self.message.len(),
            Err(error) if error.error_len().is_some() => return Err(Violation::not_utf8()),
            Err(error) => self.message_utf8 += error.valid_up_to(),
        }
        Ok(())
    }

    fn complete(&mut self, head: Head) -> Result<Option<Incoming>, Violation> {
        match head.opcode {
            OpCode::Ping => Ok(Some(Incoming::Ping(mem::take(&mut self.control)))),
            OpCode::Pong => Ok(Some(Incoming::Pong(mem::take(&mut self.control)))),
            OpCode::Close => {
                let payload = mem::take(&mut self.control);
                close_code(&payload).map(|code| Some(Incoming::Close { code }))
            }
            _ if !head.fin => Ok(None),
            _ => self.complete_message().map(Some),
        }
    }

    fn complete_message(&mut self) -> Result<Incoming, Violation> {
        let payload = mem::take(&mut self.message);
        let (bytes, too_large) = (self.message_bytes, self.is_too_large());
        self.message_bytes = 0;
        self.message_utf8 = 0;
        match self.message_kind.take() {
            _ if too_large => Ok(Incoming::TooLarge {
                start: payload,
                bytes,
            }),
            Some(OpCode::Binary) => Ok(Incoming::Binary(payload)),
            _ => String::from_utf8(payload)
                .map(Incoming::Text)
                .map_err(|_| Violation::not_utf8()),
        }
    }
}

/// RFC 6455, 5.5.1: empty, or a code of two bytes and a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::protocol("close frame of one byte")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !frame::close_code_is_valid(code) {
                return Err(Violation::protocol("close code that may not be sent"));
            }
            if str::from_utf8(reason).is_err() {
                return Err(Violation::not_utf8());
            }
            Ok(Some(code))
        }
    }
}

#[cfg(test)]
mod tests;

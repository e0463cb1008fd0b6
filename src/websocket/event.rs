//! The events of a connection, as reported to its owner. No behaviour.

use super::frame::Violation;

/// An event on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A complete text message.
    Text(String),
    /// A complete binary message.
    Binary(Vec<u8>),
    /// A message of more than the permitted size, of which only the start was kept.
    TooLarge {
        /// As [`Incoming::TooLarge`](super::parser::Incoming::TooLarge).
        start: Vec<u8>,
        /// Its size in bytes.
        bytes: usize,
    },
    /// Number of Pings, in a row or between other events; their Pongs are on their way.
    Pinged(u32),
    /// A Pong, with its payload, at most 125 bytes.
    Pong(Vec<u8>),
    /// The peer's Close; [`Connection::close`](super::Connection::close) answers it. Input after it is discarded.
    Close {
        /// The peer's status code, if it gave one.
        code: Option<u16>,
    },
    /// The peer broke the protocol; [`Connection::close`](super::Connection::close) reports this code and reason to it.
    /// Input after it is discarded.
    Violation(Violation),
    /// The stream ended or failed without a Close. Repeated on every further poll.
    Ended,
    /// Everything queued has been written and flushed. Reported once for each time the queue ran empty.
    Flushed,
}

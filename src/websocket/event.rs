//! What happened on a connection, as its owner is told. No behaviour.

use super::frame::Violation;

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A message of more than the permitted size, of which only the start was kept.
    TooLarge {
        /// As [`Incoming::TooLarge`](super::parser::Incoming::TooLarge).
        start: Vec<u8>,
        /// How many bytes it had.
        bytes: usize,
    },
    /// So many Pings, in a row or between other events; their Pongs are on their way.
    Pinged(u32),
    /// A Pong, with its payload, at most 125 bytes.
    Pong(Vec<u8>),
    /// The peer's Close; [`Connection::close`](super::Connection::close) answers it. Input after it is discarded.
    Close {
        /// The peer's status code, where it gave one.
        code: Option<u16>,
    },
    /// The peer broke the protocol; [`Connection::close`](super::Connection::close) with this code and reason tells it. Input after it is
    /// discarded.
    Violation(Violation),
    /// The stream ended or failed, without a Close. Comes again on every further poll.
    Ended,
    /// Everything that was queued has been written and flushed. Comes once for each time the queue ran empty.
    Flushed,
}

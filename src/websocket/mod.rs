//! WebSocket (RFC 6455), server side, after the upgrade.
//!
//! - [`parser`]: bytes in, messages out; pure, every rule of the RFC in one place.
//! - [`writer`]: frames appended to a byte buffer, so that many go out in one write.
//! - [`connection`]: the two bound to a stream, driven by polling from one task.
//!
//! Knows nothing of the meaning of messages, of logins or of the stream's origin. Invariants: memory of a connection is
//! bounded by the message limit (or the start kept of a larger message) plus one read buffer; memory of all unfinished
//! messages by the [`MessageBudget`] that they share; and an idle connection keeps no buffer at all.

mod budget;
pub mod connection;
mod event;
mod frame;
pub mod parser;
mod read_buffer;
pub mod writer;

pub use budget::MessageBudget;
pub use connection::{Connection, ConnectionOptions};
pub use event::Event;
pub use frame::Violation;

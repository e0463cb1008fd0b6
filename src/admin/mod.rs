//! The Unix socket on which a running server accepts orders from its own command line.
//!
//! One connection is one order: a line of JSON each way. Only the server's own user and root get through (mode 0600,
//! and the peer's uid is checked). Lines, time and the number of connections are bounded. It makes no decisions:
//! `command` executes the orders.

mod client;
mod live;
mod protocol;
mod server;
mod site;

pub use client::{ClientError, answers, process, request};
pub use live::Live;
pub use protocol::{
    EndedEntry, Request, Response, SessionEntry, SessionFilter, StatsAnswer, TokenRequest, execute,
    execute_reading,
};
pub use server::{AdminSocket, DomainChanged, Orders, serve};
pub use site::Site;

/// File name of the socket in the data directory.
pub const SOCKET_NAME: &str = "relaybox.sock";
/// Maximum size of an order, in bytes: names and a few numbers, escaped.
const REQUEST_BYTES_MAX: u64 = 16 << 10;
/// Maximum size of an answer, in bytes: a list of very many domains or sessions.
const RESPONSE_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests;

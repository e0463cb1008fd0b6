//! relaybox: a self-contained instant-message server.
//!
//! Data flows one way:
//!
//! ```text
//! socket → tls → websocket frames → client frame → command → committer → committed messages → hub → outbox → socket
//!                                                               │
//!                                                               └→ store (journal, tail, sled) ← history, catch-up
//! ```
//!
//! Which room may use which: the table in `tests/tidy/rooms.rs`, which a test holds.

pub mod admin;
pub mod auth;
pub mod cli;
pub mod client;
pub mod clock;
pub mod command;
pub mod config;
pub mod http;
pub mod hub;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod net;
pub mod protocol;
pub mod server;
pub mod session;
pub mod state;
pub mod store;
pub mod websocket;

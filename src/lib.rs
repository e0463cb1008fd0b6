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
//! Modules may use only those below them in this list; `tests/tidy.rs` holds it.

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
pub mod store;
pub mod websocket;

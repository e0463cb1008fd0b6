//! relaybox: a self-contained instant-message server.
//!
//! Data flows one way:
//!
//! ```text
//! socket → tls → websocket frames → client frame → command → committer → committed messages → hub → outbox → socket
//!                                                               │
//!                                                               └→ store (journal, memtable, sled) ← history, catch-up
//! ```
//!
//! Rooms:
//!
//! - [`server`]: creates everything, connects it and stops it; [`state`] is what sessions and
//!   requests share;
//! - [`net`]: sockets, TLS, certificates and the accept loop;
//! - [`http`]: endpoints, and the upgrade to a WebSocket;
//! - [`websocket`]: RFC 6455 after the upgrade;
//! - [`session`]: from a login to the last frame; `machine` decides, `driver` does the I/O;
//! - [`command`]: the operations of sessions, requests and the command line;
//! - [`hub`]: online sessions and their outboxes;
//! - [`store`]: journal, memtable and index;
//! - [`auth`]: project tokens and user tokens;
//! - [`limits`]: rates, quotas and memory permits;
//! - [`protocol`], [`model`]: the wire forms and the types of PROTOCOL.md;
//! - [`config`], [`metrics`], [`clock`]: settings, counters and gauges, time;
//! - [`admin`], [`cli`], [`client`]: the operator's socket, the command line, and the protocol from
//!   the client's side.
//!
//! `tests/tidy/rooms.rs` says which room may use which; a test enforces it.

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

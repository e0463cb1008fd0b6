//! The operations of sessions, requests and the command line, one per file.
//!
//! Knows neither sockets nor HTTP: takes parsed values and answers with values.

pub mod domains;
pub mod history;
pub mod presence;
pub mod send;
pub mod stats;

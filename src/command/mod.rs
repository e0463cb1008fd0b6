//! One operation a file: what a session, a request or the command line may ask for.
//!
//! Knows neither sockets nor HTTP: it takes parsed values and answers with values.

pub mod domains;
pub mod erase;
pub mod history;
pub mod presence;
pub mod send;
pub mod stats;

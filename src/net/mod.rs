//! From a TCP socket to HTTP requests: accepting, TLS, certificates, deadlines.
//!
//! - `bind`: binds an address; [`listener`]: the accept loop and the stages of one connection.
//! - `permits`: bounds on connections, in all and per address; `lingering`: connections that are closed but still read.
//! - [`tls`]: the configuration of rustls, and certificate exchange at run time.
//! - [`mod@watch`]: polls the certificate's files while the server runs; `file_checks`: detects their changes.
//! - [`certificates`]: judges the output of `pem`; `issue` creates what is missing.
//! - `names`: the server's own names, for the check of page origins.
//! - `detached`: a thread for files that may never answer.
//! - [`inspect`] and [`probe`]: the view of `doctor`, on the files and on the wire.
//! - [`client`]: the client side, for the terminal client.
//!
//! This room parses no request beyond its first line (`request_line`). Invariants: every wait has a deadline; every
//! connection holds a permit for as long as its socket is open, upgraded or not; every task is known to the tracker.

mod authority;
mod bind;
mod certificate;
mod certificate_error;
pub mod certificates;
pub mod client;
mod constraints;
mod deadline;
mod detached;
mod file_checks;
mod files;
mod filtered;
mod hello;
pub mod inspect;
mod issue;
mod lingering;
pub mod listener;
mod material;
mod names;
mod options;
mod pem;
mod permits;
pub mod probe;
mod proxy_protocol;
mod refusals;
mod request_line;
mod requests;
pub mod tls;
mod transcript;
pub mod watch;
mod x509;

#[cfg(any(test, feature = "fuzzing"))]
pub use pem::fuzzing::pem_round_trip;

pub use authority::EARLIEST_S;
pub use bind::{bind, is_own};
pub use certificate_error::{CertificateError, REPLACE_CA};
pub use detached::spawn_detached;
pub use listener::serve;
pub use names::OwnNames;
pub use options::NetOptions;
pub use permits::ConnectionPermits;
pub use tls::Tls;
pub use watch::watch;
pub use x509::near_end_s;

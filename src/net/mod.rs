//! From a TCP socket to HTTP requests: accepting, TLS, certificates, deadlines.
//!
//! - `bind`: takes an address; [`listener`]: the accept loop and what one connection goes through.
//! - `permits`: how many connections there may be, in all and of each address; `lingering`: those that are closed, and
//!   still read.
//! - [`tls`]: rustls' settings and the exchange of certificates while running.
//! - [`mod@watch`]: looks at the certificate's files while the server runs; `looks`: whether they have changed.
//! - [`certificates`]: what `pem` reads, judged; `issue` makes what is missing.
//! - `names`: what the server is called, as the origins of pages are judged by.
//! - `apart`: a thread for files that may never answer.
//! - [`inspect`] and [`probe`]: what `doctor` looks at, in the files and on the wire.
//! - [`client`]: the other side, for the client in the terminal.
//!
//! It never looks into a request, but for its first line (`request_line`). Invariants: every wait has a deadline, every
//! connection holds a permit for as long as its socket is open, upgraded or not, and every task is known to the tracker.

mod apart;
mod authority;
mod bind;
mod certificate;
mod certificate_error;
pub mod certificates;
pub mod client;
mod constraints;
mod deadline;
mod files;
mod hello;
pub mod inspect;
mod issue;
mod leaf;
mod lingering;
pub mod listener;
mod looks;
mod material;
mod names;
mod options;
mod pem;
mod permits;
pub mod probe;
mod proxy_protocol;
mod reading;
mod refusals;
mod request_line;
mod requests;
pub mod tls;
mod transcript;
pub mod watch;

pub use apart::apart;
pub use authority::EARLIEST_S;
pub use bind::{bind, is_own};
pub use certificate_error::{CertificateError, REPLACE_CA};
pub use leaf::near_end_s;
pub use listener::serve;
pub use names::OwnNames;
pub use options::NetOptions;
pub use permits::ConnectionPermits;
pub use tls::Tls;
pub use watch::watch;

//! Start errors.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::command::domains::DomainError;
use crate::net::CertificateError;
use crate::store::OpenError;

/// Why the server could not be started. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The certificates cannot be read or issued.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} ({setting}): {}",
        refused_port(source, setting)
    )]
    Listen {
        /// The setting with the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The domains cannot be created.
    #[error(transparent)]
    Domains(#[from] DomainError),
    /// A thread of the start panicked or could not be spawned.
    #[error("the start was interrupted: {0}")]
    Interrupted(String),
}

impl StartError {
    pub(super) fn interrupted(error: impl std::error::Error) -> Self {
        Self::Interrupted(error.to_string())
    }
}

/// Why an address cannot be bound, with a remedy.
pub fn refused_port(error: &io::Error, setting: &str) -> String {
    let flag = format!("--{}", setting.replace('_', "-"));
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "the address is already in use: another program has it; end that, or choose another port with {flag}"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "permission denied: ports below 1024 need the capability CAP_NET_BIND_SERVICE, or choose another with {flag}"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine does not have that address; 0.0.0.0 or [::] in {flag} is all that it has"
        ),
        _ => error.to_string(),
    }
}

//! Gathered facts, before they are judged.
//!
//! Plain values, so that tests can make them up.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::net::inspect::{Certificate, Inspected};
use crate::store::Survey;

/// All facts to be judged, apart from the settings.
#[derive(Debug)]
pub(super) struct Facts {
    /// Warnings about the settings.
    pub(super) warnings: Vec<String>,
    /// Wall-clock time in microseconds since the Unix epoch.
    pub(super) now_us: u64,
    /// Whether the system reports that its clock is synchronised from the network; `false` also if
    /// unknown.
    pub(super) is_synchronised: bool,
    pub(super) server: ServerStatus,
    /// Names and addresses of `--host`; empty if they are those of a proxy.
    pub(super) hosts: Vec<Host>,
    /// State of the TLS side (`listen`).
    pub(super) tls: Option<WithTls>,
    /// State of the `plain` port, if set.
    pub(super) plain: Option<Port>,
    /// State of the `metrics_listen` port, if set.
    pub(super) metrics: Option<Port>,
    pub(super) open_files: OpenFiles,
    /// Largest file that the server may write; `None` if unlimited or unknown.
    pub(super) file_bytes: Option<u64>,
    pub(super) data: Directory,
    /// File system of the data directory, existing or to be created.
    pub(super) disk: Option<Disk>,
    /// Survey of the store, or why no server would start on it.
    pub(super) store: Result<Option<Survey>, String>,
}

impl Facts {
    pub(super) fn server_runs(&self) -> bool {
        !matches!(self.server, ServerStatus::None)
    }

    /// Wall-clock time in seconds since the Unix epoch.
    pub(super) fn now_s(&self) -> i64 {
        i64::try_from(self.now_us / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// A host name given to clients.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// Resolved addresses, or why they are unknown.
    pub(super) addresses: Result<Vec<Address>, String>,
}

/// An address that clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    /// Whether this machine has the address.
    pub(super) is_own: bool,
}

/// The TLS address and its certificates.
#[derive(Debug)]
pub(super) struct WithTls {
    pub(super) port: Port,
    pub(super) certificates: Inspected,
    /// Whether certificates can be written at their configured paths.
    pub(super) certificates_writable: bool,
}

#[derive(Debug)]
pub(super) enum ServerStatus {
    None,
    /// The server answers on its socket.
    Running {
        /// Process id, if known.
        process: Option<u32>,
        domains: usize,
        /// Why nothing can be stored, if so.
        not_writable: Option<String>,
    },
    /// A process holds the data directory, but no server answers on its socket.
    Silent {
        /// Process id of the holder, if known.
        process: Option<u32>,
    },
    /// The socket exists, but cannot be queried.
    Unreachable(String),
}

/// Outcome of trying a port.
#[derive(Debug)]
pub(super) enum Port {
    /// Port 0: nothing to try.
    Any,
    Free,
    Taken(io::Error),
    /// With a running server: the port accepts connections.
    Answers,
    /// With a running server: it presents this certificate.
    Shows(Box<Certificate>),
    /// With a running server: something else.
    Other(String),
}

/// Limits on the number of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenFiles {
    /// `None`: unlimited.
    pub(super) limit: Option<u64>,
    /// Connections configured in the settings.
    pub(super) connections: usize,
    /// Whether the limit was read from the running server.
    pub(super) of_server: bool,
}

#[derive(Debug)]
pub(super) enum Directory {
    /// It does not exist yet.
    Absent {
        /// Whether it can be created.
        can_be_made: bool,
    },
    Unreadable(io::Error),
    There(Rights),
}

/// Ownership and permissions of the data directory.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) mode: u32,
    /// User id of its owner.
    pub(super) owner: u32,
    /// User id of this process.
    pub(super) user: u32,
    /// The first entry with another owner than the directory, and that owner.
    pub(super) foreign: Option<(PathBuf, u32)>,
    /// Whether a file could be written, synced and removed.
    pub(super) written: io::Result<()>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) kind: Kind,
    pub(super) total_bytes: u64,
    /// Free space for users other than root.
    pub(super) free_bytes: u64,
    /// Total inodes; 0 if there is no limit.
    pub(super) total_files: u64,
    pub(super) free_files: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Durable, as far as known.
    Disk,
    Memory(&'static str),
    /// The top layer of a container.
    Layer(&'static str),
    Network(&'static str),
    /// File system without ownership or permissions.
    Rightless(&'static str),
}

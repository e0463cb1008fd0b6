//! What was found out, before anybody judges it.
//!
//! Plain values: a test makes them up.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::net::inspect::{Certificate, Inspected};
use crate::store::Survey;

/// Everything that is judged, beside the settings.
#[derive(Debug)]
pub(super) struct Facts {
    /// What is odd about the settings.
    pub(super) warnings: Vec<String>,
    /// The clock, in microseconds since the Unix epoch.
    pub(super) now_us: u64,
    /// Whether the system says that its clock is set from the network; `false` also where it says nothing.
    pub(super) is_synchronised: bool,
    pub(super) server: ServerStatus,
    /// Names and addresses of `--host`; none where they are those of a proxy.
    pub(super) hosts: Vec<Host>,
    /// What there is where TLS is spoken (`listen`).
    pub(super) tls: Option<WithTls>,
    /// The port of `plain`, where there is one.
    pub(super) plain: Option<Port>,
    /// The port of `metrics_listen`, where there is one.
    pub(super) metrics: Option<Port>,
    pub(super) open_files: OpenFiles,
    /// The largest file that the server may write; `None`: no limit, or none is known.
    pub(super) file_bytes: Option<u64>,
    pub(super) data: Directory,
    /// Where the data directory is, or would be.
    pub(super) disk: Option<Disk>,
    /// What is stored, or why no server would start on it.
    pub(super) store: Result<Option<Survey>, String>,
}

impl Facts {
    pub(super) fn server_runs(&self) -> bool {
        !matches!(self.server, ServerStatus::None)
    }

    /// Seconds since the Unix epoch.
    pub(super) fn now_s(&self) -> i64 {
        i64::try_from(self.now_us / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// A name that clients are given.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// Where they go by it, or why that is not known.
    pub(super) addresses: Result<Vec<Address>, String>,
}

/// One that clients go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    /// Whether this machine has it.
    pub(super) is_own: bool,
}

/// The address with TLS, and what is shown there.
#[derive(Debug)]
pub(super) struct WithTls {
    pub(super) port: Port,
    pub(super) certificates: Inspected,
    /// Whether certificates can be written where they are expected.
    pub(super) certificates_writable: bool,
}

/// Whether a server runs on the data directory.
#[derive(Debug)]
pub(super) enum ServerStatus {
    None,
    /// It answers on its socket.
    Running {
        /// Its process, where the system tells.
        process: Option<u32>,
        /// How many domains it has.
        domains: usize,
        /// Why it stores nothing, where it does not.
        not_writable: Option<String>,
    },
    /// A process has the data directory, but no server answers on its socket.
    Silent {
        /// That process, where the system tells.
        process: Option<u32>,
    },
    /// Its socket is there, but it cannot be asked.
    Unreachable(String),
}

/// What became of trying a port.
#[derive(Debug)]
pub(super) enum Port {
    /// Port 0: there is nothing to try.
    Any,
    /// It can be listened on.
    Free,
    /// It cannot.
    Taken(io::Error),
    /// Beside a running server: something accepts connections there.
    Answers,
    /// Beside a running server: this certificate is shown there.
    Shows(Box<Certificate>),
    /// Beside a running server: there is something else.
    Other(String),
}

/// What bounds connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenFiles {
    /// `None`: nothing.
    pub(super) limit: Option<u64>,
    /// Connections that the settings ask for.
    pub(super) connections: usize,
    /// Whether the limit is the running server's own.
    pub(super) of_server: bool,
}

/// The data directory.
#[derive(Debug)]
pub(super) enum Directory {
    /// There is none yet.
    Absent {
        /// Whether it can be made.
        can_be_made: bool,
    },
    /// It cannot be looked into.
    Unreadable(io::Error),
    There(Rights),
}

/// Who may do what in the data directory.
#[derive(Debug)]
pub(super) struct Rights {
    /// Permission bits.
    pub(super) mode: u32,
    /// Its owner.
    pub(super) owner: u32,
    /// Who looks.
    pub(super) user: u32,
    /// Something in it that belongs to another than the directory, and to whom.
    pub(super) foreign: Option<(PathBuf, u32)>,
    /// Whether a file could be written, made durable, and removed.
    pub(super) written: io::Result<()>,
}

/// The file system of the data directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) kind: Kind,
    pub(super) total_bytes: u64,
    /// For those who are not root.
    pub(super) free_bytes: u64,
    /// Files that there can be; 0 where that is not bounded.
    pub(super) total_files: u64,
    pub(super) free_files: u64,
}

/// What kind of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that keeps what it says it has kept, as far as is known.
    Disk,
    /// In memory.
    Memory(&'static str),
    /// The top layer of a container.
    Layer(&'static str),
    /// On another machine.
    Network(&'static str),
    /// One that keeps nobody's rights.
    Rightless(&'static str),
}

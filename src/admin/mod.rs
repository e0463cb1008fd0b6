//! The Unix socket on which a running server takes orders from its own command line.
//!
//! One connection is one order: a line of JSON each way. Only the server's own user and
//! root get through (mode 0600, and the peer's uid is checked). Lines, time and the number
//! of connections are bounded. It decides nothing: orders are carried out by `command`.

mod client;
mod live;
mod protocol;
mod server;

pub use client::{ClientError, answers, process, request};
pub use live::Live;
pub use protocol::{
    DomainLine, Request, Response, SessionEntry, StatsAnswer, execute, execute_reading,
};
pub use server::{AdminSocket, Context, DomainChanged, serve};

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "relaybox.sock";
/// The longest order, in bytes: names and a few numbers, escaped.
const REQUEST_BYTES_MAX: u64 = 16 << 10;
/// The longest answer, in bytes: a list of very many domains or sessions.
const RESPONSE_BYTES_MAX: u64 = 64 << 20;
/// The longest path that fits a socket address on every Unix (`sun_path`, with its NUL).
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A way to a file of the data directory that is short enough for a socket address.
struct ShortPath {
    path: PathBuf,
    // While it is open, /proc/self/fd leads to the directory.
    _dir: Option<File>,
}

impl ShortPath {
    fn new(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()));
        Ok(Self {
            path,
            _dir: Some(dir),
        })
    }
}

#[cfg(test)]
mod tests;

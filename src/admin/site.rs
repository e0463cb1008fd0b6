//! Location of a data directory's socket.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::SOCKET_NAME;

/// Longest path that fits a socket address on every Unix (`sun_path`, with its NUL).
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A data directory and its server's socket.
#[derive(Debug, Clone)]
pub struct Site {
    data: PathBuf,
    socket: Option<PathBuf>,
}

impl Site {
    /// `socket`: a configured path; if `None`, the socket is in the data directory or, if that file system has no
    /// sockets, an abstract name.
    pub fn new(data: impl Into<PathBuf>, socket: Option<PathBuf>) -> Self {
        Self {
            data: data.into(),
            socket,
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Whether no path is configured: the server may then replace whatever is in the socket's place, and may use an
    /// abstract name.
    pub(super) fn is_usual(&self) -> bool {
        self.socket.is_none()
    }

    pub(super) fn file(&self) -> PathBuf {
        let inside = || self.data.join(SOCKET_NAME);
        self.socket.clone().unwrap_or_else(inside)
    }

    /// The abstract name (unix(7)) used instead of a file: derived from the directory itself, whatever path leads to
    /// it. Anybody can bind such a name, so both sides check the peer's user.
    pub(super) fn name(&self) -> io::Result<SocketAddr> {
        let found = std::fs::metadata(&self.data)?;
        let name = format!("relaybox-{:x}-{:x}", found.dev(), found.ino());
        SocketAddr::from_abstract_name(name)
    }
}

/// A path to a file, short enough for a socket address.
pub(super) struct ShortPath {
    pub(super) path: PathBuf,
    // Keeps the directory open for the path through /proc/self/fd.
    _dir: Option<File>,
}

impl ShortPath {
    /// A short path to a file, which need not exist; its directory must.
    pub(super) fn new(file: &Path) -> io::Result<Self> {
        let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if file.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            let path = file.to_owned();
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(dir)?;
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
        Ok(Self {
            path: path.join(name),
            _dir: Some(dir),
        })
    }
}

//! Where the socket of a data directory's server is.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::SOCKET_NAME;

/// The longest path that fits a socket address on every Unix (`sun_path`, with its NUL).
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A data directory and its server's socket.
#[derive(Debug, Clone)]
pub struct Site {
    data: PathBuf,
    socket: Option<PathBuf>,
}

impl Site {
    /// `socket`: where it was put; else it is in the data directory or, where that file system has
    /// no sockets, known by a name alone.
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

    /// Whether nobody has put the socket elsewhere: what stands in its place is then the server's
    /// to replace, and it may be known by a name alone.
    pub(super) fn is_usual(&self) -> bool {
        self.socket.is_none()
    }

    /// The socket's file.
    pub(super) fn file(&self) -> PathBuf {
        let inside = || self.data.join(SOCKET_NAME);
        self.socket.clone().unwrap_or_else(inside)
    }

    /// The name in place of a file (unix(7), "abstract"): of the directory, whatever leads to it.
    /// Nobody owns such names, so both sides look who the other one is.
    pub(super) fn name(&self) -> io::Result<SocketAddr> {
        let found = std::fs::metadata(&self.data)?;
        let name = format!("relaybox-{:x}-{:x}", found.dev(), found.ino());
        SocketAddr::from_abstract_name(name)
    }
}

/// A way to a file that is short enough for a socket address.
pub(super) struct ShortPath {
    pub(super) path: PathBuf,
    // While it is open, /proc/self/fd leads to the directory.
    _dir: Option<File>,
}

impl ShortPath {
    /// The way to a file, which need not be there; its directory has to be.
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

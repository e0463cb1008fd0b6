//! The command line's side of the socket. Blocking; needs no runtime.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{Request, Response};
use super::{RESPONSE_BYTES_MAX, SOCKET_NAME, ShortPath};

/// How long an answer may take: longer than the server's own deadline.
const ANSWER_DEADLINE: Duration = Duration::from_secs(35);

/// Why a running server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket is there but cannot be used.
    #[error("the running server cannot be reached through {SOCKET_NAME}: {0}")]
    Io(#[from] io::Error),
    /// What came is no answer, or was cut off.
    #[error("the running server gave no proper answer; its log may say why")]
    NoAnswer,
}

/// Hands an order to the server that runs on this data directory. `None`: none runs there.
///
/// # Errors
/// See [`ClientError`]; the order may have been carried out all the same.
pub fn request(data_dir: &Path, request: &Request) -> Result<Option<Response>, ClientError> {
    let mut stream = match connect(data_dir) {
        Ok(stream) => stream,
        // No socket, or one that a dead server has left behind.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
    let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;

    let mut answer = Vec::new();
    BufReader::new(stream)
        .take(RESPONSE_BYTES_MAX)
        .read_until(b'\n', &mut answer)?;
    let response = serde_json::from_slice(&answer).map_err(|_| ClientError::NoAnswer)?;
    Ok(Some(response))
}

/// Whether a server answers on this data directory's socket.
pub fn answers(data_dir: &Path) -> bool {
    connect(data_dir).is_ok()
}

/// The process of the server that runs on this data directory; `None` where none can be reached, or the system does
/// not tell.
pub fn process(data_dir: &Path) -> Option<u32> {
    let stream = connect(data_dir).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let short = ShortPath::new(data_dir, SOCKET_NAME)?;
    UnixStream::connect(&short.path)
}

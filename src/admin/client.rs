//! The command line's side of the socket. Blocking; needs no runtime.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::RESPONSE_BYTES_MAX;
use super::protocol::{Request, Response};
use super::site::{ShortPath, Site};
use crate::store::owner_of;

/// Deadline of an answer: longer than the server's own.
const ANSWER_DEADLINE: Duration = Duration::from_secs(35);

/// Why a running server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket exists but cannot be used.
    #[error("the running server cannot be reached through its socket: {0}")]
    Io(#[from] io::Error),
    /// Another server owns the socket.
    #[error(
        "the server at {socket} has another data directory than {data}: nothing was asked of it"
    )]
    Another {
        /// Path of the socket.
        socket: PathBuf,
        /// The expected data directory.
        data: PathBuf,
    },
    /// The answer is malformed or truncated.
    #[error("the running server gave no proper answer; its log may say why")]
    NoAnswer,
    /// The server refused the order, with this sentence.
    #[error("{0}")]
    Refused(String),
}

/// Sends an order to the server that runs on this data directory. `None`: none is running.
///
/// # Errors
/// See [`ClientError`]; the order may have been executed nevertheless.
pub fn request(site: &Site, request: &Request) -> Result<Option<Response>, ClientError> {
    // A socket in the data directory belongs to that directory; one elsewhere may belong to any server.
    if !site.is_usual() && !is_of(site)? {
        return Err(ClientError::Another {
            socket: site.file(),
            data: site.data().to_owned(),
        });
    }
    match exchange(site, request)? {
        Some(Response::Refused { sentence }) => Err(ClientError::Refused(sentence)),
        answer => Ok(answer),
    }
}

/// Whether the server behind the socket, if there is one, has this data directory.
fn is_of(site: &Site) -> Result<bool, ClientError> {
    let (asked, found) = match exchange(site, &Request::Site {})? {
        None => return Ok(true),
        Some(Response::Site { device, inode }) => ((device, inode), std::fs::metadata(site.data())),
        Some(_) => return Err(ClientError::NoAnswer),
    };
    Ok(found.is_ok_and(|found| (found.dev(), found.ino()) == asked))
}

fn exchange(site: &Site, request: &Request) -> Result<Option<Response>, ClientError> {
    let mut stream = match connect(site) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
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

/// Whether a server answers for this data directory.
pub fn answers(site: &Site) -> bool {
    connect(site).is_ok()
}

/// Process id of the server that runs on this data directory; `None` if no server can be reached, or the system does
/// not provide it.
pub fn process(site: &Site) -> Option<u32> {
    let stream = connect(site).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

/// No socket, or one left by a dead server.
fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | ConnectionRefused)
}

/// Connects to the socket, and verifies the server's user before anything is sent.
fn connect(site: &Site) -> io::Result<UnixStream> {
    let file = site.file();
    let short = ShortPath::new(&file)?;
    let stream = match UnixStream::connect(&short.path) {
        Err(error) if is_nobody(&error) && site.is_usual() => {
            return connect_by_name(site)?.ok_or(error);
        }
        connected => connected?,
    };
    let peer = peer(&stream)?;
    if may_serve(site, peer)? {
        return Ok(stream);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "user {peer} answers at {}, who is neither root nor the user of the data directory: \
             nothing was asked",
            file.display()
        ),
    ))
}

/// `None` if the name is unused, or used by an untrusted user.
fn connect_by_name(site: &Site) -> io::Result<Option<UnixStream>> {
    let Ok(name) = site.name() else {
        return Ok(None);
    };
    let stream = match UnixStream::connect_addr(&name) {
        Err(error) if is_nobody(&error) => return Ok(None),
        connected => connected?,
    };
    let is_server = may_serve(site, peer(&stream)?)?;
    Ok(is_server.then_some(stream))
}

/// User id of the peer.
fn peer(stream: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// Whether a server of this user may own the data directory: the directory's owner, root, who may do anything, or the
/// calling user.
fn may_serve(site: &Site, user: u32) -> io::Result<bool> {
    let owner = owner_of(site.data())?.map(|owner| owner.user);
    let me = rustix::process::geteuid().as_raw();
    Ok([0, me].contains(&user) || owner == Some(user))
}

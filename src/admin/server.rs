//! The server's side of the socket.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::REQUEST_BYTES_MAX;
use super::live::Live;
use super::protocol::{Refusal, Response, execute};
use super::site::{ShortPath, Site};
use crate::command::domains::Domains;
use crate::model::Domain;

/// Concurrent connections; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 32;
/// Concurrent orders: fewer than there are threads that may block on the disk.
const ORDERS_MAX: usize = 4;
/// Deadline for receiving the line of an order, so that idle callers do not hold up others.
const LINE_DEADLINE: Duration = Duration::from_secs(3);
/// Deadline for receiving, executing and answering one order.
const ORDER_DEADLINE: Duration = Duration::from_secs(30);
/// Deadline for writing an answer, so that callers that do not read hold up no others for long.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Deadline for writing an answer once the server stops.
const LAST_ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// Pause after a failed accept (out of files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Called with a domain whose tokens may have ended; must not block.
pub type DomainChanged = Arc<dyn Fn(&Domain) + Send + Sync>;

/// Executes the operator's orders.
#[derive(Clone)]
pub struct Orders {
    /// The stored domains and their tokens.
    pub domains: Domains,
    /// Ends sessions whose tokens have ended.
    pub changed: DomainChanged,
    /// Handles to the running server, for orders that need it.
    pub live: Live,
}

impl Orders {
    /// Executes the order in a line, terminator included. Blocks on the disk.
    pub fn answer(&self, line: &[u8]) -> Response {
        self.execute(line)
            .unwrap_or_else(|refusal| Response::Refused {
                sentence: refusal.to_string(),
            })
    }

    fn execute(&self, line: &[u8]) -> Result<Response, Refusal> {
        if line.last() != Some(&b'\n') {
            return Err(Refusal::Line);
        }
        let request = serde_json::from_slice(line).map_err(|_| Refusal::Unknown)?;
        match self.live.execute(&request)? {
            Some(response) => Ok(response),
            None => execute(&self.domains, &request, &*self.changed),
        }
    }
}

/// The bound socket; its file is removed on drop.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    /// Path of its file, with device and inode; `None` for an abstract name.
    file: Option<(PathBuf, (u64, u64))>,
}

impl AdminSocket {
    /// Binds the socket with mode 0600, in place of one that a dead server may have left. If the data directory does
    /// not support sockets and no other path is configured, an abstract name is used. Must be called with the store's
    /// lock held, inside a Tokio runtime.
    ///
    /// Those of the file system; also if the configured path holds anything but a dead server's socket. The server can
    /// run without the socket: warn.
    pub fn bind(site: &Site) -> io::Result<Self> {
        let file = std::path::absolute(site.file())?;
        match Self::bind_file(site, file) {
            Err(error) if site.is_usual() => {
                let Ok(listener) = bind_name(site) else {
                    return Err(error);
                };
                tracing::info!(
                    %error,
                    "no socket can be made in the data directory: the command line of this \
                     machine finds the server by a name instead"
                );
                let file = None;
                Ok(Self { listener, file })
            }
            bound => bound,
        }
    }

    fn bind_file(site: &Site, file: PathBuf) -> io::Result<Self> {
        // Bound under a temporary name, so that the socket appears atomically, with its mode set.
        let mut new_file = file.clone().into_os_string();
        new_file.push(".new");
        let new_file = PathBuf::from(new_file);
        if !site.is_usual() {
            refuse_others(&file)?;
            refuse_others(&new_file)?;
        }
        match std::fs::remove_file(&new_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let bind = || {
            let listener = UnixListener::bind(ShortPath::new(&new_file)?.path)?;
            std::fs::set_permissions(&new_file, std::fs::Permissions::from_mode(0o600))?;
            let made = std::fs::symlink_metadata(&new_file)?;
            std::fs::rename(&new_file, &file)?;
            Ok((listener, (made.dev(), made.ino())))
        };
        match bind() {
            Ok((listener, identity)) => {
                let file = Some((file, identity));
                Ok(Self { listener, file })
            }
            Err(error) => {
                // Some file systems create a file that is not a socket before they report an error.
                let _ = std::fs::remove_file(&new_file);
                Err(error)
            }
        }
    }
}

/// Outside the data directory, a socket may be anybody's.
fn refuse_others(file: &Path) -> io::Result<()> {
    let kind = match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.file_type(),
    };
    if !kind.is_socket() {
        let what = format!("{} is there, and is no socket", file.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    match std::os::unix::net::UnixStream::connect(ShortPath::new(file)?.path) {
        Ok(_) => {
            let what = format!("another server answers at {}", file.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, what))
        }
        Err(_) => Ok(()),
    }
}

fn bind_name(site: &Site) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::bind_addr(&site.name()?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let Some((file, identity)) = &self.file else {
            return;
        };
        let found = std::fs::symlink_metadata(file);
        // Under a directory replaced meanwhile, the file is another server's.
        if found.is_ok_and(|found| (found.dev(), found.ino()) == *identity) {
            // A socket that cannot be removed is replaced by the next server.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Accepts orders until `stop`. Orders run on `tracker`, and are completed even after `stop`.
pub async fn serve(
    socket: AdminSocket,
    orders: Orders,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let turns = Arc::new(Semaphore::new(ORDERS_MAX));
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (socket.listener.accept().await, permit)
        };
        // Cancel-safe: `accept` and `acquire_owned` lose nothing when dropped.
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (orders, stop) = (orders.clone(), stop.clone());
                let blocking = tracker.clone();
                let turns = Arc::clone(&turns);
                tracker.spawn(async move {
                    let order = order(stream, orders, turns, &blocking, &stop);
                    let order = timeout(ORDER_DEADLINE, order);
                    match order.await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::debug!(%error, "an order on the admin socket broke off");
                        }
                        Err(_) => tracing::warn!("an order on the admin socket took too long"),
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin socket could not accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection: reads one line, answers one line.
async fn order(
    stream: UnixStream,
    orders: Orders,
    turns: Arc<Semaphore>,
    blocking: &TaskTracker,
    stop: &CancellationToken,
) -> io::Result<()> {
    let peer_uid = stream.peer_cred()?.uid();
    if peer_uid != 0 && peer_uid != rustix::process::geteuid().as_raw() {
        tracing::warn!(
            peer_uid,
            "another user was turned away from the admin socket"
        );
        return Ok(());
    }
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut bounded = BufReader::new(reader.take(REQUEST_BYTES_MAX + 1));
    // A half-read order can be dropped: nothing has been done for it.
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        read = timeout(LINE_DEADLINE, bounded.read_until(b'\n', &mut line)) => read??,
    };
    if line.is_empty() {
        return Ok(());
    }
    let turn = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        turn = turns.acquire_owned() => turn.map_err(io::Error::other)?,
    };
    // The store blocks; and an order once started is completed even if the caller goes away.
    let response = blocking
        .spawn_blocking(move || {
            let _turn = turn;
            orders.answer(&line)
        })
        .await
        .map_err(io::Error::other)?;
    let mut answer = serde_json::to_vec(&response)?;
    answer.push(b'\n');
    let mut written = pin!(async {
        writer.write_all(&answer).await?;
        writer.shutdown().await
    });
    // Cancel-safe: the write stays pinned here.
    tokio::select! {
        written = timeout(ANSWER_DEADLINE, &mut written) => return written?,
        () = stop.cancelled() => {}
    }
    timeout(LAST_ANSWER_DEADLINE, written).await?
}

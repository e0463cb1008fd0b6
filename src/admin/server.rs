//! The running server's side of the socket.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
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

use super::live::Live;
use super::protocol::{Request, Response, execute};
use super::{REQUEST_BYTES_MAX, SOCKET_NAME, ShortPath};
use crate::command::domains::Domains;
use crate::model::Domain;

/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 32;
/// Orders that are carried out at a time: fewer than there are threads that may block on the disk.
const ORDERS_MAX: usize = 4;
/// For the line of an order to come, so that idle callers do not hold up others.
const LINE_DEADLINE: Duration = Duration::from_secs(3);
/// For one order to come, be carried out and be answered.
const ORDER_DEADLINE: Duration = Duration::from_secs(30);
/// For an answer to be taken, so that callers that do not read hold up no others for long.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// The same once the server stops.
const LAST_ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// After an accept that failed (out of files, say) before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Told of a domain whose tokens may have ended; must not block.
pub type DomainChanged = Arc<dyn Fn(&Domain) + Send + Sync>;

/// What orders are carried out on.
#[derive(Clone)]
pub struct Context {
    /// The domains.
    pub domains: Domains,
    /// Ends the sessions whose tokens have ended.
    pub changed: DomainChanged,
    /// The server itself.
    pub live: Live,
}

impl Context {
    /// Carries out the order that a line holds, its end included. Blocks on the disk.
    pub fn answer(&self, line: &[u8]) -> Response {
        let request = match parse(line) {
            Ok(request) => request,
            Err(sentence) => return Response::Refused { sentence },
        };
        let changed = |domain: &Domain| (self.changed)(domain);
        let done = self.live.execute(&request);
        done.unwrap_or_else(|| execute(&self.domains, &request, &changed))
    }
}

/// The bound socket; its file goes away with it.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    file: PathBuf,
    /// Device and inode of the file.
    identity: (u64, u64),
}

impl AdminSocket {
    /// Binds `relaybox.sock` in the data directory, mode 0600, in place of what a dead server
    /// may have left. To be called with the store's lock held, inside a Tokio runtime.
    ///
    /// # Errors
    /// Those of the file system. The server can run without the socket: warn.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let data_dir = std::path::absolute(data_dir)?;
        let file = data_dir.join(SOCKET_NAME);
        // Bound under another name, so that the socket appears with its mode, and at once.
        let new_name = format!("{SOCKET_NAME}.new");
        let new_file = data_dir.join(&new_name);
        match std::fs::remove_file(&new_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(ShortPath::new(&data_dir, &new_name)?.path)?;
        std::fs::set_permissions(&new_file, std::fs::Permissions::from_mode(0o600))?;
        let made = std::fs::symlink_metadata(&new_file)?;
        std::fs::rename(&new_file, &file)?;
        Ok(Self {
            listener,
            file,
            identity: (made.dev(), made.ino()),
        })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.file);
        // It is another server's where the directory is another one by now.
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            // One that cannot be removed is replaced by the next server.
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

/// Takes orders until `stop`. Orders run on `tracker`, also to their end after `stop`.
pub async fn serve(
    socket: AdminSocket,
    context: Context,
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
                let context = context.clone();
                let (orders, stop) = (tracker.clone(), stop.clone());
                let turns = Arc::clone(&turns);
                tracker.spawn(async move {
                    let order = order(stream, context, turns, &orders, &stop);
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

/// One connection: reads one line, answers one line.
async fn order(
    stream: UnixStream,
    context: Context,
    turns: Arc<Semaphore>,
    orders: &TaskTracker,
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
    // A half-read order need not survive the end: nothing has been done for it.
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
    // The store blocks; and what has begun is carried out even if the caller goes away.
    let response = orders
        .spawn_blocking(move || {
            let _turn = turn;
            context.answer(&line)
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

fn parse(line: &[u8]) -> Result<Request, String> {
    if line.last() != Some(&b'\n') {
        return Err(format!(
            "an order is one line of at most {REQUEST_BYTES_MAX} bytes"
        ));
    }
    serde_json::from_slice(line).map_err(|_| {
        "this server does not know that order; is the command of its version?".to_owned()
    })
}

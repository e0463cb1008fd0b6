//! A TCP proxy that does to connections what networks do to them: cuts them anywhere, lets single
//! bytes through, stalls, goes silent for good, forgets to tell one side that the other is gone.
//!
//! What it lets through it never changes. What befalls a connection is drawn when it is accepted,
//! from the seed and the connection's number. Nothing outlives the proxy.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::random::Random;

const STALL_MS_MAX: usize = 900;
const DRIP_BYTES_MAX: usize = 200;
/// A receive buffer so small that the sender feels a stall at once.
const NARROW_BYTES: u32 = 8 * 1024;

/// How a connection ends, if the peers do not end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// By its peers.
    Spared,
    /// Both sides are cut, in mid-frame or wherever it happens to be.
    Cut,
    /// Everything is swallowed from then on, and nobody is told.
    HalfOpen,
    /// The client's side is dropped; the server is not told.
    ClientDropped,
    /// The server's side is dropped; the client is not told.
    ServerDropped,
}

/// A proxy on a free port of the loopback.
pub struct Proxy {
    pub address: String,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    target: Mutex<String>,
    random: Random,
    /// Whether connections are left alone; those of before a change are cut.
    calm: watch::Sender<bool>,
    tally: Mutex<BTreeMap<Fate, usize>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The acceptor owns the tasks of all connections.
        self.acceptor.abort();
    }
}

impl Proxy {
    /// A proxy to `target`, calm at first.
    pub async fn to(target: &str, random: Random) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            target: Mutex::new(target.into()),
            random,
            calm: watch::Sender::new(true),
            tally: Mutex::default(),
        });
        let acceptor = tokio::spawn(accept(listener, shared.clone()));
        Self {
            address,
            shared,
            acceptor,
        }
    }

    /// Where later connections go: the server has moved.
    pub fn retarget(&self, target: &str) {
        *self.shared.target.lock().unwrap() = target.into();
    }

    /// Whether connections are left alone from now on. Those that exist are cut.
    pub fn set_calm(&self, calm: bool) {
        self.shared.calm.send_replace(calm);
    }

    /// How often each end has come so far.
    pub fn tally(&self) -> BTreeMap<Fate, usize> {
        self.shared.tally.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let shared = shared.clone();
        connections.spawn(async move {
            // A client whose server is not there is cut, too.
            let _ = serve(client, &shared, number).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, shared: &Shared, number: u64) -> io::Result<()> {
    let mut calm = shared.calm.subscribe();
    let is_calm = *calm.borrow_and_update();
    let mut random = shared.random.fork(number);
    let target: String = shared.target.lock().unwrap().clone();
    let target: SocketAddr = target.parse().expect("an address");
    let socket = TcpSocket::new_v4()?;
    if !is_calm && random.once_in(3) {
        socket.set_recv_buffer_size(NARROW_BYTES)?;
    }
    let mut server = socket.connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let passing = async {
        if is_calm {
            copy_bidirectional(&mut client, &mut server).await?;
            return Ok(());
        }
        suffer(client, server, random, shared).await
    };
    tokio::select! {
        done = passing => done,
        _ = calm.changed() => Ok(()),
    }
}

/// Passes bytes until the peers or fate end it.
async fn suffer(
    mut client: TcpStream,
    mut server: TcpStream,
    mut random: Random,
    shared: &Shared,
) -> io::Result<()> {
    let fate = match random.below(12) {
        0..4 => Fate::Spared,
        4..9 => Fate::Cut,
        9 => Fate::HalfOpen,
        10 => Fate::ClientDropped,
        _ => Fate::ServerDropped,
    };
    let bytes = random.magnitude(6, 17);
    let (up_bytes, down_bytes) = match (fate, random.once_in(3)) {
        (Fate::Spared, _) => (usize::MAX, usize::MAX),
        (_, true) => (bytes, usize::MAX),
        (_, false) => (usize::MAX, bytes),
    };
    let (up_random, down_random) = (random.fork(1), random.fork(2));
    let peers_ended = {
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        tokio::select! {
            ended = pump(client_reads, server_writes, up_bytes, up_random) => ended,
            ended = pump(server_reads, client_writes, down_bytes, down_random) => ended,
        }
    };
    let fate = if peers_ended { Fate::Spared } else { fate };
    *shared.tally.lock().unwrap().entry(fate).or_default() += 1;
    let abruptly = random.once_in(2);
    match fate {
        Fate::Spared => {}
        Fate::Cut => {
            if abruptly {
                // A reset, which also throws away what is still on its way.
                client.set_zero_linger()?;
                server.set_zero_linger()?;
            }
        }
        Fate::HalfOpen => {
            tokio::join!(swallow(&mut client), swallow(&mut server));
        }
        Fate::ClientDropped => {
            drop(client);
            swallow(&mut server).await;
        }
        Fate::ServerDropped => {
            drop(server);
            swallow(&mut client).await;
        }
    }
    Ok(())
}

/// Takes everything and gives nothing, until the peer ends.
async fn swallow(stream: &mut TcpStream) {
    let mut bytes = vec![0; 4096];
    while matches!(stream.read(&mut bytes).await, Ok(n) if n > 0) {}
}

/// Passes up to `left` bytes one way, in all kinds of pieces. Whether a peer ended it.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut left: usize,
    mut random: Random,
) -> bool {
    let mut bytes = vec![0; 16 * 1024];
    let mut until_event = random.magnitude(9, 17);
    let mut drips = 0;
    loop {
        let most = match drips {
            0 => until_event.min(left).min(bytes.len()),
            _ => 1,
        };
        let Ok(n @ 1..) = from.read(&mut bytes[..most]).await else {
            return true;
        };
        if to.write_all(&bytes[..n]).await.is_err() {
            return true;
        }
        left -= n;
        if left == 0 {
            return false;
        }
        if drips > 0 {
            drips -= 1;
            // Each byte is on its way before the next is read.
            tokio::task::yield_now().await;
            continue;
        }
        until_event -= n;
        if until_event == 0 {
            until_event = random.magnitude(9, 17);
            match random.below(3) {
                0 => drips = 1 + random.below(DRIP_BYTES_MAX),
                1 => tokio::time::sleep(random.millis(STALL_MS_MAX)).await,
                _ => {}
            }
        }
    }
}

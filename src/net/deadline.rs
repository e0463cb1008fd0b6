//! The phase of a connection, derived from its bytes and requests, and its deadline.
//!
//! hyper's own timer cannot tell a trickling head from an idle connection; this can. Never closes anything itself.
//! Invariant: before an upgrade there is always a deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::filtered::{Filter, Filtered};
use super::options::NetOptions;
use super::permits::ConnectionPermit;

/// A head of up to this size costs no more than every connection does: hyper's initial read buffer.
const SHORT_HEAD_BYTES: usize = 8 << 10;

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// A request's head is awaited or arriving; `bytes` of it have arrived.
    Head { since: Instant, bytes: usize },
    /// A request is being handled.
    Busy { since: Instant },
    /// A response is being written, or the connection is idle; `is_stuck` while the peer accepts no bytes of a
    /// response.
    Resting { since: Instant, is_stuck: bool },
    /// The socket no longer belongs to HTTP.
    Upgraded,
}

/// The activity of one connection, shared by its stream, requests and driver.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Phase>>);

impl Activity {
    /// A new connection, waiting for its first head.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Head {
            since: Instant::now(),
            bytes: 0,
        })))
    }

    pub(super) fn request_started(&self) {
        *self.0.lock() = Phase::Busy {
            since: Instant::now(),
        };
    }

    pub(super) fn answer_started(&self) {
        *self.0.lock() = Phase::Resting {
            since: Instant::now(),
            is_stuck: false,
        };
    }

    pub(super) fn upgraded(&self) {
        *self.0.lock() = Phase::Upgraded;
    }

    /// The deadline of the current phase.
    pub(super) fn deadline(&self, options: &NetOptions) -> Option<Instant> {
        let (since, longest) = match *self.0.lock() {
            Phase::Head { since, .. } => (since, options.head_timeout),
            Phase::Busy { since }
            | Phase::Resting {
                since,
                is_stuck: true,
            } => (since, options.answer_timeout),
            Phase::Resting { since, .. } => (since, options.idle_timeout),
            Phase::Upgraded => return None,
        };
        Some(since + longest)
    }

    /// Returns whether the bytes belong to a long head that had not ended before them.
    fn bytes_read(&self, count: usize) -> bool {
        let mut phase = self.0.lock();
        match &mut *phase {
            Phase::Resting { .. } => {
                *phase = Phase::Head {
                    since: Instant::now(),
                    bytes: count,
                };
                count > SHORT_HEAD_BYTES
            }
            Phase::Head { bytes, .. } => {
                *bytes += count;
                *bytes > SHORT_HEAD_BYTES
            }
            Phase::Busy { .. } | Phase::Upgraded => false,
        }
    }

    /// A slow reader of a response is not idle as long as it reads.
    fn bytes_written(&self) {
        match &mut *self.0.lock() {
            Phase::Head { since, .. } => *since = Instant::now(),
            Phase::Resting { since, is_stuck } => (*since, *is_stuck) = (Instant::now(), false),
            Phase::Busy { .. } | Phase::Upgraded => {}
        }
    }

    /// Records whether bytes are waiting for the peer to accept some.
    fn bytes_wait(&self, do_wait: bool) {
        if let Phase::Resting { since, is_stuck } = &mut *self.0.lock()
            && *is_stuck != do_wait
        {
            *is_stuck = do_wait;
            if !do_wait {
                *since = Instant::now();
            }
        }
    }
}

/// A stream that reports its bytes and holds its connection's permit, also after an upgrade. Once the permit is
/// evicted, it ends as if the peer had closed it. Once its write side is shut, it lingers.
pub(super) type Observed<S> = Filtered<Box<S>, Observer>;

pub(super) struct Observer {
    activity: Activity,
    permit: ConnectionPermit,
}

impl<S> Observed<S> {
    /// Boxes the stream: TLS streams are large, and every future they pass through would copy them.
    pub(super) fn new(stream: S, activity: Activity, permit: ConnectionPermit) -> Self {
        Self {
            stream: Box::new(stream),
            filter: Observer { activity, permit },
        }
    }
}

impl Filter for Observer {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.permit.standing().poll_evicted(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
        let count = buffer.filled().len() - before;
        if count > 0 && self.activity.bytes_read(count) {
            self.permit.standing().head_is_long();
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(_)) => self.activity.bytes_written(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.bytes_wait(true),
        }
    }

    fn flushed(&mut self, flushed: &Poll<io::Result<()>>) {
        // TLS accepts a record that the peer does not, and buffers it.
        self.activity.bytes_wait(flushed.is_pending());
    }

    fn shut(&mut self) -> io::Result<()> {
        match self.permit.linger() {
            true => Ok(()),
            // The permit was evicted meanwhile.
            false => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

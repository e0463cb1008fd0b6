//! Connections whose write side is shut, and that are read on for a while: closing a socket with unread input resets
//! it, and its peer may lose what it has not read yet, the answer or the close code with it (RFC 9112, 9.6; RFC 6455,
//! 7.1.1).
//!
//! Never waits for a peer in place of a newcomer. Invariants: no more than [`LINGERING_MAX`] linger, the oldest gives
//! way; each keeps its place among all connections until somebody needs it; and costs 10 s and 32 MiB of reading at most.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Most connections that linger at a time.
pub(super) const LINGERING_MAX: usize = 1024;

/// How long one may.
const TIME: Duration = Duration::from_secs(10);

/// How long one may once the server stops.
const STOP_TIME: Duration = Duration::from_secs(1);

/// Most bytes that are read of one: who sends more does not read.
const BYTES_MAX: usize = 32 << 20;

/// Bytes of a read, and reads before other tasks get their turn.
const READ_BYTES: usize = 4096;
const READS_A_POLL_MAX: usize = 16;

/// All that linger, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Lingering(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    place: OwnedSemaphorePermit,
    /// Dropped to send its holder away.
    _keeps: oneshot::Sender<()>,
}

/// The right to linger.
#[derive(Debug)]
pub(super) struct Seat {
    lingering: Arc<Lingering>,
    number: u64,
    /// `None` once it was lost.
    lost: Option<oneshot::Receiver<()>>,
}

impl Lingering {
    /// A seat for a connection with this place among all.
    pub(super) fn enter(lingering: &Arc<Self>, place: OwnedSemaphorePermit) -> Seat {
        let (keeps, lost) = oneshot::channel();
        let mut seats = lingering.seats();
        if seats.taken.len() >= LINGERING_MAX {
            seats.taken.pop_first();
        }
        let number = seats.next;
        seats.next += 1;
        let taken = Taken {
            place,
            _keeps: keeps,
        };
        seats.taken.insert(number, taken);
        Seat {
            lingering: Arc::clone(lingering),
            number,
            lost: Some(lost),
        }
    }

    /// The place of the oldest, which is sent away.
    pub(super) fn take_oldest(&self) -> Option<OwnedSemaphorePermit> {
        let (_, oldest) = self.seats().taken.pop_first()?;
        Some(oldest.place)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Ready once somebody else needs the room.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(lost) = &mut self.lost {
            // It only ever ends by the drop of its other side.
            let _ = ready!(Pin::new(lost).poll(cx));
            self.lost = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lingering.seats().taken.remove(&self.number);
    }
}

/// Shuts the write side and reads until the peer ends, has sent too much, or its time is over.
pub(super) async fn linger<S>(stream: &mut S, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reading = async {
        // A broken stream has nobody to wait for.
        if stream.shutdown().await.is_ok() {
            let mut left = BYTES_MAX;
            poll_fn(|cx| poll_to_end(Pin::new(&mut *stream), &mut left, cx)).await;
        }
    };
    let stopped = async {
        stop.cancelled().await;
        sleep(STOP_TIME).await;
    };
    tokio::select! {
        () = reading => {}
        () = sleep(TIME) => {}
        () = stopped => {}
    }
}

fn poll_to_end(
    mut stream: Pin<&mut impl AsyncRead>,
    left: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // On the stack: who waits here keeps no buffer.
    let mut bytes = [0; READ_BYTES];
    for _ in 0..READS_A_POLL_MAX {
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(stream.as_mut().poll_read(cx, &mut buffer));
        *left = left.saturating_sub(buffer.filled().len());
        if read.is_err() || buffer.filled().is_empty() || *left == 0 {
            return Poll::Ready(());
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, join, repeat, sink};
    use tokio::sync::Semaphore;

    use super::*;

    fn is_sent_away(seat: &mut Seat) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        seat.poll_lost(&mut cx).is_ready()
    }

    #[test]
    fn no_more_than_the_bound_linger_and_the_oldest_give_way() {
        let permits = Arc::new(Semaphore::new(LINGERING_MAX + 2));
        let lingering = Arc::new(Lingering::default());
        let mut seats = Vec::new();
        for _ in 0..LINGERING_MAX + 2 {
            let place = Arc::clone(&permits).try_acquire_owned().unwrap();
            seats.push(Lingering::enter(&lingering, place));
        }
        for (number, seat) in seats.iter_mut().enumerate() {
            assert_eq!(is_sent_away(seat), number < 2, "{number}");
        }
        assert_eq!(permits.available_permits(), 2, "their places are free");

        // Who comes and finds no place gets the oldest one's.
        let place = lingering.take_oldest().unwrap();
        assert!(is_sent_away(&mut seats[2]) && !is_sent_away(&mut seats[3]));
        assert_eq!(permits.available_permits(), 2, "it is handed over");
        drop(place);

        // A seat that is left, or was lost, leaves nothing behind.
        drop(seats);
        assert_eq!(permits.available_permits(), LINGERING_MAX + 2);
        assert!(lingering.take_oldest().is_none());
    }

    #[tokio::test]
    async fn who_never_stops_sending_is_read_so_far_and_no_further() {
        let bytes = BYTES_MAX as u64 + (1 << 20);
        let mut stream = join(repeat(0).take(bytes), sink());
        linger(&mut stream, &CancellationToken::new()).await;
        assert!(stream.reader().limit() > 0, "all was read");
    }
}

//! Connections whose write side is shut, still read for a while. Closing a socket with unread input resets it, and the
//! peer may lose what it has not read yet, including the response or the close code (RFC 9112, 9.6; RFC 6455, 7.1.1).
//!
//! A lingering peer never keeps out a newcomer. Invariants: at most [`LINGERING_MAX`] linger, and the oldest gives way;
//! each keeps its permit until a newcomer needs it; each costs at most 10 s and 32 MiB of reading.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Maximum number of connections that linger at once.
pub(super) const LINGERING_MAX: usize = 1024;

/// Longest time a connection may linger.
const TIME: Duration = Duration::from_secs(10);

/// Longest time after the server's stop.
const STOP_TIME: Duration = Duration::from_secs(1);

/// Most bytes read from one connection: a peer that sends more is not reading.
const BYTES_MAX: usize = 32 << 20;

/// Size of one read, and number of reads before yielding to other tasks.
const READ_BYTES: usize = 4096;
const READS_A_POLL_MAX: usize = 16;

/// Shuts the write side and reads until the peer ends, has sent too much, or its time is up.
pub(super) async fn linger<S>(stream: &mut S, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reading = async {
        // No peer is left to wait for on a broken stream.
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
    // On the stack: a lingering connection keeps no buffer.
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

    use tokio::io::{AsyncReadExt as _, join, repeat, sink};

    use super::*;

    #[tokio::test]
    async fn who_never_stops_sending_is_read_so_far_and_no_further() {
        let bytes = BYTES_MAX as u64 + (1 << 20);
        let mut stream = join(repeat(0).take(bytes), sink());
        linger(&mut stream, &CancellationToken::new()).await;
        assert!(stream.reader().limit() > 0, "all was read");
    }
}

//! Connections whose write side is shut, and that are read on for a while: closing a socket with unread input resets
//! it, and its peer may lose what it has not read yet, the answer or the close code with it (RFC 9112, 9.6; RFC 6455,
//! 7.1.1).
//!
//! Never waits for a peer in place of a newcomer. Invariants: no more than [`LINGERING_MAX`] linger, the oldest gives
//! way; each keeps its permit until a newcomer needs it; and costs 10 s and 32 MiB of reading at most.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
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

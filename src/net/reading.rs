//! A stream whose reads pass through a filter, while its writes do not.
//!
//! Never touches bytes itself: a [`Reader`] transforms those that arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Stands between a stream and its consumer.
pub(super) trait Reader {
    /// As [`AsyncRead::poll_read`], on the bytes that arrive on the stream.
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;
}

#[derive(Debug)]
pub(super) struct Reading<S, R> {
    pub(super) stream: S,
    pub(super) reader: R,
}

impl<S: AsyncRead + Unpin, R: Reader + Unpin> AsyncRead for Reading<S, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, reader } = &mut *self;
        reader.poll_read(stream, cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin, R: Unpin> AsyncWrite for Reading<S, R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Bytes already taken from a stream, and not yet passed on.
#[derive(Debug, Default)]
pub(super) struct Ahead(pub(super) Vec<u8>);

impl Ahead {
    /// Whether there were any; moves as many as fit.
    pub(super) fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let count = self.0.len().min(buffer.remaining());
        buffer.put_slice(&self.0[..count]);
        let had_any = !self.0.is_empty();
        self.0.drain(..count);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        had_any
    }
}

impl Reader for Ahead {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.give(buffer) {
            true => Poll::Ready(Ok(())),
            false => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

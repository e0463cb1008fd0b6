//! A stream whose reads pass through a filter, which sees the outcome of its writes.
//!
//! Never touches bytes itself: a [`Filter`] transforms those that arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Stands between a stream and its consumer.
pub(super) trait Filter {
    /// As [`AsyncRead::poll_read`], on the bytes that arrive on the stream.
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;

    fn wrote(&mut self, _written: &Poll<io::Result<usize>>) {}

    fn flushed(&mut self, _flushed: &Poll<io::Result<()>>) {}

    /// The write side has been shut.
    fn shut(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Filtered<S, F> {
    pub(super) stream: S,
    pub(super) filter: F,
}

impl<S: AsyncRead + Unpin, F: Filter + Unpin> AsyncRead for Filtered<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, filter } = &mut *self;
        filter.poll_read(stream, cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin, F: Filter + Unpin> AsyncWrite for Filtered<S, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.filter.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.filter.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(self.filter.shut())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.filter.wrote(&written);
        written
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

//! An in-memory stream between a session and its client: bounded both ways, so that writes block;
//! can stall, and be cut after any number of bytes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ends and the bytes in flight.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    to_client: Vec<u8>,
    to_client_max: usize,
    to_server: Vec<u8>,
    to_server_max: usize,
    stalled: bool,
    /// Bytes that the server may still write before the stream is cut.
    cut_after: Option<usize>,
    /// No further byte goes in; bytes in flight still arrive.
    cut: bool,
    /// A write of the server is blocked.
    blocked: bool,
    /// Input arrived from the client, or a blocked write resumed.
    life: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    pub(super) fn new(to_client_max: usize, to_server_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            to_client_max,
            to_server_max,
            ..State::default()
        })))
    }

    /// The end that a connection owns.
    pub(super) fn server_end(&self) -> ServerEnd {
        ServerEnd(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }

    /// Reads at most `bytes_max` bytes as the client. `None` once nothing more can arrive.
    pub(super) fn read(&self, bytes_max: usize) -> Option<Vec<u8>> {
        let mut state = self.state();
        if state.stalled && !state.cut {
            return Some(Vec::new());
        }
        let count = bytes_max.min(state.to_client.len());
        let bytes = take(&mut state.to_client, count);
        if count > 0 {
            wake(&mut state.writer);
        }
        (count > 0 || !state.to_client.is_empty() || !state.cut).then_some(bytes)
    }

    /// Writes as the client, removing from `bytes` what finds room.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let mut state = self.state();
        if state.cut {
            bytes.clear();
            return;
        }
        let room = state.to_server_max - state.to_server.len();
        let count = room.min(bytes.len());
        state.to_server.extend_from_slice(&bytes[..count]);
        bytes.drain(..count);
        if count > 0 && !state.stalled {
            wake(&mut state.reader);
        }
    }

    pub(super) fn stall(&self, on: bool) {
        let mut state = self.state();
        state.stalled = on;
        if !on {
            wake(&mut state.reader);
            wake(&mut state.writer);
        }
    }

    /// Cuts the stream: only so many of the bytes in flight still arrive.
    pub(super) fn cut(&self, to_server: usize, to_client: usize) {
        let mut state = self.state();
        state.to_server.truncate(to_server);
        state.to_client.truncate(to_client);
        state.end();
    }

    /// Cuts the stream once the server has written so many more bytes.
    pub(super) fn cut_after(&self, bytes: usize) {
        self.state().cut_after = Some(bytes);
    }

    /// From here on there is room for everything, and nothing stalls.
    pub(super) fn widen(&self) {
        let mut state = self.state();
        state.to_client_max = usize::MAX;
        state.to_server_max = usize::MAX;
        state.cut_after = None;
        drop(state);
        self.stall(false);
    }

    /// Whether the stream was cut, or its server end dropped.
    pub(super) fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// Whether output of the server is stuck.
    pub(super) fn is_blocked(&self) -> bool {
        self.state().blocked
    }

    /// Whether client input is in flight.
    pub(super) fn holds_input(&self) -> bool {
        !self.state().to_server.is_empty()
    }

    /// Whether there was a sign of life since the last call.
    pub(super) fn take_life(&self) -> bool {
        std::mem::take(&mut self.state().life)
    }
}

impl State {
    fn end(&mut self) {
        self.cut = true;
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn take(from: &mut Vec<u8>, count: usize) -> Vec<u8> {
    let rest = from.split_off(count);
    std::mem::replace(from, rest)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The server's end. Dropping it ends the stream; written bytes still arrive.
pub(super) struct ServerEnd(Wire);

impl Drop for ServerEnd {
    fn drop(&mut self) {
        self.0.state().end();
    }
}

impl AsyncRead for ServerEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        let nothing = state.to_server.is_empty() && !state.cut;
        if nothing || state.stalled && !state.cut {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buffer.remaining().min(state.to_server.len());
        let bytes = take(&mut state.to_server, count);
        state.life |= count > 0;
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        if state.cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.to_client_max - state.to_client.len();
        if room == 0 || state.stalled {
            state.blocked = true;
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let left = state.cut_after.unwrap_or(usize::MAX);
        let count = bytes.len().min(room).min(left);
        state.to_client.extend_from_slice(&bytes[..count]);
        state.life |= std::mem::take(&mut state.blocked);
        state.cut_after = state.cut_after.map(|left| left - count);
        if state.cut_after == Some(0) {
            state.end();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if state.stalled && !state.cut {
            state.blocked = true;
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.life |= std::mem::take(&mut state.blocked);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

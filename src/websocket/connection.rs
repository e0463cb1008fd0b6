//! A WebSocket over a stream, driven by polling, so that one small task can wait for it and for other events at once.
//!
//! Never spawns, never interprets a message. Invariants: dropping a pending poll loses nothing; reading continues while
//! writing is blocked; at most one read buffer of input waits behind an event; Pings are answered here, all of them
//! while output flows, only the latest while it is blocked; an idle connection keeps no buffer; no bytes are read for a
//! message without room in the budget.

use std::future::poll_fn;
use std::hash::Hash;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::budget::{MessageBudget, Share};
use super::event::Event;
use super::parser::{Incoming, Parser};
use super::read_buffer::with_read_buffer;
use super::writer;

/// Reads per poll before other tasks get their turn.
const READS_A_POLL_MAX: usize = 4;

/// Most bytes of encoded Pongs waiting for output; beyond this, only the latest Ping is answered, as RFC 6455, 5.5.3
/// permits.
const PONGS_BYTES_MAX: usize = 2 * 1024;

/// Deadline of a close, from the Close frame to the peer's end of the stream: a busy client reads and answers when it
/// gets to it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes discarded meanwhile: two of the largest messages. A peer that sends more is not reading.
const CLOSE_BYTES_MAX: usize = 32 << 20;

/// Deadline of a close once the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Limits of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Most payload bytes of a message, over all its frames. Of a larger one only the start is kept; above
    /// [`DISCARDED_BYTES_MAX`](super::parser::DISCARDED_BYTES_MAX) it is a violation, 1009.
    pub message_bytes_max: usize,
    /// Whether binary messages are accepted; if not, they are a violation, 1003.
    pub binary: bool,
    /// The memory budget shared by the unfinished messages of all connections.
    pub budget: MessageBudget,
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A server-side WebSocket after its upgrade.
pub struct Connection {
    io: Pin<Box<dyn Stream>>,
    parser: Parser,
    share: Share,
    /// Completed messages, and control frames between them; wraps around.
    completed: u32,
    /// Input after the last returned event, and the part of it already parsed.
    input: Vec<u8>,
    input_done: usize,
    /// Frames appended by the owner since the last batch started.
    queue: Vec<u8>,
    /// Encoded Pongs, bounded by `PONGS_BYTES_MAX`.
    pongs: Vec<u8>,
    /// Pings not yet reported by an event.
    pinged: u32,
    /// The batch being written, and how much of it has been.
    batch: Vec<u8>,
    batch_written: usize,
    /// Whether the batch holds queued frames, so that its end is worth an event.
    batch_queued: bool,
    ended: bool,
    heard: bool,
    /// Set while the stream accepts no bytes.
    blocked: bool,
}

impl Connection {
    /// Takes over a stream after its upgrade.
    pub fn new(
        io: impl AsyncRead + AsyncWrite + Send + 'static,
        options: ConnectionOptions,
    ) -> Self {
        Self {
            io: Box::pin(io),
            parser: Parser::new(options.message_bytes_max, options.binary),
            share: Share::new(options.budget, options.message_bytes_max),
            completed: 0,
            input: Vec::new(),
            input_done: 0,
            queue: Vec::new(),
            pongs: Vec::new(),
            pinged: 0,
            batch: Vec::new(),
            batch_written: 0,
            batch_queued: false,
            ended: false,
            heard: false,
            blocked: false,
        }
    }

    /// Owners with equal hashes share a part of the budget; without an owner, only the whole budget bounds it.
    pub fn belongs_to(&mut self, owner: &impl Hash) {
        self.share.belongs_to(owner);
    }

    /// The buffer for encoded frames (see [`writer`]). They leave as one batch, one write and one flush, from the next
    /// poll on; the owner bounds its appends by [`Connection::queued_bytes`].
    pub fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.queue
    }

    /// Bytes that the stream has not accepted yet; besides queued frames, up to 2 KiB of Pongs.
    pub fn queued_bytes(&self) -> usize {
        self.queue.len() + self.batch.len() - self.batch_written
    }

    /// Whether the peer has shown a sign of life since the last call: any input, including a Ping or part of a message,
    /// or new room in a full stream, which only a reading peer makes. (Its Pong may be stuck behind everything it has
    /// yet to read.)
    pub fn take_heard(&mut self) -> bool {
        mem::take(&mut self.heard)
    }

    /// Identifies a partly received message or control frame, if there is one. As long as the number stays the same, so
    /// does the message (or the control frame between two).
    pub fn unfinished(&self) -> Option<u32> {
        self.parser.is_unfinished().then_some(self.completed)
    }

    /// Whether reading is paused because the budget has no room for more of the message.
    pub fn waits_for_room(&self) -> bool {
        self.share.waits()
    }

    /// Advances writing and, if `read`, reading, and returns the next event.
    ///
    /// Cancel-safe: events not yet returned are kept. The task is woken when more progress is possible; a frame queued
    /// after a pending poll needs another poll. With `read` off nothing is read, so back pressure reaches the peer, and
    /// the end of the stream shows only once writing fails.
    pub fn poll_event(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event> {
        if self.ended {
            return Poll::Ready(Event::Ended);
        }
        // Reading may produce Pongs, which are to be written in the same poll.
        for _ in 0..READS_A_POLL_MAX {
            match self.poll_write(cx) {
                Poll::Ready(Ok(true)) => return Poll::Ready(Event::Flushed),
                Poll::Ready(Err(_)) => return self.end(),
                Poll::Ready(Ok(false)) | Poll::Pending => {}
            }
            if !read {
                return Poll::Pending;
            }
            if let Some(event) = self.parse_input() {
                return Poll::Ready(event);
            }
            match ready!(self.poll_read(cx)) {
                Ok(Some(event)) => return Poll::Ready(event),
                Ok(None) => {}
                Err(_) => return self.end(),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends the queued frames and a Close, shuts the write side, and reads on until the peer ends the stream, too, or
    /// has sent 32 MiB, all within 10 s, and within 2 s of `stop`.
    ///
    /// Input is discarded unseen: closing a socket with unread input would reset it, and the peer might lose what it
    /// has not read yet, including the close code (RFC 6455, 7.1.1; RFC 9112, 9.6). Boxed, so that a task that may have
    /// to close one day does not reserve the space for its whole life.
    pub fn close(
        mut self,
        code: u16,
        reason: &str,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        writer::close(&mut self.queue, code, reason);
        self.input = Vec::new();
        self.parser = Parser::new(0, false);
        self.share.give_back();
        Box::pin(async move {
            if self.ended {
                return;
            }
            let stopped = async {
                stop.cancelled().await;
                sleep(STOP_TIMEOUT).await;
            };
            // Whatever the outcome, the connection ends with it.
            tokio::select! {
                _ = self.last_words() => {}
                () = sleep(CLOSE_TIMEOUT) => {}
                () = stopped => {}
            }
        })
    }

    async fn last_words(&mut self) -> io::Result<()> {
        // A peer blocked on writing may have to be read before it reads.
        let (mut ended, mut discarded) = (false, 0);
        poll_fn(|cx| {
            ended = ended || self.poll_discard(cx, &mut discarded)?.is_ready();
            self.poll_write_all(cx)
        })
        .await?;
        poll_fn(|cx| self.io.as_mut().poll_shutdown(cx)).await?;
        poll_fn(|cx| self.poll_discard(cx, &mut discarded)).await
    }

    fn end(&mut self) -> Poll<Event> {
        self.ended = true;
        self.input = Vec::new();
        self.batch = Vec::new();
        self.batch_written = 0;
        self.queue = Vec::new();
        self.pongs = Vec::new();
        Poll::Ready(Event::Ended)
    }

    /// Ready once nothing waits to be written; true if queued frames left since the last such result.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.batch.is_empty() {
            if self.queue.is_empty() && self.pongs.is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.batch_queued |= !self.queue.is_empty();
            self.batch = mem::take(&mut self.pongs);
            if self.batch.is_empty() {
                self.batch = mem::take(&mut self.queue);
            } else {
                self.batch.append(&mut self.queue);
                self.queue = Vec::new();
            }
        }
        while self.batch_written < self.batch.len() {
            let rest = &self.batch[self.batch_written..];
            let written = self.io.as_mut().poll_write(cx, rest);
            match ready!(self.unless_blocked(written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.batch_written += written,
            }
        }
        let flushed = self.io.as_mut().poll_flush(cx);
        ready!(self.unless_blocked(flushed))?;
        self.batch = Vec::new();
        self.batch_written = 0;
        if self.queue.is_empty() && self.pongs.is_empty() {
            return Poll::Ready(Ok(mem::take(&mut self.batch_queued)));
        }
        // Frames queued meanwhile form the next batch, written in the next turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn unless_blocked<T>(&mut self, output: Poll<T>) -> Poll<T> {
        self.heard |= self.blocked && output.is_ready();
        self.blocked = output.is_pending();
        output
    }

    /// Parses the rest of an earlier read, up to the next event.
    fn parse_input(&mut self) -> Option<Event> {
        let input = mem::take(&mut self.input);
        let mut rest = &input[self.input_done..];
        let event = self.parse(&mut rest);
        self.input_done = input.len() - rest.len();
        if self.input_done < input.len() {
            self.input = input;
        } else {
            self.input_done = 0;
        }
        event
    }

    /// Reads once and parses up to the first event; the rest is kept.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Event>>> {
        let (held, most) = (
            self.parser.buffered_bytes(),
            self.parser.buffered_bytes_max(),
        );
        let room = ready!(self.share.poll_reserve(held, most, cx));
        with_read_buffer(|buffer| {
            let bytes = room.min(buffer.len());
            let mut buffer = ReadBuf::new(&mut buffer[..bytes]);
            ready!(self.io.as_mut().poll_read(cx, &mut buffer))?;
            let mut rest = buffer.filled();
            if rest.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.heard = true;
            let event = self.parse(&mut rest);
            self.input.extend_from_slice(rest);
            Poll::Ready(Ok(event))
        })
    }

    fn parse(&mut self, input: &mut &[u8]) -> Option<Event> {
        let event = self.next_event(input);
        if self.parser.buffered_bytes() == 0 {
            self.share.give_back();
        }
        event
    }

    fn next_event(&mut self, input: &mut &[u8]) -> Option<Event> {
        loop {
            let incoming = match self.parser.next(input) {
                Ok(Some(incoming)) => incoming,
                Ok(None) if self.pinged > 0 => {
                    return Some(Event::Pinged(mem::take(&mut self.pinged)));
                }
                Ok(None) => return None,
                Err(violation) => return Some(Event::Violation(violation)),
            };
            if !self.parser.is_message_open() {
                self.completed = self.completed.wrapping_add(1);
            }
            return Some(match incoming {
                Incoming::Ping(payload) => {
                    self.answer(&payload);
                    continue;
                }
                Incoming::Text(text) => Event::Text(text),
                Incoming::Binary(payload) => Event::Binary(payload),
                Incoming::TooLarge { start, bytes } => Event::TooLarge { start, bytes },
                Incoming::Pong(payload) => Event::Pong(payload),
                Incoming::Close { code } => Event::Close { code },
            });
        }
    }

    fn answer(&mut self, ping: &[u8]) {
        if self.pongs.len() + ping.len() > PONGS_BYTES_MAX {
            self.pongs.clear();
        }
        writer::pong(&mut self.pongs, ping);
        self.pinged += 1;
    }

    /// Ready once everything queued is written and flushed.
    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() || !self.batch.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the peer has ended the stream, or `discarded` has reached its bound.
    fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        discarded: &mut usize,
    ) -> Poll<io::Result<()>> {
        with_read_buffer(|buffer| {
            for _ in 0..READS_A_POLL_MAX {
                if *discarded >= CLOSE_BYTES_MAX {
                    return Poll::Ready(Ok(()));
                }
                let mut buffer = ReadBuf::new(buffer);
                ready!(self.io.as_mut().poll_read(cx, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                *discarded += buffer.filled().len();
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

#[cfg(test)]
mod tests;

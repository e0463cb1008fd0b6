//! A WebSocket over a stream, driven by polling, so that one small task can wait for it and for other things at once.
//!
//! Never spawns, never decides what a message means. Invariants: dropping a pending poll loses nothing; reading goes on
//! while writing is blocked; at most one read buffer's worth of input waits behind an event; Pings are answered here,
//! all of them while output flows, the latest ones when it is blocked; a connection with nothing to say or to finish
//! keeps no buffer; nothing is read of a message that the budget has no room for.

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

/// Reads of one poll before other tasks get their turn.
const READS_A_POLL_MAX: usize = 4;

/// Encoded Pongs that wait for output; beyond it only the latest Ping is answered, as RFC 6455, 5.5.3 permits.
const PONGS_BYTES_MAX: usize = 2 * 1024;

/// How long a close may take, from its Close frame to the peer's end of the stream: a client that is at work reads
/// and answers when it comes to it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes that are discarded meanwhile: two of the largest messages. Who sends more does not read.
const CLOSE_BYTES_MAX: usize = 32 << 20;

/// How long it may take once the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection accepts.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Most payload bytes of a message, over all its frames; of a larger one only the start comes, and above
    /// [`DISCARDED_BYTES_MAX`](super::parser::DISCARDED_BYTES_MAX) it is a violation, 1009.
    pub message_bytes_max: usize,
    /// Whether binary messages are accepted; else: violation 1003.
    pub binary: bool,
    /// What the unfinished messages of all connections share.
    pub budget: MessageBudget,
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A WebSocket after its upgrade, server side.
pub struct Connection {
    io: Pin<Box<dyn Stream>>,
    parser: Parser,
    share: Share,
    /// Messages, and control frames between them, that are complete; it wraps around.
    completed: u32,
    /// Input behind the event that was returned last, and how much of it is done.
    input: Vec<u8>,
    input_done: usize,
    /// Frames appended by the owner since the last batch set out.
    queue: Vec<u8>,
    /// Encoded Pongs, bounded by `PONGS_BYTES_MAX`.
    pongs: Vec<u8>,
    /// Pings that no event has told of yet.
    pinged: u32,
    /// The batch on its way, and how much of it is written.
    batch: Vec<u8>,
    batch_written: usize,
    /// Whether the batch holds queued frames, so that its end is worth an event.
    batch_queued: bool,
    ended: bool,
    heard: bool,
    /// The stream has taken nothing for a while.
    blocked: bool,
}

impl Connection {
    /// Takes over a stream on which the upgrade is complete.
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

    /// Owners that hash alike share a part of the budget; without an owner only the whole bounds it.
    pub fn belongs_to(&mut self, owner: &impl Hash) {
        self.share.belongs_to(owner);
    }

    /// Where to append encoded frames (see [`writer`]). They go out as one batch, one write and one flush, from the
    /// next poll on; the owner bounds what it appends by [`Connection::queued_bytes`].
    pub fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.queue
    }

    /// Bytes that the stream has not taken yet; besides what was queued, up to 2 KiB of Pongs on their way.
    pub fn queued_bytes(&self) -> usize {
        self.queue.len() + self.batch.len() - self.batch_written
    }

    /// Whether there was a sign of life since this was asked last: anything that came in, also a Ping or a part of a
    /// message, or room in a stream that was full, which only a peer that takes something makes. (Its Pong may have
    /// to wait behind all that it has yet to take.)
    pub fn take_heard(&mut self) -> bool {
        mem::take(&mut self.heard)
    }

    /// Names what has come in part only, if anything has, by a number that no neighbour of it has: as long as it
    /// stays the same, it is the same message (or control frame between two).
    pub fn unfinished(&self) -> Option<u32> {
        self.parser.is_unfinished().then_some(self.completed)
    }

    /// Whether nothing is read because there is no room for more of the message.
    pub fn waits_for_room(&self) -> bool {
        self.share.waits()
    }

    /// Makes progress with writing and, if `read`, with reading, and returns what happened.
    ///
    /// Cancel-safe: whatever was not returned is kept. The task is woken when there may be more progress; a frame
    /// queued after a pending poll needs another poll. With `read` off nothing is read, so back pressure reaches the
    /// peer, and the end of the stream shows only once writing fails.
    pub fn poll_event(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event> {
        if self.ended {
            return Poll::Ready(Event::Ended);
        }
        // Reading may produce Pongs, which then want to be written in the same poll.
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

    /// Sends what is queued and a Close, shuts the write side, and reads on until the peer ends the stream too or
    /// has sent 32 MiB, all within 10 s, and within 2 s of `stop`.
    ///
    /// Input is discarded meanwhile, unseen: closing a socket with unread input would reset it, and the peer might
    /// lose what it has not read yet, the code with it (RFC 6455, 7.1.1; RFC 9112, 9.6). Boxed, so that a task that
    /// may have to close one day does not carry the room for it all its life.
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
            // However it goes, the connection ends with it.
            tokio::select! {
                _ = self.last_words() => {}
                () = sleep(CLOSE_TIMEOUT) => {}
                () = stopped => {}
            }
        })
    }

    async fn last_words(&mut self) -> io::Result<()> {
        // A peer that waits for room to write may have to be read before it reads.
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

    /// Ready once nothing waits; true if queued frames were among what went out since the last time.
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
        // What was queued meanwhile is the next batch; it goes out in the next turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn unless_blocked<T>(&mut self, output: Poll<T>) -> Poll<T> {
        self.heard |= self.blocked && output.is_ready();
        self.blocked = output.is_pending();
        output
    }

    /// Parses what an earlier read left behind, up to the next event.
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

    /// Reads once and parses up to the first event; what is behind it is kept.
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

    /// Ready once all that is queued is written and flushed.
    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() || !self.batch.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the peer has ended the stream, or `discarded` is all that is read of it.
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

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("queued_bytes", &self.queued_bytes())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

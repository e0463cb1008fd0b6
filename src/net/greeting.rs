//! A connection whose ClientHello is looked at on its way to the TLS library.
//!
//! Holds back no more than a ClientHello, which nobody can do anything with before it is whole. Invariant: but for
//! what [`super::hello`] hides, the library reads what the client has sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hello::{self, Asked};

/// Type, version and length of a record (RFC 8446, 5.1).
const HEADER_BYTES: usize = 5;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// A ClientHello that is larger is passed on unseen.
const HELLO_BYTES_MAX: usize = 32 << 10;

/// The server name that a client has asked for, once it is known.
pub(super) type Name = Arc<OnceLock<String>>;

/// Reads as the stream does, but for a server name that is hidden.
pub(super) struct Greeted<S> {
    stream: S,
    /// Read, and not passed on yet.
    held: Vec<u8>,
    /// So many bytes of `held` may be passed on.
    seen: usize,
    /// Whether there may be a ClientHello to come.
    is_greeting: bool,
    name: Name,
}

impl<S> Greeted<S> {
    pub(super) fn new(stream: S, name: Name) -> Self {
        Self {
            stream,
            held: Vec::new(),
            seen: 0,
            is_greeting: true,
            name,
        }
    }

    /// Looks at what has come, and says how much of it may be passed on.
    fn look(&mut self) {
        while self.is_greeting {
            match next(&mut self.held[self.seen..]) {
                Next::Passed(bytes, name) => {
                    self.seen += bytes;
                    if let Some(name) = name {
                        // After a HelloRetryRequest it is the same.
                        let _ = self.name.set(name);
                    }
                }
                Next::Incomplete => return,
                Next::Other => {
                    self.is_greeting = false;
                    self.seen = self.held.len();
                }
            }
        }
    }
}

enum Next {
    /// So many bytes can be passed on, and the client asks for this name.
    Passed(usize, Option<String>),
    Incomplete,
    /// No ClientHello comes any more.
    Other,
}

/// Looks at the next record, or at those that a ClientHello lies in, and hides in them what has to be hidden.
fn next(records: &mut [u8]) -> Next {
    let Some(&kind) = records.first() else {
        return Next::Incomplete;
    };
    if kind != HANDSHAKE && kind != CHANGE_CIPHER_SPEC {
        return Next::Other;
    }
    let mut message = Vec::new();
    // Where each byte of the message stands.
    let mut places = Vec::new();
    let mut at = 0;
    loop {
        let Some(header) = records.get(at..at + HEADER_BYTES) else {
            return Next::Incomplete;
        };
        let end = at + HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[0] != kind || end > HELLO_BYTES_MAX {
            return Next::Other;
        }
        let Some(content) = records.get(at + HEADER_BYTES..end) else {
            return Next::Incomplete;
        };
        if kind == CHANGE_CIPHER_SPEC {
            return Next::Passed(end, None);
        }
        message.extend_from_slice(content);
        places.extend(at + HEADER_BYTES..end);
        if !message.is_empty() && !hello::is_client_hello(&message) {
            return Next::Other;
        }
        at = end;
        if hello::message_bytes(&message).is_some_and(|bytes| bytes <= message.len()) {
            break;
        }
    }
    let Asked { name, hide } = hello::asked(&message);
    if let Some((place, number)) = hide {
        for (place, byte) in places[place..].iter().zip(number) {
            records[*place] = byte;
        }
    }
    Next::Passed(at, name)
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.seen == 0 && this.is_greeting {
            let mut bytes = [0; 2048];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                // It ends in the midst of it: whoever reads is to see what there is.
                this.is_greeting = false;
                this.seen = this.held.len();
            } else {
                this.held.extend_from_slice(read.filled());
                this.look();
            }
        }
        if this.seen == 0 {
            return Pin::new(&mut this.stream).poll_read(cx, out);
        }
        let passed = this.seen.min(out.remaining());
        out.put_slice(&this.held[..passed]);
        this.held.drain(..passed);
        this.seen -= passed;
        if this.held.is_empty() {
            this.held = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

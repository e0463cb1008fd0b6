//! The first line of a connection's first request, as some WebSocket clients write it.
//!
//! They put a login's parameters into the URL as they are: a space, quotes, brackets, bytes of another charset. What a
//! URL may not hold is percent-encoded here before the line is parsed, so that it is read where it can be, and else
//! refused by name. Only the target of a login changes: what is wrong elsewhere is no HTTP, and refused by hyper. Never
//! looks beyond that line: where a later request begins only HTTP knows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A line that is not complete by then is passed on as it is, to be refused.
const LINE_BYTES_MAX: usize = 32 << 10;

/// A stream whose first line is made readable.
pub(super) struct Readable<S> {
    stream: S,
    line: Line,
}

enum Line {
    /// What has come of it.
    Coming(Vec<u8>),
    /// It is here, with what came behind it; so much of that has been passed on.
    Here(Vec<u8>, usize),
    Passed,
}

impl<S> Readable<S> {
    pub(super) fn new(stream: S) -> Self {
        let line = Line::Coming(Vec::new());
        Self { stream, line }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Readable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, line } = &mut *self;
        loop {
            match line {
                Line::Passed => return Pin::new(stream).poll_read(cx, buffer),
                Line::Here(bytes, passed) => {
                    let rest = &bytes[*passed..];
                    let now = rest.len().min(buffer.remaining());
                    buffer.put_slice(&rest[..now]);
                    *passed += now;
                    if *passed == bytes.len() {
                        *line = Line::Passed;
                    }
                    return Poll::Ready(Ok(()));
                }
                Line::Coming(held) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(&mut *stream).poll_read(cx, buffer))?;
                    let come = &buffer.filled()[before..];
                    let is_end = come.is_empty();
                    let length = come.iter().position(|byte| *byte == b'\n');
                    let is_good = |length| encoded(&come[..length]).is_none();
                    let is_whole = is_end || !may_begin(come) || length.is_some_and(is_good);
                    if held.is_empty() && is_whole {
                        *line = Line::Passed;
                        return Poll::Ready(Ok(()));
                    }
                    let length = length.map(|length| held.len() + length);
                    held.extend_from_slice(come);
                    buffer.set_filled(before);
                    let is_no_line = !may_begin(held) || held.len() > LINE_BYTES_MAX;
                    if length.is_some() || is_end || is_no_line {
                        let mut bytes = std::mem::take(held);
                        if let Some(length) = length
                            && let Some(target) = encoded(&bytes[..length])
                        {
                            bytes.splice(target.at, target.text);
                        }
                        *line = Line::Here(bytes, 0);
                    }
                }
            }
        }
    }
}

/// Whether a request may begin so. What does not is refused without a wait for the rest.
fn may_begin(bytes: &[u8]) -> bool {
    let mut method = bytes.iter().take_while(|byte| **byte != b' ');
    method.all(u8::is_ascii_uppercase)
}

/// What stands in a line's place for its target.
struct Target {
    at: std::ops::Range<usize>,
    text: Vec<u8>,
}

/// The target of a login's line where it holds what it may not; `None`: it is good, or this is no such line.
fn encoded(line: &[u8]) -> Option<Target> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = line.iter().position(|byte| *byte == b' ')? + 1;
    let end = [b" HTTP/1.1", b" HTTP/1.0"]
        .iter()
        .find_map(|version| line.strip_suffix(&version[..]))?
        .len();
    let is_method = line[..start - 1].iter().all(u8::is_ascii_uppercase);
    let target = line.get(start..end).filter(|_| is_method)?;
    let path = target.split(|byte| *byte == b'?').next()?;
    let is_login = path.ends_with(b"/ws") || path.ends_with(b"/ws/");
    if !is_login || target.iter().all(|byte| is_allowed(*byte)) {
        return None;
    }
    let mut text = Vec::with_capacity(3 * target.len());
    for byte in target {
        match is_allowed(*byte) {
            true => text.push(*byte),
            false => text.extend(format!("%{byte:02X}").bytes()),
        }
    }
    let at = start..end;
    Some(Target { at, text })
}

/// What hyper takes in a target, at most.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>{}".contains(&byte)
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Readable<S> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What is read of a stream that these pieces come on, each with the next read.
    async fn read(pieces: &[&[u8]]) -> Vec<u8> {
        let mut mock = tokio::io::duplex(64 << 10);
        let mut readable = Readable::new(&mut mock.1);
        let mut all = Vec::new();
        for piece in pieces {
            mock.0.write_all(piece).await.unwrap();
            // Small, so that what is held is passed on in parts.
            let mut some = [0; 7];
            while let Ok(Ok(count)) = {
                let read = readable.read(&mut some);
                tokio::time::timeout(std::time::Duration::ZERO, read).await
            } {
                all.extend(&some[..count]);
            }
        }
        drop(mock.0);
        readable.read_to_end(&mut all).await.unwrap();
        all
    }

    #[tokio::test]
    async fn what_a_url_may_not_hold_is_encoded_in_the_first_line_alone() {
        let rest = b"\r\nhost: a b\"<>\r\n\r\nGET /x y HTTP/1.1\r\n";
        for (line, expected) in [
            (
                &b"GET /ws?name=A HTTP/1.1"[..],
                &b"GET /ws?name=A HTTP/1.1"[..],
            ),
            (b"GET /ws?name=A B HTTP/1.1", b"GET /ws?name=A%20B HTTP/1.1"),
            (
                b"GET /ws?a= \"{}<>\t\x01 HTTP/1.1",
                b"GET /ws?a=%20%22%7B%7D%3C%3E%09%01 HTTP/1.1",
            ),
            (
                b"GET /ws?name=\xe4\xb8\xad\xff HTTP/1.0",
                b"GET /ws?name=%E4%B8%AD%FF HTTP/1.0",
            ),
            (
                b"GET http://x/chat/ws/?c=a b HTTP/1.1",
                b"GET http://x/chat/ws/?c=a%20b HTTP/1.1",
            ),
            // No login's.
            (b"GET /a b?c HTTP/1.1", b"GET /a b?c HTTP/1.1"),
            (b"GET /healthz\0 HTTP/1.1", b"GET /healthz\0 HTTP/1.1"),
            (
                b"GET /ws?a=|^`%zz'\\ HTTP/1.1",
                b"GET /ws?a=|^`%zz'\\ HTTP/1.1",
            ),
            // No request's line.
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2",
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2",
            ),
            (b"get /a b HTTP/1.1", b"get /a b HTTP/1.1"),
            (b"GET /a b HTTP/2.0", b"GET /a b HTTP/2.0"),
            (b"GET HTTP/1.1", b"GET HTTP/1.1"),
            (b"", b""),
        ] {
            let (whole, expected) = ([line, rest].concat(), [expected, rest].concat());
            assert_eq!(read(&[&whole]).await, expected);
            let bytes: Vec<_> = whole.chunks(1).collect();
            assert_eq!(read(&bytes).await, expected);
        }
    }

    #[tokio::test]
    async fn a_line_that_ends_early_or_never_is_passed_on_as_it_is() {
        assert_eq!(read(&[b"GET /a b"]).await, b"GET /a b");
        assert_eq!(read(&[]).await, b"");
        let begun = async |bytes: &[u8]| {
            let mut mock = tokio::io::duplex(100);
            mock.0.write_all(bytes).await.unwrap();
            let mut readable = Readable::new(&mut mock.1);
            let mut some = [0; 100];
            let read = readable.read(&mut some);
            let read = tokio::time::timeout(std::time::Duration::ZERO, read).await;
            read.ok().map(Result::unwrap)
        };
        for bytes in [
            &b"\0\0\0"[..],
            b"\x81\x85\x01\x02",
            b"\xff",
            b"get /ws",
            b"GEt /ws",
        ] {
            assert_eq!(begun(bytes).await, Some(bytes.len()), "{bytes:?}");
        }
        assert_eq!(begun(b"GE").await, None);
        assert_eq!(begun(b"GET /ws?name=A B").await, None);
        let endless = b"GET /a b ".repeat(LINE_BYTES_MAX / 4);
        let pieces: Vec<_> = endless.chunks(8 << 10).collect();
        assert_eq!(read(&pieces).await, endless);
    }
}

//! Repairs the first line of a request as some WebSocket clients write it.
//!
//! They put a login's parameters into the URL verbatim: a space, quotes, brackets, bytes of another charset. Characters
//! illegal in a URL are percent-encoded here before the line is parsed, so that the login is read if possible, and
//! otherwise refused by name. Only a login's target changes: any other flaw is not HTTP, and hyper refuses it.
//!
//! Proxies send one request after another on a connection. Without a body, the next one begins right after the head.
//! After a body only HTTP knows where, so inspection stops there, as it does after an upgrade.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use tokio::io::{AsyncRead, ReadBuf};

use super::filtered::{Ahead, Filter, Filtered};

/// A line still incomplete at this length is passed on unchanged, to be refused.
const LINE_BYTES_MAX: usize = 32 << 10;

/// Longer than any method in use.
const METHOD_BYTES_MAX: usize = 32;

/// Fields after whose head no further request begins, unless they declare an empty body.
const ENDING_FIELDS: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"upgrade"];

/// The bytes of a target that hyper refuses, besides those that are not ASCII.
const ILLEGAL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'{')
    .add(b'}');

/// Inspected bytes of a field's line: `Content-Length: 0` with its end.
const NAME_BYTES: usize = 20;

/// A stream with repaired request lines.
pub(super) type Readable<S> = Filtered<S, Lines>;

impl<S> Readable<S> {
    pub(super) fn new(stream: S) -> Self {
        let (at, ahead) = (At::Line(Vec::new()), Ahead::default());
        let filter = Lines { at, ahead };
        Self { stream, filter }
    }
}

/// Repairs request lines, and passes on everything else unchanged.
pub(super) struct Lines {
    at: At,
    /// Bytes ready to be passed on.
    ahead: Ahead,
}

/// Part of the stream that the next byte belongs to.
enum At {
    /// The first line of a request, as far as it has arrived.
    Line(Vec<u8>),
    /// A field of its head, or the end of the head, from the start of its line.
    Field(Vec<u8>),
    /// Bytes that are not inspected.
    Rest,
}

impl Filter for Lines {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.ahead.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            if matches!(self.at, At::Rest) || buffer.remaining() == 0 {
                return Pin::new(stream).poll_read(cx, buffer);
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(cx, buffer))?;
            let arrived = &buffer.filled()[before..];
            match arrived {
                [] => self.end(),
                _ => self.take(arrived),
            }
            buffer.set_filled(before);
        }
    }
}

impl Lines {
    fn take(&mut self, mut arrived: &[u8]) {
        while !arrived.is_empty() {
            let end = arrived.iter().position(|byte| *byte == b'\n');
            let (now, later) = arrived.split_at(end.map_or(arrived.len(), |end| end + 1));
            arrived = later;
            match &mut self.at {
                At::Line(line) => {
                    line.extend_from_slice(now);
                    let is_none = !may_begin(line) || line.len() > LINE_BYTES_MAX;
                    if end.is_some() || is_none {
                        let mut line = std::mem::take(line);
                        let is_empty = is_empty(&line);
                        if let Some((at, target)) = line.strip_suffix(b"\n").and_then(encoded) {
                            line.splice(at, target.into_bytes());
                        }
                        self.ahead.0.append(&mut line);
                        self.at = match (is_none, is_empty) {
                            (true, _) => At::Rest,
                            (_, true) => At::Line(Vec::new()),
                            _ => At::Field(Vec::new()),
                        };
                    }
                }
                At::Field(line) => {
                    self.ahead.0.extend_from_slice(now);
                    line.extend(now.iter().take(NAME_BYTES - line.len()));
                    if end.is_some() {
                        self.at = after_line(line);
                    }
                }
                At::Rest => self.ahead.0.extend_from_slice(now),
            }
        }
    }

    /// Handles the end of the stream.
    fn end(&mut self) {
        if let At::Line(line) = &mut self.at {
            self.ahead.0.append(line);
        }
        self.at = At::Rest;
    }
}

/// The part that follows a line of a head with this start.
fn after_line(line: &[u8]) -> At {
    if is_empty(line) {
        return At::Line(Vec::new());
    }
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let end = line.iter().position(|byte| !is_of_name(byte));
    let (name, value) = line.split_at(end.unwrap_or(line.len()));
    let is = |field: &[u8]| name.eq_ignore_ascii_case(field);
    let is_without_body = is(b"content-length") && value == b": 0\r\n";
    match ENDING_FIELDS.into_iter().any(is) && !is_without_body {
        true => At::Rest,
        false => At::Field(Vec::new()),
    }
}

/// Such a line ends a head, and may precede a request (RFC 9112, 2.2).
fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// Whether a request may begin like this. Anything else is refused without waiting for the rest. Only the method is
/// inspected, as this runs on each read.
fn may_begin(bytes: &[u8]) -> bool {
    if bytes == b"\r" || is_empty(bytes) {
        return true;
    }
    let start = &bytes[..bytes.len().min(METHOD_BYTES_MAX + 1)];
    let space = start.iter().position(|byte| *byte == b' ');
    let method = &start[..space.unwrap_or(start.len())];
    method.len() <= METHOD_BYTES_MAX && method.iter().all(u8::is_ascii_uppercase)
}

/// The repaired target of a login's line, and its position; `None` if it needs no repair, or the line is not a login's.
fn encoded(line: &[u8]) -> Option<(Range<usize>, String)> {
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
    match percent_encode(target, ILLEGAL).into() {
        Cow::Owned(text) if is_login => Some((start..end, text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Everything read from a stream on which these pieces arrive, one per read.
    async fn read(pieces: &[&[u8]]) -> Vec<u8> {
        let mut mock = tokio::io::duplex(64 << 10);
        let mut readable = Readable::new(&mut mock.1);
        let mut all = Vec::new();
        for piece in pieces {
            mock.0.write_all(piece).await.unwrap();
            // Small, so that buffered bytes are passed on in parts.
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
    async fn what_a_url_may_not_hold_is_encoded_in_the_line_of_a_login_alone() {
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
            // Not a login.
            (b"GET /a b?c HTTP/1.1", b"GET /a b?c HTTP/1.1"),
            (b"GET /healthz\0 HTTP/1.1", b"GET /healthz\0 HTTP/1.1"),
            (
                b"GET /ws?a=|^`%zz'\\ HTTP/1.1",
                b"GET /ws?a=|^`%zz'\\ HTTP/1.1",
            ),
            // Not a request line.
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
    async fn so_is_every_later_request_as_long_as_its_begin_is_certain() {
        let login = &b"GET /ws?name=A B HTTP/1.1\r\nhost: x\r\n\r\n"[..];
        let encoded = &b"GET /ws?name=A%20B HTTP/1.1\r\nhost: x\r\n\r\n"[..];
        for (first, is_read) in [
            (&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], true),
            (b"GET / HTTP/1.1\n\n", true),
            (b"GET / HTTP/1.1\r\nhost: x\n\r\n", true),
            (
                b"HEAD / HTTP/1.1\r\nuser-agent: content-length: 3\r\n\r\n",
                true,
            ),
            (b"GET /ws?a= HTTP/1.1\r\n\r\n", true),
            (b"\r\n\nGET / HTTP/1.1\r\n\r\n", true),
            (
                b"GET / HTTP/1.1\r\nUpgrade-Insecure-Requests: 1\r\n\r\n",
                true,
            ),
            (b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", true),
            // Nothing is inspected after a possible body, nor within it.
            (b"POST / HTTP/1.1\r\nContent-Length: 00\r\n\r\n", false),
            (
                b"POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
                false,
            ),
            (
                b"POST / HTTP/1.1\r\nhost: x\r\nCONTENT-LENGTH: 9\r\n\r\n",
                false,
            ),
            (
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            (b"POST / HTTP/1.1\ncontent-length : 9\n\n", false),
            (b"GET /ws HTTP/1.1\r\nupgrade: websocket\r\n\r\n", false),
            (b"GET / HTTP/1.1\r\nupgrade : h2c\r\n\r\n", false),
        ] {
            let whole = [first, login, login].concat();
            let expected = match is_read {
                true => [first, encoded, encoded].concat(),
                false => whole.clone(),
            };
            let what = String::from_utf8_lossy(first);
            assert_eq!(read(&[&whole]).await, expected, "{what}");
            assert_eq!(read(&[first, login, login]).await, expected, "{what}");
            let bytes: Vec<_> = whole.chunks(1).collect();
            assert_eq!(read(&bytes).await, expected, "{what}");
        }
        // Frames are passed on without delay.
        let upgrade = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
        let mut mock = tokio::io::duplex(100);
        mock.0
            .write_all(&[&upgrade[..], b"A"].concat())
            .await
            .unwrap();
        let mut readable = Readable::new(&mut mock.1);
        let mut all = vec![0; upgrade.len() + 1];
        readable.read_exact(&mut all).await.unwrap();
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
            &[b'A'; METHOD_BYTES_MAX + 1],
        ] {
            assert_eq!(begun(bytes).await, Some(bytes.len()), "{bytes:?}");
        }
        assert_eq!(begun(b"GE").await, None);
        assert_eq!(begun(&[b'A'; METHOD_BYTES_MAX]).await, None);
        assert_eq!(begun(b"GET /ws?name=A B").await, None);
        let endless = b"GET /a b ".repeat(LINE_BYTES_MAX / 4);
        let pieces: Vec<_> = endless.chunks(8 << 10).collect();
        assert_eq!(read(&pieces).await, endless);
    }
}

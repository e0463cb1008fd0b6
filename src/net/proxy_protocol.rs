//! The header of a trusted proxy that names the client of a connection (PROXY protocol, versions 1 and 2).
//!
//! No setting enables it: neither a TLS handshake nor a request begins like such a header. Never parses beyond the
//! header. Invariant: the bytes after it are read from [`ClientStream`] as if there had been none.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::filtered::{Ahead, Filter, Filtered};

const STARTS: [&[u8]; 2] = [b"PROXY ", V2_START];
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Position of the length field of version 2.
const V2_LENGTH: std::ops::Range<usize> = 14..16;

/// Most bytes that field may announce: addresses take 36, and proxies' additions (names, certificate subjects) some
/// hundreds.
const V2_LENGTH_MAX: usize = 4096;

/// Initial read, enough for most headers.
const READ_BYTES: usize = 256;

/// Initial buffer, enough for most clients' first bytes.
const AHEAD_BYTES: usize = 2048;

const PARSE: ParseConfig = ParseConfig {
    include_tlvs: false,
    allow_v1: true,
    allow_v2: true,
};

/// A trusted proxy's connection with an unusable header.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// The connection broke, or ended before its first bytes were conclusive, as port checks do.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header announces more than its bound.
    #[error("its PROXY protocol header has more than {V2_LENGTH_MAX} bytes")]
    TooLong,
    /// The header breaks the PROXY protocol.
    #[error("its PROXY protocol header is malformed")]
    Malformed,
}

/// A connection, positioned after its header.
pub(super) type ClientStream = Filtered<TcpStream, Bounded>;

/// Returns bytes that were read ahead, with the header or for inspection, and bounds how many follow.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    ahead: Ahead,
    /// Remaining bytes, if bounded.
    left: Option<usize>,
}

impl ClientStream {
    /// A connection of which nothing was read.
    pub(super) fn untouched(stream: TcpStream) -> Self {
        Self {
            filter: Bounded::default(),
            stream,
        }
    }

    /// Bounds further reads to this many bytes; one more is an error. `None`: unbounded.
    pub(super) fn bound(&mut self, bytes: Option<usize>) {
        self.filter.left = bytes;
    }

    /// The first byte, left in place; 0 at the end of the stream.
    pub(super) async fn first(&self) -> io::Result<u8> {
        let mut first = [0];
        match self.filter.ahead.0.first() {
            Some(byte) => first = [*byte],
            None => _ = self.stream.peek(&mut first).await?,
        }
        Ok(first[0])
    }

    /// The first bytes, at least this many unless the stream ends before; they stay in place. Waits for as long as they
    /// take to arrive.
    pub(super) async fn ahead(&mut self, bytes: usize) -> io::Result<&mut [u8]> {
        let ahead = &mut self.filter.ahead.0;
        if ahead.is_empty() {
            ahead.reserve(AHEAD_BYTES);
        }
        while ahead.len() < bytes && self.stream.read_buf(ahead).await? > 0 {}
        Ok(ahead)
    }
}

/// Waits for the first bytes, and returns whether they begin a header, as far as they arrived together. They stay in
/// place.
pub(super) async fn has_header(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; V2_START.len()];
    let count = stream.peek(&mut first).await?;
    let first = &first[..count];
    Ok(STARTS.iter().any(|start| first.starts_with(start)))
}

/// Reads a header, if there is one.
///
/// # Errors
/// [`HeaderError`]. Waits for as long as the first bytes, or the rest of a header, take to arrive.
pub(super) async fn read(mut stream: TcpStream) -> Result<(Header, ClientStream), HeaderError> {
    let mut ahead = Vec::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut ahead).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if let Some(header) = decide(&ahead)? {
            // Kept until it is read, so it is no longer than needed.
            let filter = Bounded {
                ahead: Ahead(ahead[header.length..].to_vec()),
                left: None,
            };
            return Ok((header, ClientStream { filter, stream }));
        }
    }
}

/// A parsed header, or the absence of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Address of the client; `None` for the proxy's own connection.
    pub(super) from: Option<IpAddr>,
    /// 0 without a header.
    length: usize,
}

impl Header {
    /// Whether the proxy sent one.
    pub(super) fn is_there(&self) -> bool {
        self.length > 0
    }
}

/// `None`: more bytes are needed.
fn decide(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let may_begin = |start: &[u8]| {
        bytes
            .iter()
            .zip(start)
            .all(|(byte, of_start)| byte == of_start)
    };
    let Some(start) = STARTS.into_iter().find(|start| may_begin(start)) else {
        let (from, length) = (None, 0);
        return Ok(Some(Header { from, length }));
    };
    if bytes.len() < start.len() {
        return Ok(None);
    }
    if let (V2_START, Some(&[high, low])) = (start, bytes.get(V2_LENGTH))
        && usize::from(u16::from_be_bytes([high, low])) > V2_LENGTH_MAX
    {
        return Err(HeaderError::TooLong);
    }
    match ProxyHeader::parse(bytes, PARSE) {
        Ok((header, length)) => {
            let addresses = header.proxied_address();
            let from = addresses.map(|addresses| addresses.source.ip());
            Ok(Some(Header { from, length }))
        }
        Err(Error::BufferTooShort) => Ok(None),
        Err(_) => Err(HeaderError::Malformed),
    }
}

impl Filter for Bounded {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.ahead.give(buffer) {
            ready!(Pin::new(stream).poll_read(cx, buffer))?;
        }
        let count = buffer.filled().len() - before;
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(count);
            *left = rest.ok_or_else(|| io::Error::other("it is longer than a client needs"))?;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// A version 2 header from its command, family and remainder.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, rest].concat()
    }

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn headers_of_both_versions_are_read_however_they_come() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0x20, 0xfb];
        let v6 = [
            &[0x20, 1, 0xd, 0xb8][..],
            &[0; 11],
            &[7],
            &[0; 16],
            &[1, 2, 3, 4],
        ]
        .concat();
        let with_more = [&v4[..], &[2, 0x0f, 0], &[b'x'; 3840]].concat();
        let table = [
            (
                b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 8443\r\n".to_vec(),
                from("203.0.113.7"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 12345 8443\r\n".to_vec(),
                from("2001:db8::7"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::1 1 1\r\n".to_vec(), None),
            (v2(0x21, 0x11, &v4), from("203.0.113.7")),
            (v2(0x21, 0x21, &v6), from("2001:db8::7")),
            (v2(0x21, 0x11, &with_more), from("203.0.113.7")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ];
        for (header, from) in table {
            let (length, behind) = (header.len(), [&header[..], b"GET / HTTP/1.1"].concat());
            let expected = Header { from, length };
            for bytes in [&header, &behind] {
                assert_eq!(decide(bytes).unwrap().unwrap(), expected, "{header:?}");
            }
            for end in 0..length {
                assert_eq!(decide(&header[..end]).unwrap(), None, "{end}: {header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_left_alone() {
        let table: [&[u8]; 8] = [
            b"POST /messages HTTP/1.1\r\n",
            b"PROPFIND / HTTP/1.1\r\n",
            b"PROXYING / HTTP/1.1\r\n",
            b"GET",
            b"\r\nGET / HTTP/1.1",
            b"\r\n\r\nGET",
            b"\x16\x03\x01",
            b"\0",
        ];
        for bytes in table {
            let nothing = Header {
                from: None,
                length: 0,
            };
            assert_eq!(decide(bytes).unwrap(), Some(nothing), "{bytes:?}");
        }
        for start in [&b"P"[..], b"PROXY", b"\r\n", b"\r\n\r\n"] {
            assert_eq!(decide(start).unwrap(), None, "{start:?}");
        }
    }

    #[test]
    fn a_header_that_says_nothing_or_too_much_is_an_error() {
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        let table = [
            b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 port\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 12345 8443\r\n".to_vec(),
            b"PROXY / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            endless,
            [v2(0x21, 0x11, &[203, 0, 113, 7]), vec![0x16; 12]].concat(),
            v2(0x31, 0x11, &[0; 12]),
        ];
        for bytes in table {
            let error = decide(&bytes).unwrap_err();
            assert!(matches!(error, HeaderError::Malformed), "{bytes:?}");
        }
        let mut long = v2(0x21, 0x11, &[0; 4097]);
        long.truncate(16);
        let error = decide(&long).unwrap_err();
        assert!(matches!(error, HeaderError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_and_none_are_waited_for_without_bound(
            start in 0..3_usize,
            rest in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let start = STARTS.get(start).copied().unwrap_or_default();
            let bytes = [start, &rest].concat();
            if let Ok(Some(header)) = decide(&bytes) {
                prop_assert!(header.length <= bytes.len());
            }
            if bytes.len() >= V2_LENGTH.end + V2_LENGTH_MAX {
                prop_assert!(!matches!(decide(&bytes), Ok(None)));
            }
        }
    }
}

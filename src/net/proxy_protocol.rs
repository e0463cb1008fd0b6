//! What a trusted proxy may say before anything else: whose connection it passes on (PROXY protocol, versions 1 and 2).
//!
//! No setting says whether it does: neither a TLS handshake nor a request begins as such a header does. Never looks
//! beyond the header. Invariant: what stands behind it is read from [`Passed`] as if there had been none.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll, ready};

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::reading::{Ahead, Reader, Reading};

const STARTS: [&[u8]; 2] = [b"PROXY ", V2_START];
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Where version 2 says how many bytes follow.
const V2_LENGTH: std::ops::Range<usize> = 14..16;

/// Most of them: addresses take 36, and what proxies add (names, certificates' subjects) some hundreds.
const V2_LENGTH_MAX: usize = 4096;

/// Room for all that most headers need.
const READ_BYTES: usize = 256;

/// Room for all that most clients say first.
const AHEAD_BYTES: usize = 2048;

const PARSE: ParseConfig = ParseConfig {
    include_tlvs: false,
    allow_v1: true,
    allow_v2: true,
};

/// A connection of a trusted proxy says nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// It broke, or ended before it was clear what it begins with: who looks whether the port is open does that.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header claims to be longer.
    #[error("its PROXY protocol header has more than {V2_LENGTH_MAX} bytes")]
    TooLong,
    /// The header is none.
    #[error("its PROXY protocol header is malformed")]
    Malformed,
}

/// A connection behind its header.
pub(super) type Passed = Reading<TcpStream, Bounded>;

/// Gives what was read together with the header, or to see what comes, and no more than so much.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    ahead: Ahead,
    /// How many more bytes may be read, where that is bounded.
    left: Option<usize>,
}

impl Passed {
    /// One of which nothing was read.
    pub(super) fn untouched(stream: TcpStream) -> Self {
        Self {
            reader: Bounded::default(),
            stream,
        }
    }

    /// From now on no more than so many bytes may be read: one more is an error. `None`: any number.
    pub(super) fn bound(&mut self, bytes: Option<usize>) {
        self.reader.left = bytes;
    }

    /// Its first byte, which stays where it is; 0 where it has ended.
    pub(super) async fn first(&self) -> io::Result<u8> {
        let mut first = [0];
        match self.reader.ahead.first() {
            Some(byte) => first = [byte],
            None => _ = self.stream.peek(&mut first).await?,
        }
        Ok(first[0])
    }

    /// Its first bytes, at least so many unless it ends before; they stay where they are. Takes as long as they need to
    /// come.
    pub(super) async fn ahead(&mut self, bytes: usize) -> io::Result<&mut [u8]> {
        let ahead = self.reader.ahead.bytes();
        if ahead.is_empty() {
            ahead.reserve(AHEAD_BYTES);
        }
        while ahead.len() < bytes && self.stream.read_buf(ahead).await? > 0 {}
        Ok(ahead)
    }
}

/// Waits for the first bytes, and says whether they begin a header, as far as they came together. They stay.
pub(super) async fn begins(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; V2_START.len()];
    let count = stream.peek(&mut first).await?;
    let first = &first[..count];
    Ok(STARTS.iter().any(|start| first.starts_with(start)))
}

/// Reads a header, if there is one.
///
/// # Errors
/// [`HeaderError`]. Takes as long as the first bytes, or the rest of a header, need to come.
pub(super) async fn read(mut stream: TcpStream) -> Result<(Header, Passed), HeaderError> {
    let mut ahead = Vec::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut ahead).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if let Some(header) = decide(&ahead)? {
            // What is kept until it is read is no longer than it is.
            let reader = Bounded {
                ahead: Ahead::of(ahead[header.length..].to_vec()),
                left: None,
            };
            return Ok((header, Passed { reader, stream }));
        }
    }
}

/// What a trusted proxy says of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whose it is; `None`: the proxy's own.
    pub(super) from: Option<IpAddr>,
    /// 0 where nothing is said.
    length: usize,
}

impl Header {
    /// Whether it was sent.
    pub(super) fn is_there(&self) -> bool {
        self.length > 0
    }
}

/// `None`: more bytes have to say it.
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

impl Reader for Bounded {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.ahead.poll_read(stream, cx, buffer))?;
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

    /// Version 2: command, family, and what follows.
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

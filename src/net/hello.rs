//! The server name of a ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), hidden where the TLS library would refuse it.
//!
//! There is one certificate, whatever name a client asks for, but rustls 0.23 aborts the handshake over names such as
//! `localhost:8443`, `[::1]` or `a-` (`InvalidSniPolicy` comes with 0.24). Such an extension is passed to it under a
//! number that it ignores, and the transcript, which both sides sign, gets the original number back. This works only
//! for a ClientHello that is complete in the first record. The library still refuses such names in a ClientHello split
//! over several records, and in the second one after a HelloRetryRequest. Invariant: a hidden extension is restored
//! byte for byte, and nothing else is changed.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

use super::proxy_protocol::ClientStream;

/// Type, version and length of a record (RFC 8446, 5.1).
const RECORD_HEADER_BYTES: usize = 5;
const RECORD_BYTES_MAX: usize = 1 << 14;
const HANDSHAKE: u8 = 22;

const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
/// From the range for private use (RFC 8446, 11).
const HIDDEN: u16 = 0xff5e;
const HOST_NAME: u8 = 0;

/// Type and length of a handshake message.
const HEADER_BYTES: usize = 4;

/// Longest part of a name that is logged.
const NAME_TOLD_BYTES_MAX: usize = 100;

/// Length of the handshake message at the start of these bytes, header included.
fn message_bytes(message: &[u8]) -> Option<usize> {
    let [_, high, middle, low] = message.first_chunk::<HEADER_BYTES>()?;
    Some(u32::from_be_bytes([0, *high, *middle, *low]) as usize + HEADER_BYTES)
}

fn is_client_hello(message: &[u8]) -> bool {
    message.first() == Some(&CLIENT_HELLO)
}

/// The result of reading a ClientHello.
#[derive(Debug, Default)]
pub(super) struct Hello {
    /// The server name, if it is text; for the log.
    pub(super) name: Option<String>,
    pub(super) is_hidden: bool,
}

/// Waits for the first record, and hides the server name in it if the library would refuse it.
pub(super) async fn hide(stream: &mut ClientStream) -> io::Result<Hello> {
    let start = stream.ahead(RECORD_HEADER_BYTES).await?;
    let Some(&[HANDSHAKE, _, _, high, low]) = start.first_chunk() else {
        return Ok(Hello::default());
    };
    let bytes = usize::from(u16::from_be_bytes([high, low]));
    if bytes > RECORD_BYTES_MAX {
        return Ok(Hello::default());
    }
    let record = RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + bytes;
    // The stream may end early.
    let message = stream.ahead(record.end).await?.get_mut(record);
    Ok(message.map(hide_in).unwrap_or_default())
}

fn hide_in(message: &mut [u8]) -> Hello {
    let server_name = extension(message, SERVER_NAME).filter(|_| is_client_hello(message));
    let Some((at, list)) = server_name else {
        return Hello::default();
    };
    let name = only_name(list);
    let text = name.and_then(|name| std::str::from_utf8(name).ok());
    let is_fine =
        text.is_some_and(|text| DnsName::try_from(text).is_ok() || text.parse::<IpAddr>().is_ok());
    // An incomplete message, or one with the replacement number already in it, is left as it is.
    let can_hide =
        message_bytes(message) == Some(message.len()) && extension(message, HIDDEN).is_none();
    let name = name.map(|name| {
        let told = &name[..name.len().min(NAME_TOLD_BYTES_MAX)];
        String::from_utf8_lossy(told).into_owned()
    });
    let is_hidden = !is_fine && can_hide;
    if is_hidden {
        message[at..at + 2].copy_from_slice(&HIDDEN.to_be_bytes());
    }
    Hello { name, is_hidden }
}

/// The only name of a list.
fn only_name(list: &[u8]) -> Option<&[u8]> {
    let mut rest = list;
    let mut list = taken_by_length(&mut rest)?;
    let (kind, after) = list.split_first()?;
    list = after;
    let name = taken_by_length(&mut list)?;
    (*kind == HOST_NAME && list.is_empty() && rest.is_empty()).then_some(name)
}

/// Takes a field with a length prefix of two bytes.
fn taken_by_length<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (taken, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(taken)
}

/// Offset of an extension's number in a ClientHello, and the extension's contents. The end of the message may be
/// missing: PSK binders are signed without themselves (RFC 8446, 4.2.11.2).
fn extension(hello: &[u8], number: u16) -> Option<(usize, &[u8])> {
    // Header, version and random.
    let mut at = HEADER_BYTES + 2 + 32;
    at += 1 + usize::from(*hello.get(at)?);
    let two = |at: usize| {
        let bytes = hello.get(at..at + 2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    at += 2 + usize::from(two(at)?);
    at += 1 + usize::from(*hello.get(at)?);
    // The length of all extensions.
    at += 2;
    loop {
        let (found, length) = (two(at)?, usize::from(two(at + 2)?));
        let end = at + 4 + length;
        if found == number {
            return Some((at, hello.get(at + 4..end)?));
        }
        at = end;
    }
}

/// Handshake messages as the client sent them, if the first one contains a hidden extension.
pub(super) fn restored(messages: &[u8]) -> Cow<'_, [u8]> {
    let mut restored = Cow::Borrowed(messages);
    let end = message_bytes(messages).map_or(0, |bytes| bytes.min(messages.len()));
    let hello = &messages[..end];
    if is_client_hello(hello)
        && let Some((at, _)) = extension(hello, HIDDEN)
    {
        restored.to_mut()[at..at + 2].copy_from_slice(&SERVER_NAME.to_be_bytes());
    }
    restored
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A ClientHello with these extensions.
    fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut all = Vec::new();
        for (number, content) in extensions {
            all.extend(number.to_be_bytes());
            all.extend((content.len() as u16).to_be_bytes());
            all.extend(*content);
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([2, 9, 9, 0, 2, 0x13, 1, 1, 0]);
        body.extend((all.len() as u16).to_be_bytes());
        body.extend(all);
        let mut message = vec![CLIENT_HELLO, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        message
    }

    fn list(names: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for name in names {
            all.push(HOST_NAME);
            all.extend((name.len() as u16).to_be_bytes());
            all.extend(*name);
        }
        let mut list = (all.len() as u16).to_be_bytes().to_vec();
        list.extend(all);
        list
    }

    #[test]
    fn names_that_would_be_refused_are_hidden_and_restored_and_others_left_alone() {
        for (names, is_hidden) in [
            (&["chat.example"][..], false),
            (&["my_host"], false),
            (&["192.0.2.7"], false),
            (&["localhost:8443"], true),
            (&["[::1]"], true),
            (&["a-"], true),
            (&["b\u{fc}cher"], true),
            (&[""], true),
            (&[], true),
            (&["a.example", "b.example"], true),
        ] {
            let bytes: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
            let sent = hello(&[
                (10, &[0, 2, 0, 29]),
                (SERVER_NAME, &list(&bytes)),
                (13, &[1]),
            ]);
            let mut passed = sent.clone();
            let Hello {
                name,
                is_hidden: hidden,
            } = hide_in(&mut passed);
            assert_eq!(hidden, is_hidden, "{names:?}");
            if let [one] = names {
                assert_eq!(name.as_deref(), Some(*one));
            }
            assert_eq!(passed != sent, is_hidden);
            if is_hidden {
                assert!(extension(&passed, SERVER_NAME).is_none());
                // Only the first message contains anything hidden.
                let others = [2, 0, 0, 1, 0];
                let all = |hello: &[u8]| [hello, &others, hello].concat();
                let expected = [&sent[..], &others, &passed].concat();
                assert_eq!(*restored(&all(&passed)), expected);
                // Truncated, as for PSK binders.
                let cut = sent.len() - 1;
                assert_eq!(*restored(&passed[..cut]), sent[..cut]);
            }
        }
    }

    #[test]
    fn nothing_is_hidden_where_it_could_not_be_told_from_what_was_sent() {
        let list = list(&[b"[::1]"]);
        let sent = hello(&[(SERVER_NAME, &list), (13, &[1])]);
        let part = &sent[..sent.len() - 1];
        let more = [&sent[..], &[0]].concat();
        let has_number = hello(&[(SERVER_NAME, &list), (HIDDEN, &[1])]);
        let mut another = sent.clone();
        another[0] = 2;
        for bytes in [part, &more, &has_number, &another, &[]] {
            let mut passed = bytes.to_vec();
            assert!(!hide_in(&mut passed).is_hidden);
            assert_eq!(passed, bytes);
        }
        for cut in 0..sent.len() {
            assert!(!hide_in(&mut sent[..cut].to_vec()).is_hidden);
            assert!(matches!(restored(&sent[..cut]), Cow::Borrowed(_)));
        }
    }
}

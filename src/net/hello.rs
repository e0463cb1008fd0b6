//! The server name of a ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), hidden where the TLS library would refuse it.
//!
//! There is one certificate, whatever name a client asks for; but rustls 0.23 ends the handshake over names such as
//! `localhost:8443`, `[::1]` or `a-` (its `InvalidSniPolicy` comes with 0.24). So such an extension passes it under a
//! number that it ignores, and the transcript, which both sides sign, gets the right number back. Invariant: what was
//! hidden is restored byte for byte, and nothing else is changed.

use std::borrow::Cow;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
/// For private use (RFC 8446, 11).
const HIDDEN: u16 = 0xff5e;
const HOST_NAME: u8 = 0;

/// Type and length of a handshake message.
pub(super) const HEADER_BYTES: usize = 4;

/// Of a longer name no more is told.
const NAME_TOLD_BYTES_MAX: usize = 100;

/// The length of the handshake message at the beginning of these bytes, its header included.
pub(super) fn message_bytes(message: &[u8]) -> Option<usize> {
    let length = message.get(1..HEADER_BYTES)?;
    Some(
        length
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
            + HEADER_BYTES,
    )
}

pub(super) fn is_client_hello(message: &[u8]) -> bool {
    message.first() == Some(&CLIENT_HELLO)
}

/// What a ClientHello asks for.
pub(super) struct Asked {
    /// The server's name, as far as it is text; for the log.
    pub(super) name: Option<String>,
    /// What to write where, that the library does not refuse the name.
    pub(super) hide: Option<(usize, [u8; 2])>,
}

/// Looks for the server name in a whole ClientHello.
pub(super) fn asked(hello: &[u8]) -> Asked {
    let Some((at, list)) = extension(hello, SERVER_NAME) else {
        return Asked {
            name: None,
            hide: None,
        };
    };
    let name = only_name(list);
    let text = name.and_then(|name| std::str::from_utf8(name).ok());
    let is_fine =
        text.is_some_and(|text| DnsName::try_from(text).is_ok() || text.parse::<IpAddr>().is_ok());
    let told = name.map(|name| {
        let told = &name[..name.len().min(NAME_TOLD_BYTES_MAX)];
        String::from_utf8_lossy(told).into_owned()
    });
    Asked {
        name: told,
        hide: (!is_fine).then_some((at, HIDDEN.to_be_bytes())),
    }
}

/// The one name of a list.
fn only_name(list: &[u8]) -> Option<&[u8]> {
    let mut rest = list;
    let mut list = taken_by_length(&mut rest)?;
    let (kind, after) = list.split_first()?;
    list = after;
    let name = taken_by_length(&mut list)?;
    (*kind == HOST_NAME && list.is_empty() && rest.is_empty()).then_some(name)
}

/// Takes what a length of two bytes says.
fn taken_by_length<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (taken, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(taken)
}

/// Where the number of an extension stands in a ClientHello, and what the extension holds. The end of the message may
/// be missing: binders are signed without themselves (RFC 8446, 4.2.11.2).
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

/// Handshake messages as the client sent them.
pub(super) fn restored(messages: &[u8]) -> Cow<'_, [u8]> {
    let mut restored = Cow::Borrowed(messages);
    let mut start = 0;
    while let Some(length) = message_bytes(&messages[start..]) {
        let end = (start + length).min(messages.len());
        let message = &messages[start..end];
        if is_client_hello(message)
            && extension(message, SERVER_NAME).is_none()
            && let Some((at, _)) = extension(message, HIDDEN)
        {
            let at = start + at;
            restored.to_mut()[at..at + 2].copy_from_slice(&SERVER_NAME.to_be_bytes());
        }
        start = end;
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
            let Asked { name, hide } = asked(&sent);
            assert_eq!(hide.is_some(), is_hidden, "{names:?}");
            if let [one] = names {
                assert_eq!(name.as_deref(), Some(*one));
            }
            let mut passed = sent.clone();
            if let Some((at, number)) = hide {
                passed[at..at + 2].copy_from_slice(&number);
                assert!(asked(&passed).hide.is_none() && asked(&passed).name.is_none());
            }
            // As it comes after a HelloRetryRequest, and without its end.
            let retry = [2, 0, 0, 1, 0];
            assert_eq!(
                *restored(&[&retry, &passed[..], &retry].concat()),
                *[&retry, &sent[..], &retry].concat()
            );
            let cut = sent.len() - 1;
            assert_eq!(*restored(&passed[..cut]), sent[..cut]);
        }
    }

    #[test]
    fn a_number_that_was_hidden_by_nobody_stays() {
        let list = list(&[b"chat.example"]);
        let sent = hello(&[(HIDDEN, &[1]), (SERVER_NAME, &list)]);
        assert!(matches!(restored(&sent), Cow::Borrowed(_)));
        for cut in 0..sent.len() {
            assert_eq!(asked(&sent[..cut]).name, None);
            assert!(matches!(restored(&sent[..cut.min(50)]), Cow::Borrowed(_)));
        }
    }
}

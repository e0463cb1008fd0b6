//! The keys of the index: length-prefixed names, then a big-endian number.
//!
//! The length ends a name unambiguously, so names that share a prefix or hold any character never
//! mix, and all keys of a mailbox are adjacent and in id order.

use crate::model::{Domain, Mailbox, UserId};

const NUMBER_BYTES: usize = 8;

fn push(key: &mut Vec<u8>, name: &str) {
    // No name of the model is longer than 253 bytes.
    key.push(name.len() as u8);
    key.extend_from_slice(name.as_bytes());
}

/// The prefix of a mailbox's keys.
pub(super) fn prefix(mailbox: &Mailbox) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    push(&mut key, mailbox.domain.as_str());
    push(&mut key, mailbox.user.as_str());
    key
}

/// The prefix of a domain's keys.
pub(super) fn domain_prefix(domain: &Domain) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    push(&mut key, domain.as_str());
    key
}

/// The prefix of one sender's keys in a mailbox.
pub(super) fn with_sender(prefix: &[u8], sender: &[u8]) -> Vec<u8> {
    [prefix, &[sender.len() as u8], sender].concat()
}

/// Domain, sender, and the sender's own id of the send.
pub(super) fn send(domain: &Domain, from_id: &UserId, client_msg_id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    push(&mut key, domain.as_str());
    push(&mut key, from_id.as_str());
    key.extend_from_slice(client_msg_id.as_bytes());
    key
}

/// The key of the chunk that begins with this id.
pub(super) fn with_id(prefix: &[u8], id: u64) -> Vec<u8> {
    [prefix, &id.to_be_bytes()].concat()
}

/// Prefix and first id.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], u64)> {
    let at = key.len().checked_sub(NUMBER_BYTES)?;
    let (prefix, id) = key.split_at(at);
    Some((prefix, u64::from_be_bytes(id.try_into().ok()?)))
}

/// The mailbox's prefix of a key.
pub(super) fn of_mailbox(key: &[u8]) -> Option<&[u8]> {
    let domain_bytes = 1 + usize::from(*key.first()?);
    let user_bytes = 1 + usize::from(*key.get(domain_bytes)?);
    key.get(..domain_bytes + user_bytes)
}

/// The domain's prefix of a key.
pub(super) fn of_domain(key: &[u8]) -> Option<&[u8]> {
    key.get(..1 + usize::from(*key.first()?))
}

/// The mailbox that a key begins with.
pub(super) fn mailbox(prefix: &[u8]) -> Option<Mailbox> {
    let (domain, rest) = name(prefix)?;
    let (user, _) = name(rest)?;
    Some(Mailbox {
        domain: Domain::parse(domain).ok()?,
        user: UserId::parse(user).ok()?,
    })
}

/// The domain that a key begins with.
pub(super) fn domain(key: &[u8]) -> Option<Domain> {
    Domain::parse(name(key)?.0).ok()
}

fn name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_of_similar_names_never_mix() {
        let names = [
            "u", "u1", "u12", "u/1", "u:1", "u%31", "用户", "用", "🙂", "🙂u", "1u",
        ];
        let mut prefixes = Vec::new();
        for domain in names {
            for user in names {
                let mailbox = Mailbox {
                    domain: Domain::parse(domain).unwrap(),
                    user: UserId::parse(user).unwrap(),
                };
                let prefix = prefix(&mailbox);
                assert_eq!(super::mailbox(&prefix).unwrap(), mailbox);
                let key = with_id(&with_sender(&prefix, user.as_bytes()), 7);
                assert_eq!(of_mailbox(&key).unwrap(), prefix);
                assert_eq!(of_domain(&key).unwrap(), domain_prefix(&mailbox.domain));
                assert_eq!(of_mailbox(&prefix[..prefix.len() - 1]), None);
                prefixes.push(prefix);
            }
        }
        for (i, one) in prefixes.iter().enumerate() {
            for (j, other) in prefixes.iter().enumerate() {
                assert_eq!(i == j, one.starts_with(other));
                let key = with_id(other, u64::MAX);
                let inside = with_id(one, 0) <= key && key <= with_id(one, u64::MAX);
                assert_eq!(i == j, inside);
            }
        }
    }

    #[test]
    fn golden_keys() {
        let mailbox = Mailbox {
            domain: Domain::parse("de").unwrap(),
            user: UserId::parse("é").unwrap(),
        };
        let from = UserId::parse("a").unwrap();
        let key = with_id(&with_sender(&prefix(&mailbox), b"a"), 258);
        let golden = b"\x02de\x02\xc3\xa9\x01a\0\0\0\0\0\0\x01\x02";
        assert_eq!(key, golden);
        assert_eq!(split(&key).unwrap(), (&golden[..8], 258));
        assert_eq!(send(&mailbox.domain, &from, "c-1"), b"\x02de\x01ac-1");
    }
}

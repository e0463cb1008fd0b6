//! The manifest (`db.state`): how far the index is.
//!
//! Written after the index is durable, so the index holds at least what it says. If it is missing
//! or unreadable, nothing in the index is relied upon.

use std::collections::BTreeMap;

use bincode::config::{Configuration, standard};
use bincode::{Decode, Encode};

use super::error::IndexError;
use crate::store::disk::FileIdentity;
use crate::store::journal::Position;

/// The last digit is the format of the index: an index of another format is rebuilt.
const MAGIC: [u8; 8] = *b"rbxSTAT3";
const CODING: Configuration = standard();

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Manifest {
    /// The index holds all of the journal before it.
    pub(crate) position: Position,
    pub(crate) last_id: u64,
    /// Messages up to that id.
    pub(crate) messages: u64,
    /// Shared contents, at least.
    pub(crate) contents: u64,
    /// Lower bounds.
    pub(crate) small: SmallCounts,
    /// Durable bytes of the blob file.
    pub(crate) blob_bytes: u64,
    /// The number of the index's directory: see [`super::location`].
    pub(crate) number: u64,
    /// After a clean close: the fingerprint of the index's files.
    pub(crate) clean: Option<u64>,
}

/// Sizes of the small trees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SmallCounts {
    pub(crate) cursors: u64,
    /// Domains with a record or a low watermark.
    pub(crate) domains: u64,
    /// Mailboxes with an erasure.
    pub(crate) erased: u64,
    /// By day.
    pub(crate) sends: BTreeMap<u64, u64>,
}

impl SmallCounts {
    /// Refuses trees that hold less than `expected`.
    pub(crate) fn check(&self, expected: &Self) -> Result<(), IndexError> {
        let short_of = |(day, count)| self.sends.get(day).is_none_or(|found| found < count);
        let is_short = self.cursors < expected.cursors
            || self.domains < expected.domains
            || self.erased < expected.erased
            || expected.sends.iter().any(short_of);
        match is_short {
            true => Err("cursors, sends, domains or erasures are missing".into()),
            false => Ok(()),
        }
    }
}

impl Manifest {
    pub(crate) const FILE: &'static str = "db.state";

    pub(crate) fn empty(number: u64) -> Self {
        Self {
            position: Position::START,
            number,
            ..Self::default()
        }
    }

    /// Magic, CRC32C of the rest, bincode.
    pub(crate) fn encode(&self, identity: FileIdentity) -> Vec<u8> {
        const INFALLIBLE: &str = "a vector takes all bytes and the types have no failing encoder";
        let mut body = bincode::encode_to_vec(self, CODING).expect(INFALLIBLE);
        if identity != FileIdentity::Unknown {
            body.extend(bincode::encode_to_vec(identity, CODING).expect(INFALLIBLE));
        }
        let crc = crc32c::crc32c(&body).to_le_bytes();
        [MAGIC.as_slice(), &crc, &body].concat()
    }

    /// `None` if the bytes are not a valid manifest. Trailing zeros are padding.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, FileIdentity)> {
        let (crc, body) = bytes.strip_prefix(&MAGIC)?.split_first_chunk::<4>()?;
        let (state, used) = bincode::decode_from_slice(body, CODING).ok()?;
        // Earlier versions wrote no identity.
        let (identity, more) = match body.get(used) {
            None | Some(0) => (FileIdentity::Unknown, 0),
            Some(_) => bincode::decode_from_slice(&body[used..], CODING).ok()?,
        };
        let (body, padding) = body.split_at(used + more);
        let right = crc32c::crc32c(body).to_le_bytes() == *crc;
        (right && padding.iter().all(|byte| *byte == 0)).then_some((state, identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let state = Manifest {
            position: Position {
                segment: 3,
                offset: 64,
                sequence: 9,
            },
            last_id: 5,
            messages: 4,
            contents: 10,
            small: SmallCounts {
                cursors: 2,
                domains: 1,
                erased: 3,
                sends: BTreeMap::from([(20_000, 7)]),
            },
            blob_bytes: 11,
            number: 8,
            clean: Some(6),
        };
        let body = [
            3, 64, 9, 5, 4, 10, 2, 1, 3, 1, 251, 0x20, 0x4e, 7, 11, 8, 1, 6,
        ];
        let crc = crc32c::crc32c(&body).to_le_bytes();
        let golden = [b"rbxSTAT3".as_slice(), &crc, &body].concat();
        let unknown = FileIdentity::Unknown;
        assert_eq!(state.encode(unknown), golden);
        assert_eq!(Manifest::decode(&golden), Some((state.clone(), unknown)));
        let inode = FileIdentity::Inode {
            file_system: 5,
            inode: 12,
            changed_ns: 0x1234,
        };
        let noted = [
            (FileIdentity::Born(0x1234), &[1, 251, 0x34, 0x12][..]),
            (inode, &[2, 5, 12, 251, 0x34, 0x12]),
        ];
        let noted = noted.map(|(identity, note)| {
            let body = [body.as_slice(), note].concat();
            let crc = crc32c::crc32c(&body).to_le_bytes();
            let bytes = [b"rbxSTAT3".as_slice(), &crc, &body].concat();
            assert_eq!(state.encode(identity), bytes);
            assert_eq!(Manifest::decode(&bytes), Some((state.clone(), identity)));
            bytes
        });
        for golden in noted.into_iter().chain([golden]) {
            for at in 0..golden.len() {
                let mut bad = golden.clone();
                bad[at] ^= 1;
                assert_eq!(Manifest::decode(&bad), None, "byte {at}");
                assert_eq!(Manifest::decode(&golden[..at]), None, "cut at {at}");
            }
            let behind = |more: &[u8]| Manifest::decode(&[golden.as_slice(), more].concat());
            assert_eq!(behind(&[0; 5000]), Manifest::decode(&golden));
            for more in [b"\0\0x".as_slice(), b"x", &[1], &[1, 7], &[2, 5, 12, 7]] {
                assert_eq!(behind(more), None);
            }
        }
    }
}

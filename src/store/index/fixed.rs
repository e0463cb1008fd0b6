//! Values of fixed size, little endian: those of the small trees, and the heads of chunks.

use bincode::config::{Configuration, Fixint, LittleEndian, standard};
use bincode::{Decode, Encode};

const CODING: Configuration<LittleEndian, Fixint> = standard().with_fixed_int_encoding();

pub(super) fn encode(value: impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, CODING)
        .expect("a vector takes all bytes and the types have no failing encoder")
}

/// Takes a value from the front.
pub(super) fn take<T: Decode<()>>(bytes: &mut &[u8]) -> Option<T> {
    let (value, used) = bincode::decode_from_slice(bytes, CODING).ok()?;
    *bytes = &bytes[used..];
    Some(value)
}

/// Reads a value that takes all of `bytes`.
pub(super) fn decode<T: Decode<()>>(mut bytes: &[u8]) -> Option<T> {
    let value = take(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

//! Secrets as bytes: generation, and comparison in constant time.
//!
//! A project token in clear exists only in the hands of its requester; everything stored is its SHA-256.

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::ProjectToken;

/// Prefix of every generated project token, so that secret scanners can find one.
const PREFIX: &str = "rb_";

/// 32 random bytes.
pub fn random_key() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system's random number generator answers");
    bytes
}

/// A new project token: `rb_` and 256 random bits in base64url.
pub fn project_token() -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_key()))
}

/// A project token without expiry, as it is stored.
pub fn stored(token: &str) -> ProjectToken {
    ProjectToken {
        sha256: sha256(token.as_bytes()),
        expires_at_ms: None,
    }
}

/// SHA-256 of a token or key.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Whether two hashes are equal, in a time independent of the position of a difference.
pub(super) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_tokens_have_their_prefix_and_never_repeat() {
        let (a, b) = (project_token(), project_token());
        assert_ne!(a, b);
        let bytes = a.strip_prefix(PREFIX).map(|t| URL_SAFE_NO_PAD.decode(t));
        assert!(matches!(bytes, Some(Ok(bytes)) if bytes.len() == 32));
    }

    #[test]
    fn sha256_is_sha256() {
        let hex: String = sha256(b"abc").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}

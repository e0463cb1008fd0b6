//! User tokens as text: JWT (RFC 7519) signed with HS256 (RFC 7518, 3.2), and nothing else.
//!
//! Holds no keys and no clock: verifies a token against a given key. No other algorithm, `none` included, is ever
//! considered.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// The claims of a user token (PROTOCOL.md section 6).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) dom: String,
    /// Expiry; the token is refused from then on.
    pub(super) exp: NumericDate,
    /// Time of issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<NumericDate>,
    /// Start of validity; the token is refused before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<NumericDate>,
    /// Overrides the login's `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Capabilities; unknown ones are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) caps: Vec<String>,
}

/// RFC 7519 section 2: seconds since the Unix epoch, possibly with a fraction.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NumericDate {
    Whole(u64),
    // Also parses values beyond u64; the cast in `ms` saturates.
    Fraction(f64),
}

impl NumericDate {
    /// Milliseconds since the Unix epoch; earlier times count as the epoch.
    pub(super) fn ms(self) -> u64 {
        match self {
            Self::Whole(seconds) => seconds.saturating_mul(1000),
            Self::Fraction(seconds) => (seconds * 1000.0) as u64,
        }
    }
}

/// The signed token for these claims; `None` only if they cannot be written as JSON.
pub(super) fn sign(claims: &Claims, secret: &[u8; 32]) -> Option<String> {
    let header = Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).ok()
}

/// The claims of a token before verification: good only for finding the key to verify it with.
pub(super) fn unverified(token: &str) -> Option<Claims> {
    jsonwebtoken::dangerous::insecure_decode_claims(token).ok()
}

/// The claims of a token signed with this key. Times are not checked here.
pub(super) fn verify(token: &str, secret: &[u8; 32]) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The caller checks the times against the server's own clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret);
    let data = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?;
    // RFC 7515, 4.1.11: a critical header that is not understood makes the token invalid.
    data.header.crit.is_none().then_some(data.claims)
}

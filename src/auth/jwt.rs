//! User tokens as text: JWT (RFC 7519) signed with HS256 (RFC 7518, 3.2), and nothing else.
//!
//! Knows neither domains' keys nor the time: it is given a key and answers what a
//! token of that key says. No other algorithm, `none` included, is ever looked at.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// What a user token says (PROTOCOL.md section 6).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The user's id.
    pub(super) sub: String,
    /// The domain.
    pub(super) dom: String,
    /// Seconds since the Unix epoch from which it is refused.
    pub(super) exp: NumericDate,
    /// Seconds since the Unix epoch at which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<NumericDate>,
    /// Seconds since the Unix epoch before which it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<NumericDate>,
    /// Overrides the login's `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Capabilities; unknown ones mean nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) caps: Vec<String>,
}

/// RFC 7519 section 2: seconds since the Unix epoch, possibly with a fraction.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NumericDate {
    Whole(u64),
    // Also takes what is beyond u64; the cast in `ms` saturates.
    Fraction(f64),
}

impl NumericDate {
    /// Milliseconds since the Unix epoch; before it counts as the epoch.
    pub(super) fn ms(self) -> u64 {
        match self {
            Self::Whole(seconds) => seconds.saturating_mul(1000),
            Self::Fraction(seconds) => (seconds * 1000.0) as u64,
        }
    }
}

/// The token for these claims; `None` only where the claims cannot be written as JSON.
pub(super) fn sign(claims: &Claims, secret: &[u8; 32]) -> Option<String> {
    let header = Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).ok()
}

/// What the token says of itself, believed by nobody yet: only to find the key to check it with.
pub(super) fn unverified(token: &str) -> Option<Claims> {
    jsonwebtoken::dangerous::insecure_decode_claims(token).ok()
}

/// What the token says, if this key signed it. Times are not looked at here.
pub(super) fn verify(token: &str, secret: &[u8; 32]) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The times are checked against the server's own clock by the caller.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret);
    let data = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?;
    // RFC 7515, 4.1.11: what is critical and not understood makes the token invalid.
    data.header.crit.is_none().then_some(data.claims)
}

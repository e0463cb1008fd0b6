//! What is valid, and yet not what an operator wants.

use std::net::SocketAddr;

use super::limits::DECLARED_TOKEN_BYTES;
use super::values::Values;
use super::{Config, DeclaredToken};

/// One sentence each; none holds a token.
pub(super) fn of(config: &Config, values: &Values<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.addresses().any(is_reached_by_others) {
        let origin = &values.raw("token").origin;
        let short = |token: &&DeclaredToken| token.token().len() < DECLARED_TOKEN_BYTES;
        warnings.extend(config.token.iter().filter(short).map(|token| {
            format!(
                "setting token ({origin}): the token of the domain {} has less than {DECLARED_TOKEN_BYTES} bytes, so that it may be guessed: `openssl rand -hex 16` makes a better one",
                token.domain
            )
        }));
    }
    warnings
}

fn is_reached_by_others(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

//! Checks between settings: conflicts, which are errors, and risks, which are warnings.

use std::net::{IpAddr, SocketAddr};

use super::declared_token::DeclaredToken;
use super::error::ConfigError;
use super::limits::DECLARED_TOKEN_BYTES;
use super::raw::Raws;
use super::settings::Config;

/// Whether a listener on `listen` is reached at `ip` of the same machine. `[::]` covers both
/// families.
pub fn is_listened_on(listen: IpAddr, ip: IpAddr) -> bool {
    let (listen, ip) = (listen.to_canonical(), ip.to_canonical());
    listen == ip || listen.is_unspecified() && (listen.is_ipv6() || ip.is_ipv4())
}

/// Whether only this machine can reach the address.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let same = is_listened_on(a, b) || is_listened_on(b, a);
    same && one.port() == other.port() && one.port() != 0
}

pub(super) fn check(config: &Config, raws: &Raws) -> Result<(), ConfigError> {
    if config.listen.or(config.plain).is_none() {
        let expected = "an address, as the setting plain is off, too";
        return Err(raws["listen"].invalid(expected));
    }
    let addresses = [
        ("listen", config.listen),
        ("plain", config.plain),
        ("metrics_listen", config.metrics_listen),
    ];
    for (at, (setting, address)) in addresses.iter().enumerate() {
        let earlier = addresses.iter().take(at);
        let taken = |(_, other): &&(&str, Option<SocketAddr>)| {
            address
                .zip(*other)
                .is_some_and(|(one, other)| overlap(one, other))
        };
        if let Some((other, _)) = earlier.into_iter().find(taken) {
            let expected = format!("another address than that of the setting {other}");
            return Err(raws[setting].invalid(expected));
        }
    }
    let tail_bytes_min = config.content_bytes_max.saturating_mul(4);
    if config.tail_bytes_max < tail_bytes_min {
        let expected = format!("at least 4 times content_bytes_max ({tail_bytes_min} bytes)");
        return Err(raws["tail_bytes_max"].invalid(expected));
    }
    Ok(())
}

/// Warnings about guessable tokens; none contains a token.
pub(super) fn short_tokens(config: &Config, raws: &Raws) -> Vec<String> {
    if config.addresses().all(is_loopback) {
        return Vec::new();
    }
    let source = &raws["token"].source;
    let is_short = |token: &&DeclaredToken| token.token().len() < DECLARED_TOKEN_BYTES;
    let short = config.token.iter().filter(is_short).map(|token| {
        format!(
            "setting token ({source}): the token of the domain {} has less than {DECLARED_TOKEN_BYTES} bytes, so that it may be guessed: `openssl rand -hex 16` makes a better one",
            token.domain
        )
    });
    short.collect()
}

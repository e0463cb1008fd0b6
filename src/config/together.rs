//! What has to hold between settings, so that a server can run with them.

use std::net::{IpAddr, SocketAddr};

use super::values::Values;
use super::{Config, ConfigError};

/// Whether who listens on `listen` is reached at `ip` of the same machine. `[::]` is every address of both families.
pub fn is_listened_on(listen: IpAddr, ip: IpAddr) -> bool {
    let (listen, ip) = (listen.to_canonical(), ip.to_canonical());
    listen == ip || listen.is_unspecified() && (listen.is_ipv6() || ip.is_ipv4())
}

/// Whether only one of them can be listened on.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let same = is_listened_on(a, b) || is_listened_on(b, a);
    same && one.port() == other.port() && one.port() != 0
}

pub(super) fn check(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    if config.listen.or(config.plain).is_none() {
        let expected = "an address, as the setting plain is off, too".to_owned();
        return Err(values.invalid("listen", expected));
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
            return Err(values.invalid(setting, expected));
        }
    }
    let tail_bytes_min = config.content_bytes_max.saturating_mul(4);
    if config.tail_bytes_max < tail_bytes_min {
        let expected = format!("at least 4 times content_bytes_max ({tail_bytes_min} bytes)");
        return Err(values.invalid("tail_bytes_max", expected));
    }
    Ok(())
}

//! One setting's text → its value. Each function answers, on failure, what was expected.
//!
//! Never repeats the text that it was given: it may hold a token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::time::Duration;

use ipnet::IpNet;

use super::limits::{self, Bound};
use super::{DeclaredToken, LogFormat};
use crate::model::{DiskFloor, Domain, MessageType, Rate, StrangersMax};
use crate::protocol::login::TOKEN_BYTES_MAX;

/// What would have been right, as the end of the sentence "expected …".
pub(super) type Parsed<T> = Result<T, String>;

fn address(text: &str) -> Parsed<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(str::parse);
    if let Some(Ok(port)) = local {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse()
        .map_err(|_| "ADDR:PORT such as [::]:8443 or 127.0.0.1:8443".to_owned())
}

pub(super) fn optional_address(text: &str) -> Parsed<Option<SocketAddr>> {
    or_off(address)(text)
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// A whole number within its bound.
pub(super) fn count(text: &str, bound: &Bound) -> Parsed<u64> {
    let number = text.replace('_', "").parse().ok();
    within(number, bound, &|n| n.to_string())
}

/// Bytes, plain or with a unit (`KiB` and its like are 1024s, `kB` and its like 1000s).
pub(super) fn size(text: &str, bound: &Bound) -> Parsed<u64> {
    let text = text.replace('_', "");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        _ => None,
    };
    let bytes = factor
        .zip(number.parse::<u64>().ok())
        .and_then(|(factor, number)| number.checked_mul(factor));
    within(bytes, bound, &bytes_text)
}

/// Bytes, `auto` or `off`.
pub(super) fn disk_floor(text: &str) -> Parsed<DiskFloor> {
    match text {
        "auto" => Ok(DiskFloor::Auto),
        "off" => Ok(DiskFloor::Off),
        text => size(text, &limits::DISK_FREE_BYTES)
            .map(DiskFloor::Bytes)
            .map_err(|expected| format!("{expected}, or auto or off")),
    }
}

pub(super) fn to_usize(number: u64) -> Parsed<usize> {
    usize::try_from(number).map_err(|_| "a number that this machine can count to".to_owned())
}

/// A number of connections, or `auto`.
pub(super) fn strangers_max(text: &str) -> Parsed<StrangersMax> {
    match text {
        "auto" => Ok(StrangersMax::Auto),
        text => count(text, &limits::CONNECTIONS)
            .and_then(to_usize)
            .map(StrangersMax::Count)
            .map_err(|expected| format!("{expected}, or auto")),
    }
}

/// A duration as humantime reads it (`25s`, `1m 30s`), bounded in milliseconds.
pub(super) fn duration(text: &str, bound_ms: &Bound) -> Parsed<Duration> {
    let parsed = humantime::parse_duration(text).ok();
    let ms = parsed.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    let shown = |ms| humantime::format_duration(Duration::from_millis(ms)).to_string();
    within(ms, bound_ms, &shown)
        .map(Duration::from_millis)
        .map_err(|expected| format!("a duration such as 25s, {expected}"))
}

/// How long messages are kept: a duration in which minutes and months cannot be mixed up.
pub(super) fn retention(text: &str) -> Parsed<Duration> {
    let runs = text.split_inclusive(|c: char| !c.is_alphabetic());
    let mut before = "";
    let mut read = 0;
    for run in runs {
        let unit = run.trim_end_matches(|c: char| !c.is_alphabetic());
        if matches!(unit, "m" | "M") {
            let number = before
                .trim_end()
                .rsplit(|c: char| !c.is_ascii_digit())
                .next();
            let number = number.unwrap_or_default();
            return Err(format!(
                "minutes or months written out, since {number}{unit} may mean either: {number}min \
                 or {number}months"
            ));
        }
        read += run.len();
        before = &text[..read];
    }
    duration(text, &limits::RETENTION_MS)
}

/// A value for one domain or (`None`) for all; no value is `off`.
pub(super) type OfDomain<T> = (Option<Domain>, Option<T>);

/// `30days`, `off`, or one of them for a domain: `shop=30days`.
pub(super) fn per_domain<T>(text: &str, parse: &impl Fn(&str) -> Parsed<T>) -> Parsed<OfDomain<T>> {
    let (domain, value) = match text.rsplit_once('=') {
        // A slip rather than a domain's name: `a=1day,b=2days`, `a=1day=2days`.
        Some((domain, _)) if domain.contains(['=', ',']) => {
            return Err("DOMAIN=VALUE, once for each domain".to_owned());
        }
        Some((domain, value)) => (Some(domain), value),
        None => (None, text),
    };
    let domain = domain.map(Domain::parse).transpose();
    let domain = domain.map_err(|e| format!("DOMAIN=VALUE: the domain {e}"))?;
    Ok((domain, or_off(parse)(value)?))
}

/// A value, or `off`.
pub(super) fn or_off<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Option<T>> {
    move |text| match text {
        "off" => Ok(None),
        text => parse(text).map(Some).map_err(|e| format!("{e}, or off")),
    }
}

/// So many in a second, a minute or an hour: `100/s`.
pub(super) fn rate(text: &str) -> Parsed<Rate> {
    per(text, |count| self::count(count, &limits::RATE).ok()).ok_or_else(|| {
        let max = limits::RATE.max;
        format!("a rate such as 100/s, 600/min or 1000/h, of at most {max}")
    })
}

/// So many bytes in a second, a minute or an hour: `64MiB/min`.
pub(super) fn byte_rate(text: &str) -> Parsed<Rate> {
    per(text, |bytes| size(bytes, &limits::RATE_BYTES).ok()).ok_or_else(|| {
        let (min, max) = (limits::RATE_BYTES.min, limits::RATE_BYTES.max);
        let (min, max) = (bytes_text(min), bytes_text(max));
        format!("bytes in a time such as 1MiB/s, 64MiB/min or 1GiB/h, of {min} to {max}")
    })
}

fn per(text: &str, count: impl Fn(&str) -> Option<u64>) -> Option<Rate> {
    let (number, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Rate {
        count: NonZeroU64::new(count(number.trim())?)?,
        per: Duration::from_secs(seconds),
    })
}

/// A rate, or `off`.
pub(super) fn optional_rate(text: &str) -> Parsed<Option<Rate>> {
    or_off(rate)(text)
}

/// A network such as `10.0.0.0/8`, or a single address.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let parsed = text
        .parse()
        .or_else(|_| text.parse().map(|ip: IpAddr| ip.into()));
    let network: IpNet =
        parsed.map_err(|_| "a network such as 10.0.0.0/8, or an address".to_owned())?;
    Ok(network.trunc())
}

/// How log lines are written.
pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

fn within(number: Option<u64>, bound: &Bound, shown: &dyn Fn(u64) -> String) -> Parsed<u64> {
    number
        .filter(|n| (bound.min..=bound.max).contains(n))
        .ok_or_else(|| format!("from {} to {}", shown(bound.min), shown(bound.max)))
}

fn bytes_text(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// A name of the server for its certificate, or an address: also one in brackets, as in a URL, and a name in any
/// script, which becomes what DNS has (`xn--…`, RFC 5890).
pub(super) fn server_name(text: &str) -> Parsed<String> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed.filter(|inner| inner.parse::<Ipv6Addr>().is_ok()) {
        return Ok(address.to_owned());
    }
    let in_dns = match text.strip_prefix("*.") {
        Some(bare) => idna::domain_to_ascii(bare).map(|bare| format!("*.{bare}")),
        None => idna::domain_to_ascii(text),
    };
    match in_dns {
        Ok(in_dns) if !text.is_ascii() => host(&in_dns),
        _ => host(text),
    }
}

/// A name or address that a certificate can hold (ASCII, as in DNS; internationalised
/// names in their `xn--` form).
pub(super) fn host(text: &str) -> Parsed<String> {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = bare.len() <= 253 && bare.split('.').all(is_label);
    if is_name || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("a host name such as chat.example.com or an IP address, without port".to_owned())
    }
}

pub(super) fn message_type(text: &str) -> Parsed<MessageType> {
    let number = count(text, &limits::MESSAGE_TYPE)?;
    let number = u32::try_from(number).map_err(|_| "a 32-bit number".to_owned())?;
    Ok(MessageType(number))
}

pub(super) fn declared_token(text: &str) -> Parsed<DeclaredToken> {
    let (domain, token) = text
        .split_once('=')
        .ok_or_else(|| "DOMAIN=TOKEN".to_owned())?;
    let domain = Domain::parse(domain).map_err(|e| format!("DOMAIN=TOKEN: the domain {e}"))?;
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || token.chars().any(char::is_control) {
        return Err(format!(
            "DOMAIN=TOKEN: the token must be 1 to {TOKEN_BYTES_MAX} bytes without control characters"
        ));
    }
    Ok(DeclaredToken {
        domain,
        token: token.to_owned(),
    })
}

/// A log filter: levels for all (`info`) and for parts (`relaybox::net=debug`), by commas.
pub(super) fn log_filter(text: &str) -> Parsed<String> {
    let is_level = |level: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(level))
    };
    let is_target = |target: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':' || b == b'-';
        !target.is_empty() && target.bytes().all(allowed)
    };
    let is_part = |part: &str| match part.split_once('=') {
        Some((target, level)) => is_target(target) && is_level(level),
        None => is_level(part),
    };
    if text.split(',').all(is_part) {
        Ok(text.to_owned())
    } else {
        Err(
            "levels (off, error, warn, info, debug, trace) such as info or info,relaybox::net=debug"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests;

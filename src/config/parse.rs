//! Parsers of a setting's text. Each error lists the allowed values.
//!
//! Invariant: no error repeats the given text, which may be a misplaced token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::limits::{RATE, RATE_BYTES};
use crate::model::{DiskFloor, Domain, MessageType, Networks, Rate, StrangersMax};

/// A value, or the end of the sentence "expected …".
pub(super) type Parsed<T> = Result<T, String>;

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    let local = text.strip_prefix("localhost:").map(str::parse);
    if let Some(Ok(port)) = local {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse()
        .map_err(|_| "ADDR:PORT such as [::]:8443 or 127.0.0.1:8443".to_owned())
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

pub(super) fn directory(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err("a directory".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// A path, or `auto`.
pub(super) fn socket(text: &str) -> Parsed<Option<PathBuf>> {
    let path = match text {
        "auto" => return Ok(None),
        text if text.ends_with('/') => None,
        text => directory(text).ok(),
    };
    path.map(Some)
        .ok_or_else(|| "the path of a socket, or auto".to_owned())
}

pub(super) fn count<N: TryFrom<u64>>(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<N> {
    move |text| {
        let number = text.replace('_', "").parse().ok();
        within(number, &bounds, &|n| n.to_string())
    }
}

/// Bytes, plain or with a unit: powers of 1024 (`KiB`) or of 1000 (`kB`).
pub(super) fn size<N: TryFrom<u64>>(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<N> {
    move |text| within(bytes(text), &bounds, &bytes_text)
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.replace('_', "");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Bytes, `auto` or `off`.
pub(super) fn disk_free(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<DiskFloor> {
    let size = size(bounds);
    move |text| match text {
        "auto" => Ok(DiskFloor::Auto),
        "off" => Ok(DiskFloor::Off),
        text => size(text)
            .map(DiskFloor::Bytes)
            .map_err(|expected| format!("{expected}, or auto or off")),
    }
}

/// A number of connections, or `auto`.
pub(super) fn strangers(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<StrangersMax> {
    let count = count(bounds);
    move |text| match text {
        "auto" => Ok(StrangersMax::Auto),
        text => count(text)
            .map(StrangersMax::Count)
            .map_err(|expected| format!("{expected}, or auto")),
    }
}

/// A duration in humantime's format (`25s`, `1m 30s`), bounded in milliseconds.
pub(super) fn duration(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| {
        let parsed = humantime::parse_duration(text).ok();
        let ms = parsed.and_then(|duration| u64::try_from(duration.as_millis()).ok());
        let shown = |ms| humantime::format_duration(Duration::from_millis(ms)).to_string();
        within(ms, &bounds, &shown)
            .map(Duration::from_millis)
            .map_err(|expected| format!("a duration such as 25s, {expected}"))
    }
}

/// A duration that does not confuse minutes with months.
pub(super) fn retention(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Parsed<Duration> {
    let duration = duration(bounds);
    move |text| no_single_m(text).and_then(|()| duration(text))
}

fn no_single_m(text: &str) -> Parsed<()> {
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
    Ok(())
}

/// `30days`, `off`, or either for a domain: `shop=30days`. No domain means all of them; no value
/// means `off`.
pub(super) fn domain_value<T>(
    text: &str,
    parse: &impl Fn(&str) -> Parsed<T>,
) -> Parsed<(Option<Domain>, Option<T>)> {
    let (domain, value) = match text.rsplit_once('=') {
        // A typo rather than a domain name: `a=1day,b=2days`, `a=1day=2days`.
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

/// Events per second, minute or hour: `100/s`.
pub(super) fn rate(text: &str) -> Parsed<Rate> {
    per(text, |number| count(RATE)(number).ok()).ok_or_else(|| {
        let max = RATE.end();
        format!("a rate such as 100/s, 600/min or 1000/h, of at most {max}")
    })
}

/// Bytes per second, minute or hour: `64MiB/min`.
pub(super) fn byte_rate(text: &str) -> Parsed<Rate> {
    per(text, |bytes| size(RATE_BYTES)(bytes).ok()).ok_or_else(|| {
        let (min, max) = RATE_BYTES.into_inner();
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

/// A network such as `10.0.0.0/8`, or a single address.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let parsed = text
        .parse()
        .or_else(|_| text.parse().map(|ip: IpAddr| ip.into()));
    let network: IpNet =
        parsed.map_err(|_| "a network such as 10.0.0.0/8, or an address".to_owned())?;
    Ok(network.trunc())
}

pub(super) fn networks(networks: Vec<Option<IpNet>>) -> Networks {
    Networks::new(networks.into_iter().flatten().collect())
}

pub(super) fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

fn within<N: TryFrom<u64>>(
    number: Option<u64>,
    bounds: &RangeInclusive<u64>,
    shown: &dyn Fn(u64) -> String,
) -> Parsed<N> {
    number
        .filter(|n| bounds.contains(n))
        .and_then(|n| N::try_from(n).ok())
        .ok_or_else(|| {
            format!(
                "from {} to {}",
                shown(*bounds.start()),
                shown(*bounds.end())
            )
        })
}

fn bytes_text(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// A name of the server for its certificate, or an address. The address may have brackets, as in a
/// URL; a name in any script is converted to its DNS form (`xn--…`, RFC 5890).
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

/// A name or address that a certificate can hold (ASCII; internationalised names in their `xn--`
/// form).
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
    count(0..=u32::MAX.into())(text).map(MessageType)
}

#[cfg(test)]
mod tests;

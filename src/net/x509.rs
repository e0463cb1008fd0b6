//! Reading X.509: parsing, dates, and how names match a host.

use std::net::IpAddr;
use std::path::Path;

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate_error::{CertificateError, broken};

pub(super) const DAY_S: i64 = 24 * 3600;

/// Longest remaining lifetime that counts as near the end, however long the whole lifetime is.
const NEAR_END_S_MAX: i64 = 30 * DAY_S;

/// When a certificate with these dates comes near its end: one issued here is renewed then, a foreign one is warned
/// about. A third of its lifetime is left at that point, and never more than 30 days. Seconds since the Unix epoch
/// throughout.
pub fn near_end_s(not_before_s: i64, not_after_s: i64) -> i64 {
    let third_s = not_after_s.saturating_sub(not_before_s) / 3;
    not_after_s.saturating_sub(third_s.clamp(0, NEAR_END_S_MAX))
}

/// The contents of a certificate; `None` if it is not X.509.
pub(super) fn x509(der: &[u8]) -> Option<X509Certificate<'_>> {
    let parsed = X509Certificate::from_der(der).ok();
    parsed.map(|(_, certificate)| certificate)
}

/// The error for contents that are not X.509.
pub(super) fn unreadable_certificate(file: &Path) -> CertificateError {
    broken(file, "holds a certificate that cannot be read")
}

/// Whether clients accept a certificate's name, possibly a wildcard, for this host (RFC 9525, 6.3).
pub(super) fn covers(name: &str, host: &str) -> bool {
    let whole = name.eq_ignore_ascii_case(host);
    let below = host.split_once('.').zip(name.strip_prefix("*."));
    whole || below.is_some_and(|((_, rest), parent)| parent.eq_ignore_ascii_case(rest))
}

/// An address in network byte order.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| v6()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_lifetime_is_the_end_but_never_more_than_thirty_days() {
        for (lifetime_days, near_end_days) in [(6, 2), (45, 15), (90, 30), (397, 30), (36_500, 30)]
        {
            let (begin_s, end_s) = (1_764_000_000, 1_764_000_000 + lifetime_days * DAY_S);
            let left_s = end_s - near_end_s(begin_s, end_s);
            assert_eq!(left_s, near_end_days * DAY_S, "{lifetime_days} days");
        }
        // A certificate that ends before it begins has no lifetime.
        assert_eq!(near_end_s(10, 5), 5);
        assert_eq!(near_end_s(i64::MIN, i64::MAX), i64::MAX - 30 * DAY_S);
    }
}

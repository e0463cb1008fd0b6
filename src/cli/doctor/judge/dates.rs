//! Dates, as in certificates.

use super::super::super::progress::second;

pub(super) const DAY_S: i64 = 24 * 3600;

/// The date of a time in seconds since the Unix epoch.
pub(super) fn date(seconds: i64) -> String {
    // Latest possible date in a certificate: the end of the year 9999.
    const MAX_S: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(MAX_S);
    second(1000 * seconds).chars().take(10).collect()
}

//! Dates, as in certificates.

pub(super) const DAY_S: i64 = 24 * 3600;

/// The date of a time in seconds since the Unix epoch.
pub(super) fn date(seconds: i64) -> String {
    // Latest possible date in a certificate: the end of the year 9999.
    const MAX_S: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(MAX_S);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.chars().take(10).collect()
}

//! Clock and process limits, as reported by Linux.

use std::path::Path;

/// Exists while systemd-timesyncd keeps the clock (systemd-timesyncd.service, "Files").
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

pub(super) const OPEN_FILES: &str = "Max open files";
pub(super) const FILE_BYTES: &str = "Max file size";

/// Whether the clock is known to be synchronised from the network. Other services leave no such
/// mark.
pub(super) fn is_synchronised() -> bool {
    Path::new(SYNCHRONISED).exists()
}

/// A limit of a process: `Some(None)` if unlimited, `None` if unknown.
pub(super) fn limit_of(process: u32, name: &str) -> Option<Option<u64>> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    parse_limit(&limits, name)
}

/// Parses a line such as `Max open files            1024                 524288
/// files`.
fn parse_limit(limits: &str, name: &str) -> Option<Option<u64>> {
    let mut lines = limits.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(None),
        soft => soft.parse().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max processes             7823                 7823                 processes\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(parse_limit(limits, OPEN_FILES), Some(Some(1024)));
        let unlimited = limits.replace("1024  ", "unlimited ");
        assert_eq!(parse_limit(&unlimited, OPEN_FILES), Some(None));
        for other in ["", "Max open files", "Max open files  x  y  files"] {
            assert_eq!(parse_limit(other, OPEN_FILES), None, "{other}");
        }
        for name in [OPEN_FILES, FILE_BYTES] {
            assert!(limit_of(std::process::id(), name).is_some(), "{name}");
        }
    }
}

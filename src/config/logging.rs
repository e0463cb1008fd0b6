//! How and what is logged.

use super::parse::Parsed;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

/// A log filter: levels for all (`info`) and for modules (`relaybox::net=debug`), by commas.
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
    let is_directive = |directive: &str| match directive.split_once('=') {
        Some((target, level)) => is_target(target) && is_level(level),
        None => is_level(directive),
    };
    if text.split(',').all(is_directive) {
        Ok(text.to_owned())
    } else {
        Err(
            "levels (off, error, warn, info, debug, trace) such as info or info,relaybox::net=debug"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_for_all_and_for_modules() {
        for text in ["info", "OFF", "warn,relaybox::net=debug,hyper=off"] {
            assert!(log_filter(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "verbose",
            "relaybox",
            "relaybox=loud",
            "info,",
            "=info",
            "a[b]=info",
        ] {
            assert!(log_filter(text).is_err(), "{text}");
        }
    }
}

//! Log format and filter.

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::parse::Parsed;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

/// Comma-separated levels: for everything (`info`) and for modules (`relaybox::net=debug`).
///
/// Stricter than the parser of [`Targets`], which takes `inof` for the name of a module.
pub(super) fn log_filter(text: &str) -> Parsed<Targets> {
    let mut directives = text.split(',');
    directives
        .try_fold(Targets::new(), with_directive)
        .ok_or_else(|| {
            "levels (off, error, warn, info, debug, trace) such as info or info,relaybox::net=debug"
                .to_owned()
        })
}

fn with_directive(filter: Targets, directive: &str) -> Option<Targets> {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':' || b == b'-';
    match directive.split_once('=') {
        Some((target, level)) => {
            let is_target = !target.is_empty() && target.bytes().all(is_part);
            is_target.then_some(filter.with_target(target, level_of(level)?))
        }
        None => Some(filter.with_default(level_of(directive)?)),
    }
}

/// Names only: the library also accepts numbers and the empty string.
fn level_of(name: &str) -> Option<LevelFilter> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic());
    name.parse().ok().filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_for_all_and_for_modules() {
        for text in ["info", "OFF", "warn,relaybox::net=debug,hyper=off"] {
            let by_library = text.parse().expect("a filter");
            assert_eq!(log_filter(text), Ok(by_library), "{text}");
        }
        for text in [
            "",
            "verbose",
            "relaybox",
            "relaybox=loud",
            "info,",
            "3",
            "relaybox=3",
            "relaybox=",
            "=info",
            "a[b]=info",
        ] {
            assert!(log_filter(text).is_err(), "{text}");
        }
    }
}

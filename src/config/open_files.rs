//! Connections and sessions within the open-file limit.

use super::limits::{RESERVED_FILES, SPARE_CONNECTIONS_MIN};
use super::raw::Raws;
use super::settings::Config;
use super::source::Source;
use crate::model::logged_in_max;

/// Caps connections and sessions to the open-file limit. Returns a warning for each that was set
/// explicitly.
pub(super) fn fit(config: &mut Config, raws: &Raws, open_files_max: Option<u64>) -> Vec<String> {
    let (connections, sessions) = (
        &raws["connections_max"].source,
        &raws["sessions_max"].source,
    );
    let mut warnings = Vec::new();
    if let Some(open_files_max) = open_files_max {
        let reserved = RESERVED_FILES.min(open_files_max / 2);
        let available = usize::try_from(open_files_max - reserved)
            .unwrap_or(usize::MAX)
            .max(1);
        if config.connections_max > available {
            if *connections != Source::Default {
                warnings.push(format!(
                    "setting connections_max ({connections}) is cut from {} to {available}: the open-file limit is {open_files_max}",
                    config.connections_max,
                ));
            }
            config.connections_max = available;
        }
        // Spare connections, so that a login too many can be answered.
        if *sessions == Source::Default {
            let spare = (config.connections_max / 50).max(SPARE_CONNECTIONS_MIN);
            let spare = spare.min(config.connections_max / 2);
            config.sessions_max = config.sessions_max.min(config.connections_max - spare);
        }
    }
    let available = logged_in_max(config.connections_max);
    if config.sessions_max > available {
        if *sessions != Source::Default {
            warnings.push(format!(
                "setting sessions_max ({sessions}) is cut from {} to {available}: of {} connections (connections_max) no more may be logged in",
                config.sessions_max, config.connections_max,
            ));
        }
        config.sessions_max = available;
    }
    warnings
}

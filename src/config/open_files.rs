//! What the open-file limit leaves of connections, and these of sessions.

use super::values::Values;
use super::{Loaded, Origin, limits};
use crate::model::places_known;

/// Cuts connections and sessions to what the open-file limit leaves room for, and says so.
pub(super) fn fit(loaded: &mut Loaded, values: &Values<'_>, open_files_max: Option<u64>) {
    let Loaded { config, warnings } = loaded;
    if let Some(open_files_max) = open_files_max {
        let reserved = limits::RESERVED_FILES.min(open_files_max / 2);
        let room = usize::try_from(open_files_max - reserved)
            .unwrap_or(usize::MAX)
            .max(1);
        if config.connections_max > room {
            let origin = &values.raw("connections_max").origin;
            if *origin != Origin::Default {
                warnings.push(format!(
                    "setting connections_max ({origin}) is cut from {} to {room}: the open-file limit is {open_files_max}",
                    config.connections_max,
                ));
            }
            config.connections_max = room;
        }
        // Some connections are left over, so that a login too many can be told so.
        if values.raw("sessions_max").origin == Origin::Default {
            let spare = (config.connections_max / 50).max(limits::SPARE_CONNECTIONS_MIN);
            let spare = spare.min(config.connections_max / 2);
            let sessions_max = config.connections_max - spare;
            config.sessions_max = config.sessions_max.min(sessions_max);
        }
    }
    let room = places_known(config.connections_max);
    if config.sessions_max > room {
        let origin = &values.raw("sessions_max").origin;
        if *origin != Origin::Default {
            warnings.push(format!(
                "setting sessions_max ({origin}) is cut from {} to {room}: of {} connections (connections_max) no more may be logged in",
                config.sessions_max, config.connections_max,
            ));
        }
        config.sessions_max = room;
    }
}

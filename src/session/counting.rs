//! Counters of ended logins and sessions, with labels known in advance.

use crate::metrics::Metrics;
use crate::protocol::close::CloseReason;
use crate::protocol::error_code::ErrorCode;

/// Close codes with a label of their own (RFC 6455, 7.4.1, and PROTOCOL.md section 2). A client may
/// close with any other code.
const CODES: [u16; 17] = [
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 1013, 4400, 4401, 4403, 4408, 4409, 4410,
    4529,
];
/// Label of all other codes.
const OTHER: &str = "other";

/// Counts the end of a session, or a refused login.
pub(super) fn closed(metrics: &Metrics, code: u16, by: &str) {
    let label = match CODES.contains(&code) {
        true => code.to_string(),
        false => OTHER.to_owned(),
    };
    let closes = &metrics.sessions.closes;
    closes.with_label_values(&[label.as_str(), by]).inc();
}

/// Creates every series at zero: Prometheus sees no increase in a series that appears with its
/// first event.
pub fn count_from_zero(metrics: &Metrics) {
    let sessions = &metrics.sessions;
    for code in CODES {
        for by in ["server", "client"] {
            sessions.closes.with_label_values(&[&code.to_string(), by]);
        }
    }
    sessions.closes.with_label_values(&[OTHER, "client"]);
    for name in CloseReason::OF_LOGINS {
        sessions.logins_refused.with_label_values(&[name]);
    }
    for code in ErrorCode::ALL {
        sessions.frames_refused.with_label_values(&[code.as_str()]);
    }
    for reason in ["tls", "timeout", "plain_http", "proxy_header"] {
        metrics.net.handshakes_failed.with_label_values(&[reason]);
    }
}

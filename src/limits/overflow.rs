//! Refusals at a limit: a counter in the metrics, a line in the log.

use std::fmt;
use std::sync::Arc;

use super::throttle::Throttle;
use crate::metrics::Metrics;

/// One row per limit: its name in metrics and log (that of its setting, unless it is a constant),
/// and its text for the client.
macro_rules! limits {
    ($($(#[$doc:meta])* $limit:ident = $name:literal, $text:literal;)*) => {
        /// Every limit, by the event or resource it bounds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[$doc])* $limit,)*
        }

        impl Limit {
            const ALL: [Self; [$(Self::$limit),*].len()] = [$(Self::$limit),*];

            /// Name in the metrics and the log.
            pub fn name(self) -> &'static str {
                match self { $(Self::$limit => $name),* }
            }
        }

        /// The text for the client.
        impl fmt::Display for Limit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$limit => $text),* })
            }
        }
    };
}

limits! {
    /// Open connections in total.
    Connections = "connections_max", "the server is at its limit of connections";
    /// Open connections that have not logged in.
    Strangers = "strangers_max", "too many connections have not logged in";
    /// Long request heads in flight. A constant, not a setting.
    LongHeads = "long_heads", "too many long heads are on their way";
    /// Open connections of one address.
    ConnectionsPerAddress = "connections_per_address_max", "too many connections from this address";
    /// New connections of one address.
    ConnectsPerAddress = "connects_per_address", "connections come too fast from this address";
    /// Unknown tokens from one address.
    FailedLoginsPerAddress = "failed_logins_per_address",
        "too many failed logins from this address";
    /// Requests from one address.
    RequestsPerAddress = "requests_per_address", "requests come too fast from this address";
    /// Requests by one user.
    RequestsPerUser = "requests_per_user", "this user makes too many requests";
    /// Logins by one user.
    LoginsPerUser = "logins_per_user", "this user logs in too often";
    /// Logins in total.
    Logins = "logins", "the server takes no more logins at the moment";
    /// Sessions in total.
    Sessions = "sessions_max", "the server is at its limit of sessions";
    /// Sessions of one user.
    SessionsPerUser = "sessions_per_user_max", "this user has too many sessions";
    /// Requests of one session that store nothing. A constant, not a setting.
    RequestsPerSession = "requests_per_session", "this session asks for too much";
    /// Messages sent by one user.
    SendsPerUser = "sends_per_user", "this user sends too many messages";
    /// Bytes of messages sent by one user.
    SendBytesPerUser = "send_bytes_per_user", "this user sends too many bytes";
    /// Messages sent by one domain.
    SendsPerDomain = "sends_per_domain", "this domain sends too many messages";
    /// Bytes of messages sent by one domain.
    SendBytesPerDomain = "send_bytes_per_domain", "this domain sends too many bytes";
    /// Bytes stored by one domain.
    StoreQuota = "store_quota", "this domain has stored as much as it may";
    /// Free disk space, for user tokens.
    DiskFree = "disk_free_min", "the server's disk is short";
    /// Memory for history answers in flight.
    HistoryAnswers = "history_answers", "too many answers are on their way";
    /// History answers in flight for one user.
    HistoryAnswersPerUser = "history_answers_per_user",
        "this user has not taken its last answers yet";
    /// History answers in flight for one address without a token.
    HistoryAnswersPerAddress = "history_answers_per_address",
        "this address has not taken its last answers yet";
    /// Memory for long incoming WebSocket messages.
    MessageRoom = "message_room", "too many long messages at once";
    /// Time for one of these to arrive.
    MessageTime = "message_time", "a message is not complete in time";
    /// Origins whose pages may log in.
    WsOrigins = "ws_origins", "pages of this origin may not log in";
}

impl Limit {
    /// Whether the limit is on space, so that no wait before a retry is known.
    pub fn is_of_space(self) -> bool {
        matches!(self, Self::StoreQuota | Self::DiskFree)
    }
}

/// Counts refusals; logs the first of each limit in ten seconds, with the number since the last
/// line.
pub(super) struct Overflow {
    metrics: Arc<Metrics>,
    quiet: [Throttle; Limit::ALL.len()],
}

impl Overflow {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        for limit in Limit::ALL {
            // Creates every series at the start.
            metrics.sessions.limited.with_label_values(&[limit.name()]);
        }
        Self {
            metrics,
            quiet: Default::default(),
        }
    }

    /// Counts and logs a refusal to `who`.
    pub(super) fn note(&self, limit: Limit, who: &dyn fmt::Display) {
        self.metrics
            .sessions
            .limited
            .with_label_values(&[limit.name()])
            .inc();
        if let Some(times) = self.quiet[limit as usize].due() {
            tracing::warn!(limit = limit.name(), %who, times, "a limit is reached: {limit}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_place_and_its_setting_unless_it_is_a_constant() {
        let names = crate::config::settings().iter().map(|setting| setting.name);
        let names: Vec<_> = names.collect();
        let constants = [
            Limit::LongHeads,
            Limit::HistoryAnswers,
            Limit::HistoryAnswersPerUser,
            Limit::HistoryAnswersPerAddress,
            Limit::RequestsPerSession,
            Limit::MessageRoom,
            Limit::MessageTime,
        ];
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, at);
            let is_setting = names.contains(&limit.name());
            assert_eq!(is_setting, !constants.contains(&limit), "{limit:?}");
        }
    }
}

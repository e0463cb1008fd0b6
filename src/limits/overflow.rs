//! Refusals at a limit: a counter in the metrics, a line in the log.

use std::fmt;
use std::sync::Arc;

use super::throttle::Throttle;
use crate::metrics::Metrics;

/// Every limit, by the event or resource it bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Open connections in total.
    Connections,
    /// Open connections that have not logged in.
    Strangers,
    /// Long request heads in flight. A constant, not a setting.
    LongHeads,
    /// Open connections of one address.
    ConnectionsPerAddress,
    /// New connections of one address.
    ConnectsPerAddress,
    /// Unknown tokens from one address.
    FailedLoginsPerAddress,
    /// Requests from one address.
    RequestsPerAddress,
    /// Requests by one user.
    RequestsPerUser,
    /// Logins by one user.
    LoginsPerUser,
    /// Logins in total.
    Logins,
    /// Sessions in total.
    Sessions,
    /// Sessions of one user.
    SessionsPerUser,
    /// Requests of one session that store nothing. A constant, not a setting.
    RequestsPerSession,
    /// Messages sent by one user.
    SendsPerUser,
    /// Bytes of messages sent by one user.
    SendBytesPerUser,
    /// Messages sent by one domain.
    SendsPerDomain,
    /// Bytes of messages sent by one domain.
    SendBytesPerDomain,
    /// Bytes stored by one domain.
    StoreQuota,
    /// Free disk space, for user tokens.
    DiskFree,
    /// Memory for history answers in flight.
    HistoryAnswers,
    /// History answers in flight for one user.
    HistoryAnswersPerUser,
    /// History answers in flight for one address without a token.
    HistoryAnswersPerAddress,
    /// Memory for long incoming WebSocket messages.
    MessageRoom,
    /// Time for one of these to arrive.
    MessageTime,
    /// Origins whose pages may log in.
    WsOrigins,
}

impl Limit {
    const ALL: [Self; 25] = [
        Self::Connections,
        Self::Strangers,
        Self::LongHeads,
        Self::ConnectionsPerAddress,
        Self::ConnectsPerAddress,
        Self::FailedLoginsPerAddress,
        Self::RequestsPerAddress,
        Self::RequestsPerUser,
        Self::LoginsPerUser,
        Self::Logins,
        Self::Sessions,
        Self::SessionsPerUser,
        Self::RequestsPerSession,
        Self::SendsPerUser,
        Self::SendBytesPerUser,
        Self::SendsPerDomain,
        Self::SendBytesPerDomain,
        Self::StoreQuota,
        Self::DiskFree,
        Self::HistoryAnswers,
        Self::HistoryAnswersPerUser,
        Self::HistoryAnswersPerAddress,
        Self::MessageRoom,
        Self::MessageTime,
        Self::WsOrigins,
    ];

    /// Whether the limit is on space, so that no wait before a retry is known.
    pub fn is_of_space(self) -> bool {
        matches!(self, Self::StoreQuota | Self::DiskFree)
    }

    /// Name in the metrics and the log: that of its setting, unless it is a constant.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::Strangers => "strangers_max",
            Self::LongHeads => "long_heads",
            Self::ConnectionsPerAddress => "connections_per_address_max",
            Self::ConnectsPerAddress => "connects_per_address",
            Self::FailedLoginsPerAddress => "failed_logins_per_address",
            Self::RequestsPerAddress => "requests_per_address",
            Self::RequestsPerUser => "requests_per_user",
            Self::LoginsPerUser => "logins_per_user",
            Self::Logins => "logins",
            Self::Sessions => "sessions_max",
            Self::SessionsPerUser => "sessions_per_user_max",
            Self::RequestsPerSession => "requests_per_session",
            Self::SendsPerUser => "sends_per_user",
            Self::SendBytesPerUser => "send_bytes_per_user",
            Self::SendsPerDomain => "sends_per_domain",
            Self::SendBytesPerDomain => "send_bytes_per_domain",
            Self::StoreQuota => "store_quota",
            Self::DiskFree => "disk_free_min",
            Self::HistoryAnswers => "history_answers",
            Self::HistoryAnswersPerUser => "history_answers_per_user",
            Self::HistoryAnswersPerAddress => "history_answers_per_address",
            Self::MessageRoom => "message_room",
            Self::MessageTime => "message_time",
            Self::WsOrigins => "ws_origins",
        }
    }
}

/// The text for the client.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "the server is at its limit of connections",
            Self::Strangers => "too many connections have not logged in",
            Self::LongHeads => "too many long heads are on their way",
            Self::ConnectionsPerAddress => "too many connections from this address",
            Self::ConnectsPerAddress => "connections come too fast from this address",
            Self::FailedLoginsPerAddress => "too many failed logins from this address",
            Self::RequestsPerAddress => "requests come too fast from this address",
            Self::RequestsPerUser => "this user makes too many requests",
            Self::LoginsPerUser => "this user logs in too often",
            Self::Logins => "the server takes no more logins at the moment",
            Self::Sessions => "the server is at its limit of sessions",
            Self::SessionsPerUser => "this user has too many sessions",
            Self::RequestsPerSession => "this session asks for too much",
            Self::SendsPerUser => "this user sends too many messages",
            Self::SendBytesPerUser => "this user sends too many bytes",
            Self::SendsPerDomain => "this domain sends too many messages",
            Self::SendBytesPerDomain => "this domain sends too many bytes",
            Self::StoreQuota => "this domain has stored as much as it may",
            Self::DiskFree => "the server's disk is short",
            Self::HistoryAnswers => "too many answers are on their way",
            Self::HistoryAnswersPerUser => "this user has not taken its last answers yet",
            Self::HistoryAnswersPerAddress => "this address has not taken its last answers yet",
            Self::MessageRoom => "too many long messages at once",
            Self::MessageTime => "a message is not complete in time",
            Self::WsOrigins => "pages of this origin may not log in",
        })
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

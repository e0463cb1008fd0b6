//! What is refused because a limit is reached: a number for the metrics, a line for the log.

use std::fmt;
use std::sync::Arc;

use super::throttle::Throttle;
use crate::metrics::Metrics;

/// Everything that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Open connections.
    Connections,
    /// Open connections that have not logged in.
    Strangers,
    /// Long heads of requests on their way. A constant, no setting.
    LongHeads,
    /// Open connections of one address.
    ConnectionsPerAddress,
    /// New connections of one address.
    ConnectsPerAddress,
    /// Tokens of one address that nobody knows.
    FailedLoginsPerAddress,
    /// Requests of one address.
    RequestsPerAddress,
    /// Requests of one user.
    RequestsPerUser,
    /// Logins of one user.
    LoginsPerUser,
    /// Logins in all.
    Logins,
    /// Sessions in all.
    Sessions,
    /// Sessions of one user.
    SessionsPerUser,
    /// Requests of one session that store nothing. A constant, no setting.
    RequestsPerSession,
    /// Messages of one user.
    SendsPerUser,
    /// Bytes of one user's messages.
    SendBytesPerUser,
    /// Messages of one domain.
    SendsPerDomain,
    /// Bytes of one domain's messages.
    SendBytesPerDomain,
    /// Bytes that one domain stores.
    StoreQuota,
    /// Free disk for user tokens.
    DiskFree,
    /// Room for answers of history on their way.
    HistoryAnswers,
    /// Such answers of one user.
    HistoryAnswersPerUser,
    /// Such answers of one address, without a token.
    HistoryAnswersPerAddress,
    /// Room for long WebSocket messages that come in.
    MessageRoom,
    /// How long one may take.
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

    /// Whether it is for want of space, and nobody knows for how long.
    pub fn is_of_space(self) -> bool {
        matches!(self, Self::StoreQuota | Self::DiskFree)
    }

    /// Its name in the metrics and the log: the setting that it comes from, where it is no constant.
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

/// A sentence for the client.
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

/// Counts refusals, and logs the first of each limit in ten seconds with how many there were.
pub(super) struct Overflow {
    metrics: Arc<Metrics>,
    quiet: [Throttle; Limit::ALL.len()],
}

impl Overflow {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        for limit in Limit::ALL {
            // All of them are there from the beginning.
            metrics.sessions.limited.with_label_values(&[limit.name()]);
        }
        Self {
            metrics,
            quiet: Default::default(),
        }
    }

    /// Something was refused to `who`.
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

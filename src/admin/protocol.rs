//! Orders and their answers as JSON, and their execution.
//!
//! Without a running server the command line uses [`execute`] and [`execute_reading`], too, so that both ways behave
//! the same. No `Debug` on types that hold a token.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::REQUEST_BYTES_MAX;
use crate::auth::{Auth, USER_TOKEN_TTL_S_MAX};
use crate::command::domains::{
    self, DomainError, DomainSummary, Domains, GRACE_S_MAX, Rotated, summaries,
};
use crate::command::stats::Stats;
use crate::model::{Domain, DomainRecord, NameError, UserId, UserName};
use crate::store::{AppendError, Position};

/// An order to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Add a domain.
    DomainAdd {
        /// Name of the new domain.
        domain: String,
    },
    /// List all domains.
    DomainList {},
    /// Remove a domain and its messages.
    DomainRemove {
        /// Name of the domain.
        domain: String,
    },
    /// Replace a domain's project token and signing key.
    DomainRotate {
        /// Name of the domain.
        domain: String,
        /// Remaining validity of the old token and key, in milliseconds.
        grace_ms: u64,
    },
    /// Report whether the clock is trusted.
    Clock {},
    /// Trust the clock although it was stepped.
    ClockAccept {},
    /// Report the durable end of the journal.
    JournalEnd {},
    /// End the sessions of a user.
    Kick {
        /// Domain of the user.
        domain: String,
        /// Id of the user.
        id: String,
        /// Only the session of this resource.
        resource: Option<String>,
    },
    /// List sessions.
    Sessions(SessionFilter),
    /// List ended sessions.
    EndedSessions(SessionFilter),
    /// Identify the server's data directory.
    Site {},
    /// Report the server's statistics.
    Stats {},
    /// Mint a user token.
    Token(TokenRequest),
}

/// Which sessions to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFilter {
    /// Only sessions of this domain.
    pub domain: Option<String>,
    /// Only sessions of this user in the domain.
    pub id: Option<String>,
}

/// The user token to mint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Domain of the user.
    pub domain: String,
    /// Id of the user.
    pub id: String,
    /// Overrides the login's `name`.
    pub name: Option<String>,
    /// Lifetime in seconds.
    pub ttl_s: u64,
    /// Whether it may send messages of type 100.
    pub system: bool,
}

/// The answer to an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// The new project or user token.
    Token {
        /// The token in clear.
        token: String,
        /// After a rotation: whether declared tokens were ended that the settings will declare again.
        declared: bool,
    },
    /// All domains, by name.
    Domains {
        /// One entry per domain.
        list: Vec<DomainSummary>,
    },
    /// The domain was removed.
    Removed {
        /// Whether the settings declare a token for it, which brings it back at the next start.
        declared: bool,
    },
    /// Whether expiry by age is on hold because the clock was stepped.
    Clock {
        /// During a hold: seconds by which the clock is ahead of the plausible time, or behind it.
        ahead_s: Option<i64>,
        /// Remaining hold, in seconds.
        hold_s: u64,
    },
    /// The clock is trusted again.
    ClockAccepted {
        /// Whether expiry by age was on hold.
        was_held: bool,
    },
    /// Everything acknowledged before the order lies before this position.
    JournalEnd(Position),
    /// Identity of the server's data directory.
    Site {
        /// Device number of the directory.
        device: u64,
        /// Inode number of the directory.
        inode: u64,
    },
    /// Sessions were told to end.
    Kicked {
        /// Number of sessions told to end.
        sessions: usize,
    },
    /// Sessions, by domain, user and resource.
    Sessions {
        /// One entry per session.
        list: Vec<SessionEntry>,
        /// Total number of sessions, including those beyond the list.
        total: usize,
    },
    /// The last sessions to end since the server's start, oldest first.
    EndedSessions {
        /// One entry per session.
        list: Vec<EndedEntry>,
    },
    /// The server's statistics.
    Stats(Box<StatsAnswer>),
    /// The order was refused, and nothing was done.
    Refused {
        /// The reason, as one sentence.
        sentence: String,
    },
}

/// An open session in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEntry {
    /// Domain of the user.
    pub domain: String,
    /// Id of the user.
    pub id: String,
    /// The resource that is logged in.
    pub resource: String,
    /// Milliseconds since the Unix epoch at which it logged in.
    pub since: u64,
    /// The client's address at the login.
    pub address: IpAddr,
    /// Whether it is behind the live stream.
    pub catching_up: bool,
    /// Deliveries not confirmed yet.
    pub unconfirmed: u32,
    /// Bytes waiting to be written to it.
    pub outbox_bytes: usize,
}

/// A session that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedEntry {
    /// Domain of the user.
    pub domain: String,
    /// Id of the user.
    pub id: String,
    /// The resource that was logged in.
    pub resource: String,
    /// Milliseconds since the Unix epoch at which it logged in.
    pub since: u64,
    /// Milliseconds since the Unix epoch at which it ended.
    pub until: u64,
    /// The client's address at the login.
    pub address: IpAddr,
    /// The close code; 1006 if there was none.
    pub code: u16,
    /// The side that closed it: `server` or `client`.
    pub by: String,
    /// The reason of the close.
    pub reason: String,
}

/// The server's version and statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsAnswer {
    /// Version of the program.
    pub version: String,
    /// Milliseconds since the Unix epoch at which it started.
    pub started_at: u64,
    /// The statistics, flattened into this object.
    #[serde(flatten)]
    pub stats: Stats,
}

/// Why an order was refused; `Display` is the sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("an order is one line of at most {REQUEST_BYTES_MAX} bytes")]
    Line,
    #[error("this server does not know that order; is the command of its version?")]
    Unknown,
    #[error("{0} {1}")]
    Name(&'static str, NameError),
    #[error("grace must be at most {} days", GRACE_S_MAX / 86_400)]
    Grace,
    #[error("ttl must be from 1 second to {} days", USER_TOKEN_TTL_S_MAX / 86_400)]
    Ttl,
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error(transparent)]
    Store(#[from] AppendError),
    #[error("no server runs on this data directory")]
    NotRunning,
}

/// Executes a read-only order for a stopped server with these domains. `auth` holds the tokens declared in the
/// settings.
///
/// # Errors
/// Why the order is refused, in a sentence for the operator.
pub fn execute_reading(
    records: Vec<DomainRecord>,
    auth: &Auth,
    now_ms: u64,
    request: &Request,
) -> Result<Response, Refusal> {
    for record in &records {
        auth.put(record.clone());
    }
    match request {
        Request::DomainList {} => Ok(Response::Domains {
            list: summaries(records, auth, now_ms),
        }),
        Request::Token(wanted) => mint(auth, wanted),
        _ => Err(Refusal::NotRunning),
    }
}

/// Executes an order. Blocks on the disk. `changed` is called with a domain whose old tokens may have ended.
///
/// # Errors
/// Why the order is refused, in a sentence for the operator.
pub fn execute(
    domains: &Domains,
    request: &Request,
    changed: &dyn Fn(&Domain),
) -> Result<Response, Refusal> {
    Ok(match request {
        Request::DomainAdd { domain } => Response::Token {
            token: domains.add(&parse_domain(domain)?)?,
            declared: false,
        },
        Request::DomainList {} => Response::Domains {
            list: domains.list(),
        },
        Request::DomainRemove { domain } => {
            let domain = parse_domain(domain)?;
            let declared = domains.remove(&domain)?;
            changed(&domain);
            Response::Removed { declared }
        }
        Request::DomainRotate { domain, grace_ms } => {
            let domain = parse_domain(domain)?;
            if *grace_ms > GRACE_S_MAX * 1000 {
                return Err(Refusal::Grace);
            }
            let Rotated { token, declared } =
                domains.rotate(&domain, Duration::from_millis(*grace_ms))?;
            changed(&domain);
            Response::Token { token, declared }
        }
        // A running server executes these before they get here.
        Request::Kick { .. }
        | Request::Sessions(_)
        | Request::EndedSessions(_)
        | Request::Site {}
        | Request::Stats {} => return Err(Refusal::NotRunning),
        Request::Clock {} => {
            let hold = domains.store().clock_hold();
            Response::Clock {
                ahead_s: hold.map(|hold| hold.ahead_s),
                hold_s: hold.map_or(0, |hold| hold.left.as_secs()),
            }
        }
        Request::ClockAccept {} => Response::ClockAccepted {
            was_held: domains.store().accept_clock()?,
        },
        Request::JournalEnd {} => Response::JournalEnd(domains.store().journal_end()),
        Request::Token(wanted) => mint(domains.auth(), wanted)?,
    })
}

pub(super) fn parse_domain(text: &str) -> Result<Domain, Refusal> {
    Domain::parse(text).map_err(|e| Refusal::Name("domain", e))
}

pub(super) fn parse_id(text: &str) -> Result<UserId, Refusal> {
    UserId::parse(text).map_err(|e| Refusal::Name("id", e))
}

fn mint(auth: &Auth, wanted: &TokenRequest) -> Result<Response, Refusal> {
    let domain = parse_domain(&wanted.domain)?;
    let id = parse_id(&wanted.id)?;
    let name = wanted.name.as_deref().map(UserName::parse).transpose();
    let name = name.map_err(|e| Refusal::Name("name", e))?;
    if !(1..=USER_TOKEN_TTL_S_MAX).contains(&wanted.ttl_s) {
        return Err(Refusal::Ttl);
    }
    let ttl = Duration::from_secs(wanted.ttl_s);
    let (token, _) = domains::mint(auth, &domain, &id, name.as_ref(), ttl, wanted.system)?;
    Ok(Response::Token {
        token,
        declared: false,
    })
}

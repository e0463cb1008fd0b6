//! Orders and their answers, as JSON, and what carries an order out.
//!
//! The command line uses [`execute`] and [`execute_reading`] too where no server runs, so that both
//! ways do the same.
//! No `Debug` on what holds a token.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::{Auth, USER_TOKEN_TTL_S_MAX};
use crate::command::domains::{self, DomainError, DomainSummary, Domains, GRACE_S_MAX, summaries};
use crate::command::stats::Stats;
use crate::model::{Domain, DomainRecord, NameError, UserId, UserName};
use crate::store::AppendError;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Add a domain.
    DomainAdd {
        /// Its name.
        domain: String,
    },
    /// List all domains.
    DomainList {},
    /// Remove a domain and its messages.
    DomainRemove {
        /// Its name.
        domain: String,
    },
    /// Replace a domain's project token and signing key.
    DomainRotate {
        /// Its name.
        domain: String,
        /// How long the old ones stay good, in milliseconds.
        grace_ms: u64,
    },
    /// Say whether the clock is taken for right.
    Clock {},
    /// Take it for right though it was stepped.
    ClockAccept {},
    /// Say how far the journal is durable.
    JournalEnd {},
    /// End sessions of a user.
    Kick {
        /// The user's domain.
        domain: String,
        /// The user.
        id: String,
        /// Only the session of this resource.
        resource: Option<String>,
    },
    /// List sessions.
    Sessions {
        /// Only of this domain,
        domain: Option<String>,
        /// and of this user there.
        id: Option<String>,
    },
    /// List sessions that have ended.
    EndedSessions {
        /// Only of this domain,
        domain: Option<String>,
        /// and of this user there.
        id: Option<String>,
    },
    /// Say whose server it is.
    Site {},
    /// Say what the server does.
    Stats {},
    /// Mint a user token.
    Token {
        /// The user's domain.
        domain: String,
        /// The user.
        id: String,
        /// Overrides the login's `name`.
        name: Option<String>,
        /// How long it is good, in seconds.
        ttl_s: u64,
        /// Whether it may send messages of type 100.
        system: bool,
    },
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// The new project or user token.
    Token {
        /// The secret itself.
        token: String,
        /// A rotation only: declared tokens were ended that the settings will declare again.
        declared: bool,
    },
    /// All domains, by name.
    Domains {
        /// One entry each.
        list: Vec<DomainLine>,
    },
    /// The domain is gone.
    Removed {
        /// The settings declare a token for it, which brings it back at the next start.
        declared: bool,
    },
    /// Whether nothing ends by age because the clock was stepped.
    Clock {
        /// If so: how far the clock is ahead of what was plausible, or behind it, in seconds.
        ahead_s: Option<i64>,
        /// How long nothing ends by age, in seconds.
        hold_s: u64,
    },
    /// The clock is taken for right.
    ClockAccepted {
        /// Nothing ended by age before.
        was_held: bool,
    },
    /// Everything that was acknowledged before the order is before this place.
    JournalEnd {
        /// The number of the segment that is written on.
        segment: u64,
        /// Its bytes up to there.
        offset: u64,
        /// The sequence of the frame that comes next.
        sequence: u64,
    },
    /// The server's data directory.
    Site {
        /// The device that it is on.
        device: u64,
        /// Its inode there.
        inode: u64,
    },
    /// Sessions were told to end.
    Kicked {
        /// How many.
        sessions: usize,
    },
    /// Sessions, by domain, user and resource.
    Sessions {
        /// One entry each.
        list: Vec<SessionEntry>,
        /// How many there are in all, those that found no room in the list included.
        total: usize,
    },
    /// The sessions that ended last since the server's start, the oldest first.
    EndedSessions {
        /// One entry each.
        list: Vec<EndedEntry>,
    },
    /// What the server does.
    Stats(Box<StatsAnswer>),
    /// Nothing was done.
    Refused {
        /// Why: one sentence.
        sentence: String,
    },
}

/// A session in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEntry {
    /// Its domain.
    pub domain: String,
    /// Its user.
    pub id: String,
    /// Its device.
    pub resource: String,
    /// Milliseconds since the Unix epoch at which it logged in.
    pub since: u64,
    /// The address that it logged in from.
    pub address: IpAddr,
    /// Whether it is behind the live stream.
    pub catching_up: bool,
    /// Deliveries that it has not confirmed yet.
    pub unconfirmed: u32,
    /// Bytes that wait to be written to it.
    pub outbox_bytes: usize,
}

/// A session that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedEntry {
    /// Its domain.
    pub domain: String,
    /// Its user.
    pub id: String,
    /// Its device.
    pub resource: String,
    /// Milliseconds since the Unix epoch at which it logged in.
    pub since: u64,
    /// Milliseconds since the Unix epoch at which it ended.
    pub until: u64,
    /// The address that it logged in from.
    pub address: IpAddr,
    /// The close code; 1006 where there was none.
    pub code: u16,
    /// Who ended it: `server` or `client`.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a server does, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsAnswer {
    /// Of this program.
    pub version: String,
    /// Milliseconds since the Unix epoch at which it started.
    pub started_at: u64,
    /// The numbers.
    #[serde(flatten)]
    pub stats: Stats,
}

/// A domain in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainLine {
    /// Its name.
    pub domain: String,
    /// Milliseconds since the Unix epoch at which it was added.
    #[serde(rename = "createdAt")]
    pub created_at_ms: u64,
    /// Stored project tokens that are good now.
    pub tokens: usize,
    /// Whether the settings declare a token for it, too.
    pub declared: bool,
}

/// Why an order is refused; `Display` is the sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
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

/// Carries an order out. Blocks on the disk. `changed` is told of a domain whose old tokens
/// may have ended.
pub fn execute(domains: &Domains, request: &Request, changed: &dyn Fn(&Domain)) -> Response {
    let response = try_execute(domains, request, changed);
    response.unwrap_or_else(|refusal| Response::Refused {
        sentence: refusal.to_string(),
    })
}

/// Carries out an order that only reads, for a stopped server that has these domains. `auth` knows
/// what the settings declare.
pub fn execute_reading(
    records: Vec<DomainRecord>,
    auth: &Auth,
    now_ms: u64,
    request: &Request,
) -> Response {
    for record in &records {
        auth.put(record.clone());
    }
    let response = match request {
        Request::DomainList {} => Ok(list(summaries(records, auth, now_ms))),
        Request::Token {
            domain,
            id,
            name,
            ttl_s,
            system,
        } => mint(auth, domain, id, name.as_deref(), *ttl_s, *system),
        _ => Err(Refusal::NotRunning),
    };
    response.unwrap_or_else(|refusal| Response::Refused {
        sentence: refusal.to_string(),
    })
}

fn try_execute(
    domains: &Domains,
    request: &Request,
    changed: &dyn Fn(&Domain),
) -> Result<Response, Refusal> {
    Ok(match request {
        Request::DomainAdd { domain } => Response::Token {
            token: domains.add(&parse_domain(domain)?)?,
            declared: false,
        },
        Request::DomainList {} => list(domains.list()),
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
            let rotated = domains.rotate(&domain, Duration::from_millis(*grace_ms))?;
            changed(&domain);
            Response::Token {
                token: rotated.token,
                declared: rotated.declared,
            }
        }
        // A running server has carried these out before they come here.
        Request::Kick { .. }
        | Request::Sessions { .. }
        | Request::EndedSessions { .. }
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
        Request::JournalEnd {} => {
            let end = domains.store().journal_end();
            Response::JournalEnd {
                segment: end.segment,
                offset: end.offset,
                sequence: end.sequence,
            }
        }
        Request::Token {
            domain,
            id,
            name,
            ttl_s,
            system,
        } => mint(domains.auth(), domain, id, name.as_deref(), *ttl_s, *system)?,
    })
}

pub(super) fn parse_domain(text: &str) -> Result<Domain, Refusal> {
    Domain::parse(text).map_err(|e| Refusal::Name("domain", e))
}

pub(super) fn parse_id(text: &str) -> Result<UserId, Refusal> {
    UserId::parse(text).map_err(|e| Refusal::Name("id", e))
}

fn list(summaries: Vec<DomainSummary>) -> Response {
    let lines = summaries.into_iter().map(|summary| DomainLine {
        domain: summary.domain.as_str().to_owned(),
        created_at_ms: summary.created_at_ms,
        tokens: summary.tokens,
        declared: summary.declared,
    });
    Response::Domains {
        list: lines.collect(),
    }
}

fn mint(
    auth: &Auth,
    domain: &str,
    id: &str,
    name: Option<&str>,
    ttl_s: u64,
    system: bool,
) -> Result<Response, Refusal> {
    let domain = parse_domain(domain)?;
    let id = parse_id(id)?;
    let name = name.map(UserName::parse).transpose();
    let name = name.map_err(|e| Refusal::Name("name", e))?;
    if !(1..=USER_TOKEN_TTL_S_MAX).contains(&ttl_s) {
        return Err(Refusal::Ttl);
    }
    let ttl = Duration::from_secs(ttl_s);
    let (token, _) = domains::mint(auth, &domain, &id, name.as_ref(), ttl, system)?;
    Ok(Response::Token {
        token,
        declared: false,
    })
}

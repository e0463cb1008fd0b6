//! Orders that require a running server.

use std::sync::Arc;

use super::protocol::{
    EndedEntry, Refusal, Request, Response, SessionEntry, SessionFilter, StatsAnswer, parse_domain,
    parse_id,
};
use crate::command::stats;
use crate::hub::{EndedSession, Hub, SessionLine};
use crate::metrics::Metrics;
use crate::model::{Mailbox, Resource};
use crate::store::Store;

/// Most sessions listed in one answer.
const SESSIONS_MAX: usize = 100_000;

/// Handles to the running server's parts.
#[derive(Clone)]
pub struct Live {
    /// The store, for its state and figures.
    pub store: Store,
    /// The registry of live sessions.
    pub hub: Arc<Hub>,
    /// Counters of the running server.
    pub metrics: Arc<Metrics>,
    /// Milliseconds since the Unix epoch at which it started.
    pub started_at_ms: u64,
}

impl Live {
    /// Executes an order; `None` if it is not one of these. Blocks on disk.
    pub(super) fn execute(&self, request: &Request) -> Result<Option<Response>, Refusal> {
        Ok(Some(match request {
            Request::Kick {
                domain,
                id,
                resource,
            } => self.kick(domain, id, resource.as_deref())?,
            Request::Sessions(filter) => {
                let (lines, total) = self.hub.list(wanted(filter)?, SESSIONS_MAX);
                Response::Sessions {
                    list: lines.into_iter().map(entry).collect(),
                    total,
                }
            }
            Request::EndedSessions(filter) => {
                let sessions = self.hub.ended(wanted(filter)?);
                Response::EndedSessions {
                    list: sessions.into_iter().map(ended_entry).collect(),
                }
            }
            Request::Site {} => {
                let (device, inode) = self.store.directory();
                Response::Site { device, inode }
            }
            Request::Stats {} => Response::Stats(Box::new(StatsAnswer {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: self.started_at_ms,
                stats: stats::collect(&self.store, &self.hub, &self.metrics),
            })),
            _ => return Ok(None),
        }))
    }

    fn kick(&self, domain: &str, id: &str, resource: Option<&str>) -> Result<Response, Refusal> {
        let mailbox = Mailbox {
            domain: parse_domain(domain)?,
            user: parse_id(id)?,
        };
        let resource = resource.map(Resource::parse).transpose();
        let resource = resource.map_err(|error| Refusal::Name("resource", error))?;
        let sessions = self.hub.kick(&mailbox, resource.as_ref());
        if sessions > 0 {
            tracing::info!(domain = %mailbox.domain, sessions, "sessions have been ended by the operator");
        }
        Ok(Response::Kicked { sessions })
    }
}

/// A filter for mailboxes of this domain and this user id, as far as they are given.
fn wanted(filter: &SessionFilter) -> Result<impl Fn(&Mailbox) -> bool, Refusal> {
    let domain = filter.domain.as_deref().map(parse_domain).transpose()?;
    let id = filter.id.as_deref().map(parse_id).transpose()?;
    Ok(move |mailbox: &Mailbox| {
        let is_domain = domain
            .as_ref()
            .is_none_or(|domain| mailbox.domain == *domain);
        is_domain && id.as_ref().is_none_or(|id| mailbox.user == *id)
    })
}

fn ended_entry(session: EndedSession) -> EndedEntry {
    let Mailbox { domain, user } = session.device.mailbox;
    EndedEntry {
        domain: domain.as_str().to_owned(),
        id: user.as_str().to_owned(),
        resource: session.device.resource.as_str().to_owned(),
        since: session.arrival.at_ms,
        until: session.ended_at_ms,
        address: session.arrival.from,
        code: session.code,
        by: session.by.to_owned(),
        reason: session.reason.into_owned(),
    }
}

fn entry(line: SessionLine) -> SessionEntry {
    let Mailbox { domain, user } = line.mailbox;
    SessionEntry {
        domain: domain.as_str().to_owned(),
        id: user.as_str().to_owned(),
        resource: line.resource.as_str().to_owned(),
        since: line.arrival.at_ms,
        address: line.arrival.from,
        catching_up: line.load.catching_up,
        unconfirmed: line.load.unconfirmed,
        outbox_bytes: line.load.bytes,
    }
}

//! Orders that only a running server can carry out.

use std::sync::Arc;

use super::protocol::{
    Refusal, Request, Response, SessionEntry, StatsAnswer, parse_domain, parse_id,
};
use crate::command::stats;
use crate::hub::{Hub, SessionLine};
use crate::metrics::Metrics;
use crate::model::{Mailbox, Resource};
use crate::store::Store;

/// Most sessions in one answer.
const SESSIONS_MAX: usize = 100_000;

/// The running server, as its operator sees it.
#[derive(Clone)]
pub struct Live {
    /// Its store.
    pub store: Store,
    /// Its sessions.
    pub hub: Arc<Hub>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Milliseconds since the Unix epoch at which it started.
    pub started_at_ms: u64,
}

impl Live {
    /// Carries an order out; `None` where it is none of these. Blocks on disk.
    pub(super) fn execute(&self, request: &Request) -> Option<Response> {
        let response = match request {
            Request::Kick {
                domain,
                id,
                resource,
            } => self.kick(domain, id, resource.as_deref()),
            Request::Sessions { domain, id } => self.sessions(domain.as_deref(), id.as_deref()),
            Request::Site {} => {
                let (device, inode) = self.store.directory();
                Ok(Response::Site { device, inode })
            }
            Request::Stats {} => self.stats(),
            _ => return None,
        };
        Some(response.unwrap_or_else(|refusal| Response::Refused {
            sentence: refusal.to_string(),
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

    fn sessions(&self, domain: Option<&str>, id: Option<&str>) -> Result<Response, Refusal> {
        let domain = domain.map(parse_domain).transpose()?;
        let id = id.map(parse_id).transpose()?;
        let is_wanted = |mailbox: &Mailbox| {
            domain
                .as_ref()
                .is_none_or(|domain| mailbox.domain == *domain)
                && id.as_ref().is_none_or(|id| mailbox.user == *id)
        };
        let (lines, total) = self.hub.list(is_wanted, SESSIONS_MAX);
        Ok(Response::Sessions {
            list: lines.into_iter().map(entry).collect(),
            total,
        })
    }

    fn stats(&self) -> Result<Response, Refusal> {
        Ok(Response::Stats(Box::new(StatsAnswer {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at_ms,
            stats: stats::look(&self.store, &self.hub, &self.metrics),
        })))
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

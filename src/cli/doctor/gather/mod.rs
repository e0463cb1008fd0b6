//! Gathers facts; leaves nothing behind but, at most, a probe file that has no name or is removed
//! again.
//!
//! Unknown facts are reported as unknown, never guessed. Invariant: every wait has a deadline.

mod disk;
mod hosts;
mod machine;
mod ports;

use anyhow::bail;
use rustix::process::{Resource, getrlimit};

use super::super::setting_args::AllSettings;
use super::super::{Failure, serve};
use super::facts::{Facts, OpenFiles, ServerStatus, WithTls};
use crate::admin::{self, Request, Response, Site};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::net::inspect::Inspected;
use crate::store::{self, Holder};
use machine::{FILE_BYTES, OPEN_FILES};

/// The settings that `serve` would use, and all other facts to be judged.
pub(super) fn gather(args: &AllSettings) -> Result<(Config, Facts), Failure> {
    let asked = args.load(None)?;
    let server = server(&asked.config);
    let process = match server {
        ServerStatus::Running { process, .. } | ServerStatus::Silent { process } => process,
        _ => None,
    };
    let of_server = process.and_then(|process| machine::limit_of(process, OPEN_FILES));
    let limit = of_server.unwrap_or_else(serve::raise_open_files_max);
    let config = args.load(limit)?.config;
    let runs = !matches!(server, ServerStatus::None);
    let plain = |address| ports::probe(address, runs, false);
    let tls = |address| -> anyhow::Result<WithTls> {
        Ok(WithTls {
            port: ports::probe(address, runs, true)?,
            certificates: Inspected::of(&config.certs),
            certificates_writable: disk::can_write_in(&config.certs),
        })
    };
    let facts = Facts {
        warnings: asked.warnings,
        now_us: SystemClock.now_us(),
        is_synchronised: machine::is_synchronised(),
        server,
        hosts: hosts::of(&config),
        tls: config.listen.map(tls).transpose()?,
        plain: config.plain.map(plain).transpose()?,
        metrics: config.metrics_listen.map(plain).transpose()?,
        open_files: OpenFiles {
            limit,
            connections: asked.config.connections_max,
            of_server: of_server.is_some(),
        },
        file_bytes: match process {
            Some(process) => machine::limit_of(process, FILE_BYTES).flatten(),
            None => getrlimit(Resource::Fsize).current,
        },
        data: disk::directory(&config.data),
        disk: disk::disk(&config.data),
        store: match config.data.is_dir() {
            true => store::survey(&config.data).map_err(|error| error.to_string()),
            false => Ok(None),
        },
    };
    Ok((config, facts))
}

fn server(config: &Config) -> ServerStatus {
    let data = config.data.as_path();
    let site = Site::new(data, config.socket.clone());
    // A missing directory is the only finding worth reporting.
    if !data.is_dir() {
        return ServerStatus::None;
    }
    match ask(&site) {
        Ok(Some((domains, not_writable))) => ServerStatus::Running {
            process: admin::process(&site),
            domains,
            not_writable,
        },
        Ok(None) => match store::holder(data) {
            Ok(Holder::None) => ServerStatus::None,
            Ok(Holder::Process(process)) => ServerStatus::Silent {
                process: Some(process),
            },
            Ok(Holder::Unnamed) => ServerStatus::Silent { process: None },
            Err(error) => ServerStatus::Unreachable(format!(
                "no server answers on the socket, and whether a process has this data directory \
                 cannot be told: {error}"
            )),
        },
        Err(error) => ServerStatus::Unreachable(error.to_string()),
    }
}

/// A running server's number of domains, and why it stores nothing, if so; `None` if none answers.
fn ask(site: &Site) -> anyhow::Result<Option<(usize, Option<String>)>> {
    let domains = admin::request(site, &Request::DomainList {})?;
    match (domains, admin::request(site, &Request::Stats {})?) {
        (Some(Response::Domains { list }), Some(Response::Stats(answer))) => {
            Ok(Some((list.len(), answer.stats.not_writable)))
        }
        (None, _) | (_, None) => Ok(None),
        _ => bail!("the server gave an answer to another order"),
    }
}

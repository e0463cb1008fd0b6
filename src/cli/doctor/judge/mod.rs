//! Judges facts: a pure function of the settings and of what was found.
//!
//! A problem keeps clients out or messages unsafe, now or at the next start. A warning keeps some clients out, or will
//! become a problem. Each sentence says what is wrong and what to do about it.

mod addresses;
mod certificates;
mod data;
mod hosts;
mod machine;
mod trust;

use std::net::SocketAddr;

use super::facts::{Facts, Server};
use super::finding::{Check, Findings};
use crate::config::Config;

const DAY_S: i64 = 24 * 3600;

/// Everything there is to say.
pub(super) fn judge(config: &Config, facts: &Facts) -> Findings {
    let mut out = Findings::default();
    for warning in &facts.warnings {
        out.warning(Check::Settings, warning);
    }
    if facts.warnings.is_empty() {
        out.ok(Check::Settings, "all are known and fit together");
    }
    server(facts, &mut out);
    addresses::judge(config, facts, &mut out);
    hosts::judge(config, facts, &mut out);
    certificates::judge(config, facts, &mut out);
    machine::judge(config, facts, &mut out);
    data::judge(config, facts, &mut out);
    out
}

fn server(facts: &Facts, out: &mut Findings) {
    match &facts.server {
        Server::None => out.ok(Check::Server, "none runs on this data directory"),
        Server::Running {
            process,
            not_writable,
            ..
        } => {
            let process = process.map_or(String::new(), |id| format!(" (process {id})"));
            let runs = format!("one runs{process} and takes orders");
            match not_writable {
                None => out.ok(Check::Server, runs),
                Some(why) => out.problem(
                    Check::Server,
                    format!("{runs}, but stores nothing that is sent: {why}"),
                ),
            }
        }
        Server::Silent { process } => {
            let unnamed = || "a process that the system does not name here".to_owned();
            let process = process.map_or_else(unnamed, |id| format!("process {id}"));
            out.problem(
                Check::Server,
                format!(
                    "{process} has this data directory, but no server answers on its socket, so \
                     no command reaches it: if it is a server whose log says that no socket could \
                     be made, or one in another container, start it with --socket PATH"
                ),
            );
        }
        Server::Unreachable(why) => out.problem(
            Check::Server,
            format!("{why}: run this as the server's own user, or as root"),
        ),
    }
}

fn runs(facts: &Facts) -> bool {
    !matches!(facts.server, Server::None)
}

/// Whether only this machine gets there.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Seconds since the Unix epoch.
fn now_s(facts: &Facts) -> i64 {
    i64::try_from(facts.now_us / 1_000_000).unwrap_or(i64::MAX)
}

/// A day, of seconds since the Unix epoch.
fn date(seconds: i64) -> String {
    // What a certificate may say at most: the end of the year 9999.
    const MAX_S: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(MAX_S);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.chars().take(10).collect()
}

//! Judges facts: a pure function of the settings and the facts.
//!
//! A problem keeps clients out or messages unsafe, now or at the next start. A warning keeps some
//! clients out, or will become a problem. Each sentence says what is wrong and what to do about it.

mod addresses;
mod certificates;
mod data;
mod dates;
mod hosts;
mod machine;
mod trust;

use super::facts::{Facts, ServerStatus};
use super::finding::{Check, Findings};
use crate::config::Config;

pub(super) fn judge(config: &Config, facts: &Facts) -> Findings {
    let mut out = Findings::default();
    let settings = &mut out.on(Check::Settings);
    for warning in &facts.warnings {
        settings.warning(warning);
    }
    if facts.warnings.is_empty() {
        settings.ok("all are known and fit together");
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
    let out = &mut out.on(Check::Server);
    match &facts.server {
        ServerStatus::None => out.ok("none runs on this data directory"),
        ServerStatus::Running {
            process,
            not_writable,
            ..
        } => {
            let process = process.map_or(String::new(), |id| format!(" (process {id})"));
            let runs = format!("one runs{process} and takes orders");
            match not_writable {
                None => out.ok(runs),
                Some(why) => out.problem(format!("{runs}, but stores nothing that is sent: {why}")),
            }
        }
        ServerStatus::Silent { process } => {
            let unnamed = || "a process that the system does not name here".to_owned();
            let process = process.map_or_else(unnamed, |id| format!("process {id}"));
            out.problem(format!(
                "{process} has this data directory, but no server answers on its socket, so no \
                 command reaches it: if it is a server whose log says that no socket could be \
                 made, or one in another container, start it with --socket PATH"
            ));
        }
        ServerStatus::Unreachable(why) => out.problem(format!(
            "{why}: run this as the server's own user, or as root"
        )),
    }
}

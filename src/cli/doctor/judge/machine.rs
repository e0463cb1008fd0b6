//! The clock, and process limits.

use std::time::Duration;

use super::super::super::clock::held;
use super::super::super::progress::{bytes, count, duration, time};
use super::super::facts::{Facts, OpenFiles};
use super::super::finding::{Check, Findings};
use crate::config::Config;
use crate::config::limits::RESERVED_FILES;
use crate::server::CLOCK_BEHIND_MAX;

/// Any earlier clock is wrong: relaybox did not exist before 2025.
const BEGINNING_US: u64 = 1_735_689_600_000_000;
/// A server for fewer connections is useless.
const CONNECTIONS_MIN: u64 = 64;

pub(super) fn judge(config: &Config, facts: &Facts, out: &mut Findings) {
    clock(facts, out);
    open_files(&facts.open_files, facts.server_runs(), out);
    file_size(config, facts.file_bytes, out);
}

fn file_size(config: &Config, limit: Option<u64>, out: &mut Findings) {
    let out = &mut out.on(Check::FileSize);
    let needed = config.segment_bytes;
    match limit {
        None => out.ok("files may be of any size"),
        Some(limit) if limit < needed => out.problem(format!(
            "files may have {} at most, and a journal file takes {} (segment_bytes): sends are \
             refused whenever one is full; raise the limit (LimitFSIZE= in a systemd unit, ulimit \
             -f)",
            bytes(limit),
            bytes(needed)
        )),
        Some(limit) => out.warning(format!(
            "files may have {} at most: the index grows beyond that one day; raise the limit \
             (LimitFSIZE= in a systemd unit, ulimit -f)",
            bytes(limit)
        )),
    }
}

fn clock(facts: &Facts, out: &mut Findings) {
    let out = &mut out.on(Check::Clock);
    let store = facts.store.as_ref().ok().and_then(Option::as_ref);
    let newest = store.map(|store| store.newest).unwrap_or_default();
    let behind = Duration::from_micros(newest.0.saturating_sub(facts.now_us));
    if facts.now_us < BEGINNING_US {
        out.problem(
            "the clock is before 2025, and no certificate holds by it: set it, and have it kept \
             (NTP)",
        );
    } else if let Some(hold) = store.and_then(|store| store.clock_hold) {
        out.warning(format!(
            "{}; if the clock is right: relaybox clock accept",
            held(hold)
        ));
    } else if behind > CLOCK_BEHIND_MAX {
        out.warning(format!(
            "the clock is {} behind the newest message ({}): it ran ahead once, or is wrong now; \
             until it has caught up, messages carry times in its future",
            duration(behind),
            time(newest)
        ));
    } else if facts.is_synchronised {
        out.ok("the system says that it is set from the network");
    } else {
        out.ok(
            "not behind the newest message; whether it is set from the network is not known here",
        );
    }
}

fn open_files(found: &OpenFiles, runs: bool, out: &mut Findings) {
    let out = &mut out.on(Check::OpenFiles);
    let Some(limit) = found.limit else {
        return out.ok("there is no limit");
    };
    let whose = match found.of_server {
        true => "the running server's limit",
        false if runs => "the limit here (the running server's is not known)",
        false => "the limit",
    };
    let wanted = (found.connections as u64).saturating_add(RESERVED_FILES);
    let raise = "raise it (LimitNOFILE= in a systemd unit, --ulimit nofile= of a container)";
    let (limited, connections) = (count(limit), count(found.connections as u64));
    if limit < RESERVED_FILES + CONNECTIONS_MIN {
        out.problem(format!(
            "{whose} is {limited}, which leaves next to nothing for connections: {raise}"
        ));
    } else if limit < wanted {
        out.warning(format!(
            "{whose} is {limited}, not enough for {connections} connections (connections_max): \
             {raise} to {}, or ask for less",
            count(wanted)
        ));
    } else {
        out.ok(format!(
            "{whose} is {limited}, enough for {connections} connections"
        ));
    }
}

//! `relaybox stats`: statistics of the running server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::progress::{bytes, count, duration};
use super::setting_args::DataSettings;
use super::table::Table;
use super::{Failure, dispatch, output};
use crate::admin::{Request, Response, StatsAnswer};

/// Says what the running server does
#[derive(Args)]
#[command(after_help = "Examples:\n  relaybox stats\n  relaybox stats --json | jq .sessions")]
pub(super) struct StatsArgs {
    /// For scripts: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: DataSettings,
}

pub(super) fn run(args: &StatsArgs) -> Result<(), Failure> {
    match dispatch::ask_running(&args.settings, &Request::Stats {})? {
        Response::Stats(answer) if args.json => Ok(output::print_json(&answer)?),
        Response::Stats(answer) => Ok(output::print(&table(&answer, SystemTime::now()))?),
        _ => Err(dispatch::unexpected()),
    }
}

fn table(answer: &StatsAnswer, now: SystemTime) -> String {
    let stats = &answer.stats;
    let started = UNIX_EPOCH + Duration::from_millis(answer.started_at);
    let up = now.duration_since(started).unwrap_or_default();
    let commit_ms = stats.commit_us as f64 / 1000.0;
    let mut table = Table::default();
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("version", answer.version.clone());
    line("up", duration(up));
    line(
        "storage",
        match &stats.not_writable {
            None => "writable".to_owned(),
            Some(reason) => format!("NOT WRITABLE: {reason}"),
        },
    );
    line("connections", count(stats.connections));
    let (sessions, catching_up) = (count(stats.sessions), count(stats.catching_up));
    line(
        "sessions",
        format!("{sessions} ({catching_up} catching up)"),
    );
    let (waiting, unconfirmed) = (bytes(stats.outbox_bytes), count(stats.unconfirmed));
    line(
        "waiting",
        format!("{waiting} for sessions, {unconfirmed} messages unconfirmed"),
    );
    let (admitted, refused) = (count(stats.logins), count(stats.logins_refused));
    line("logins", format!("{admitted} admitted, {refused} refused"));
    let (taken, delivered) = (count(stats.messages_in), count(stats.messages_out));
    line("messages", format!("{taken} in, {delivered} out"));
    line("limited", format!("{} times", count(stats.limited)));
    let (commits, queue) = (count(stats.commits), count(stats.queue));
    line(
        "commits",
        format!("{commits} of {commit_ms:.2} ms on average, {queue} waiting"),
    );
    let size = |known: Option<u64>| known.map_or_else(|| "unknown".to_owned(), bytes);
    let (journal, index) = (size(stats.journal_bytes), size(stats.index_bytes));
    let free = size(stats.free_bytes);
    line(
        "disk",
        format!("{journal} journal, {index} index, {free} free"),
    );
    let (memory, memtable) = (bytes(stats.memory_bytes), bytes(stats.tail_bytes));
    line(
        "memory",
        format!("{memory}, of it {memtable} not yet in the index"),
    );
    table.text()
}

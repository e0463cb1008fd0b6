//! `relaybox stats`, `sessions` and `kick`: what only a running server can answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use super::domain::domain_name;
use super::progress::{bytes, count};
use super::setting_args::{DataOnly, SettingArgs};
use super::table::Table;
use super::{Failure, operate, output};
use crate::admin::{self, EndedEntry, Request, Response, SessionEntry, StatsAnswer};
use crate::model::{Resource, UserId};

/// Says what the running server does
#[derive(Args)]
#[command(after_help = "Examples:\n  relaybox stats\n  relaybox stats --json | jq .sessions")]
pub(super) struct StatsArgs {
    /// For scripts: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingArgs<DataOnly>,
}

/// Lists the sessions of the running server
#[derive(Args)]
#[command(
    after_help = "Examples:\n  relaybox sessions\n  relaybox sessions --domain shop --id alice\n  relaybox sessions --ended --domain shop --id alice\n  relaybox sessions --json | jq '.list[].id'"
)]
pub(super) struct SessionsArgs {
    /// Only of this domain
    #[arg(long, value_name = "NAME", value_parser = domain_name)]
    domain: Option<String>,
    /// Only of this user
    #[arg(long, value_name = "ID", value_parser = user_id)]
    id: Option<String>,
    /// Those that ended since the server's start (the last 200 of each user, and 20,000 of all), and who ended them
    #[arg(long)]
    ended: bool,
    /// For scripts: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingArgs<DataOnly>,
}

/// Ends a user's sessions: the client is told not to come back by itself
#[derive(Args)]
#[command(
    after_help = "Examples:\n  relaybox kick --domain shop --id alice\n  relaybox kick --domain shop --id alice --resource phone\n\nIts token stays good: who must stay out needs another one (relaybox domain rotate)."
)]
pub(super) struct KickArgs {
    /// The user's domain
    #[arg(long, value_name = "NAME", value_parser = domain_name)]
    domain: String,
    /// The user's id
    #[arg(long, value_name = "ID", value_parser = user_id)]
    id: String,
    /// Only the session of this resource
    #[arg(long, value_name = "NAME", value_parser = resource)]
    resource: Option<String>,
    /// For scripts: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingArgs<DataOnly>,
}

fn user_id(text: &str) -> Result<String, String> {
    UserId::parse(text).map_err(|error| format!("an id {error}"))?;
    Ok(text.to_owned())
}

fn resource(text: &str) -> Result<String, String> {
    Resource::parse(text).map_err(|error| format!("a resource {error}"))?;
    Ok(text.to_owned())
}

/// Asks the running server; that none runs is an error.
fn ask(settings: &SettingArgs<DataOnly>, request: &Request) -> Result<Response, Failure> {
    let site = settings.site()?;
    let failed = |sentence: String| Failure::Other(anyhow::Error::msg(sentence));
    match admin::request(&site, request)? {
        None => Err(Failure::Other(operate::silent(site.data()).unwrap_or_else(
            || {
                anyhow::anyhow!(
                    "no server runs on the data directory {}: --data DIR or RELAYBOX_DATA names another one",
                    site.data().display()
                )
            },
        ))),
        Some(Response::Refused { sentence }) => Err(failed(sentence)),
        Some(response) => Ok(response),
    }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    Ok(output::print(&serde_json::to_string(value)?)?)
}

/// Runs `relaybox stats`.
pub(super) fn stats(args: &StatsArgs) -> Result<(), Failure> {
    match ask(&args.settings, &Request::Stats {})? {
        Response::Stats(answer) if args.json => print_json(&answer),
        Response::Stats(answer) => Ok(output::print(&stats_table(&answer, SystemTime::now()))?),
        _ => Err(operate::unexpected()),
    }
}

fn stats_table(answer: &StatsAnswer, now: SystemTime) -> String {
    let stats = &answer.stats;
    let started = UNIX_EPOCH + Duration::from_millis(answer.started_at);
    let up = now.duration_since(started).unwrap_or_default();
    let up = humantime::format_duration(Duration::from_secs(up.as_secs()));
    let commit_ms = stats.commit_us as f64 / 1000.0;
    let mut table = Table::default();
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("version", answer.version.clone());
    line("up", up.to_string());
    line(
        "storage",
        match &stats.not_writable {
            None => "writable".to_owned(),
            Some(reason) => format!("NOT WRITABLE: {reason}"),
        },
    );
    line("connections", count(stats.connections));
    line(
        "sessions",
        format!(
            "{} ({} catching up)",
            count(stats.sessions),
            count(stats.catching_up)
        ),
    );
    line(
        "waiting",
        format!(
            "{} for sessions, {} messages unconfirmed",
            bytes(stats.outbox_bytes),
            count(stats.unconfirmed)
        ),
    );
    line(
        "logins",
        format!(
            "{} admitted, {} refused",
            count(stats.logins),
            count(stats.logins_refused)
        ),
    );
    line(
        "messages",
        format!(
            "{} in, {} out",
            count(stats.messages_in),
            count(stats.messages_out)
        ),
    );
    line("limited", format!("{} times", count(stats.limited)));
    line(
        "commits",
        format!(
            "{} of {commit_ms:.2} ms on average, {} waiting",
            count(stats.commits),
            count(stats.queue)
        ),
    );
    line(
        "disk",
        format!(
            "{} journal, {} index, {} free",
            bytes(stats.journal_bytes),
            bytes(stats.index_bytes),
            bytes(stats.free_bytes)
        ),
    );
    line(
        "memory",
        format!(
            "{}, of it {} not yet in the index",
            bytes(stats.memory_bytes),
            bytes(stats.tail_bytes)
        ),
    );
    table.text()
}

/// Runs `relaybox sessions`.
pub(super) fn sessions(args: &SessionsArgs) -> Result<(), Failure> {
    let (domain, id) = (args.domain.clone(), args.id.clone());
    if args.ended {
        return ended(args, &Request::EndedSessions { domain, id });
    }
    let request = Request::Sessions { domain, id };
    let Response::Sessions { list, total } = ask(&args.settings, &request)? else {
        return Err(operate::unexpected());
    };
    if args.json {
        return print_json(&serde_json::json!({ "total": total, "list": list }));
    }
    output::print(&sessions_table(&list))?;
    if total > list.len() {
        output::hint(&format!("and {} more", count((total - list.len()) as u64)));
    }
    Ok(())
}

fn ended(args: &SessionsArgs, request: &Request) -> Result<(), Failure> {
    let Response::EndedSessions { list } = ask(&args.settings, request)? else {
        return Err(operate::unexpected());
    };
    match args.json {
        true => print_json(&serde_json::json!({ "list": list })),
        false => Ok(output::print(&ended_table(&list))?),
    }
}

fn ended_table(list: &[EndedEntry]) -> String {
    let mut table = Table::with_head([
        "SINCE", "UNTIL", "DOMAIN", "ID", "RESOURCE", "ADDRESS", "CODE", "BY", "REASON",
    ]);
    for entry in list {
        table.row([
            time(entry.since),
            time(entry.until),
            output::plain(&entry.domain),
            output::plain(&entry.id),
            output::plain(&entry.resource),
            entry.address.to_string(),
            entry.code.to_string(),
            entry.by.clone(),
            output::plain(&entry.reason),
        ]);
    }
    table.text()
}

fn time(ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(ms);
    humantime::format_rfc3339_seconds(time).to_string()
}

fn sessions_table(list: &[SessionEntry]) -> String {
    let mut table = Table::with_head([
        "DOMAIN",
        "ID",
        "RESOURCE",
        "SINCE",
        "ADDRESS",
        "STATE",
        "UNCONFIRMED",
    ]);
    for entry in list {
        let state = match entry.catching_up {
            true => "catching up",
            false => "live",
        };
        table.row([
            output::plain(&entry.domain),
            output::plain(&entry.id),
            output::plain(&entry.resource),
            time(entry.since),
            entry.address.to_string(),
            state.to_owned(),
            count(u64::from(entry.unconfirmed)),
        ]);
    }
    table.text()
}

/// Runs `relaybox kick`.
pub(super) fn kick(args: &KickArgs) -> Result<(), Failure> {
    let request = Request::Kick {
        domain: args.domain.clone(),
        id: args.id.clone(),
        resource: args.resource.clone(),
    };
    let Response::Kicked { sessions } = ask(&args.settings, &request)? else {
        return Err(operate::unexpected());
    };
    if args.json {
        print_json(&serde_json::json!({ "sessions": sessions }))?;
    }
    match sessions {
        0 => Err(Failure::Other(anyhow::Error::msg(
            "there is no such session",
        ))),
        _ if args.json => Ok(()),
        1 => Ok(output::print("1 session was ended")?),
        _ => Ok(output::print(&format!("{sessions} sessions were ended"))?),
    }
}

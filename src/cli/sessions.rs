//! `relaybox sessions`: the running server's sessions, and those that ended.

use clap::Args;

use super::progress::{count, second};
use super::setting_args::DataSettings;
use super::table::Table;
use super::value_parsers::{domain_name, user_id};
use super::{Failure, dispatch, output};
use crate::admin::{EndedEntry, Request, Response, SessionEntry, SessionFilter};

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
    settings: DataSettings,
}

pub(super) fn run(args: &SessionsArgs) -> Result<(), Failure> {
    let filter = SessionFilter {
        domain: args.domain.clone(),
        id: args.id.clone(),
    };
    if args.ended {
        return ended(args, &Request::EndedSessions(filter));
    }
    let request = Request::Sessions(filter);
    let Response::Sessions { list, total } = dispatch::ask_running(&args.settings, &request)?
    else {
        return Err(dispatch::unexpected());
    };
    if args.json {
        return Ok(output::print_json(
            &serde_json::json!({ "total": total, "list": list }),
        )?);
    }
    output::print(&table(&list))?;
    if total > list.len() {
        output::hint(&format!("and {} more", count((total - list.len()) as u64)));
    }
    Ok(())
}

fn ended(args: &SessionsArgs, request: &Request) -> Result<(), Failure> {
    let Response::EndedSessions { list } = dispatch::ask_running(&args.settings, request)? else {
        return Err(dispatch::unexpected());
    };
    match args.json {
        true => Ok(output::print_json(&serde_json::json!({ "list": list }))?),
        false => Ok(output::print(&ended_table(&list))?),
    }
}

fn ended_table(list: &[EndedEntry]) -> String {
    let mut table = Table::with_head([
        "SINCE", "UNTIL", "DOMAIN", "ID", "RESOURCE", "ADDRESS", "CODE", "BY", "REASON",
    ]);
    for entry in list {
        table.row([
            second(entry.since),
            second(entry.until),
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

fn table(list: &[SessionEntry]) -> String {
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
            second(entry.since),
            entry.address.to_string(),
            state.to_owned(),
            count(u64::from(entry.unconfirmed)),
        ]);
    }
    table.text()
}

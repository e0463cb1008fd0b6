//! `relaybox domain`: adds, lists, removes and rotates domains.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::progress::second;
use super::setting_args::DataSettings;
use super::table::Table;
use super::value_parsers::domain_name;
use super::{Failure, dispatch, output};
use crate::admin::{Request, Response};
use crate::command::domains::{DomainSummary, GRACE_S_MAX};

const EXAMPLES: &str = "\
Examples:
  relaybox domain add shop
  relaybox domain list
  relaybox domain rotate shop --grace 1h
  relaybox domain remove shop --yes";

/// Domains (tenants): each has its own users, messages and tokens
#[derive(Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct DomainArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Adds a domain and prints its project token, once
    #[command(after_help = "Example:\n  TOKEN=$(relaybox domain add shop)")]
    Add {
        /// The domain's name
        #[arg(value_parser = domain_name)]
        name: String,
        #[command(flatten)]
        settings: DataSettings,
    },
    /// Lists all domains
    List {
        /// For scripts: a JSON array
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: DataSettings,
    },
    /// Removes a domain with all its messages, and ends its sessions
    #[command(after_help = "Example:\n  relaybox domain remove shop --yes")]
    Remove {
        /// The domain's name
        #[arg(value_parser = domain_name)]
        name: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        settings: DataSettings,
    },
    /// Replaces a domain's project token and the key of its user tokens; prints the new token
    #[command(after_help = "Example:\n  relaybox domain rotate shop --grace 1h")]
    Rotate {
        /// The domain's name
        #[arg(value_parser = domain_name)]
        name: String,
        /// How long the old tokens stay good [default: they end at once]
        #[arg(long, value_name = "DURATION", value_parser = grace)]
        grace: Option<Duration>,
        #[command(flatten)]
        settings: DataSettings,
    },
}

fn grace(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|grace| *grace <= Duration::from_secs(GRACE_S_MAX))
        .ok_or_else(|| "expected a duration such as 1h, at most 30days".to_owned())
}

pub(super) fn run(args: &DomainArgs) -> Result<(), Failure> {
    match &args.action {
        Action::Add { name, settings } => {
            let domain = name.clone();
            let response = dispatch::carry_out(settings, &Request::DomainAdd { domain })?;
            print_token(&response)?;
        }
        Action::List { json, settings } => {
            let response = dispatch::carry_out(settings, &Request::DomainList {})?;
            let Response::Domains { list } = &response else {
                return Err(dispatch::unexpected());
            };
            output::print(&match json {
                true => serde_json::to_string(list)?,
                false => table(list),
            })?;
        }
        Action::Remove {
            name,
            yes,
            settings,
        } => {
            if !yes && !confirmed(name)? {
                output::hint("Nothing was removed.");
                return Ok(());
            }
            let domain = name.clone();
            let response = dispatch::carry_out(settings, &Request::DomainRemove { domain })?;
            let Response::Removed { declared } = response else {
                return Err(dispatch::unexpected());
            };
            output::hint(&format!("The domain {name:?} was removed."));
            if declared {
                output::hint(
                    "The settings declare a token for it: it is there again, empty, after the next start.",
                );
            }
        }
        Action::Rotate {
            name,
            grace,
            settings,
        } => {
            let grace = grace.unwrap_or_default();
            let request = Request::DomainRotate {
                domain: name.clone(),
                grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            };
            let response = dispatch::carry_out(settings, &request)?;
            print_token(&response)?;
            if let Response::Token { declared: true, .. } = response {
                output::hint(
                    "The settings declare a token for this domain: take it out there, or it is good again after the next start.",
                );
            }
        }
    }
    Ok(())
}

fn print_token(response: &Response) -> Result<(), Failure> {
    let Response::Token { token, .. } = response else {
        return Err(dispatch::unexpected());
    };
    output::print(token)?;
    output::hint("This project token is kept only as a hash: store it now.");
    Ok(())
}

/// Asks for confirmation on the terminal; without one, `--yes` must have been given.
fn confirmed(name: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "removing a domain ends its messages, too: say --yes where nobody can be asked"
                .to_owned(),
        ));
    }
    output::hint(&format!(
        "Remove the domain {name:?} with all its messages? Type its name to go on:"
    ));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.context("the answer cannot be read")?;
    Ok(answer.trim_end_matches(['\r', '\n']) == name)
}

/// A table of name, creation time and tokens.
fn table(list: &[DomainSummary]) -> String {
    let mut table = Table::with_head(["NAME", "CREATED", "TOKENS"]);
    for line in list {
        let declared = if line.declared { " + declared" } else { "" };
        table.row([
            output::plain(&line.domain),
            second(line.created_at_ms),
            format!("{}{declared}", line.tokens),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_columns() {
        let line = |domain: &str, tokens, declared| DomainSummary {
            domain: domain.to_owned(),
            created_at_ms: 1_764_000_000_000,
            tokens,
            declared,
        };
        assert_eq!(
            table(&[line("demo", 1, false), line("中文.example", 0, true)]),
            "NAME          CREATED               TOKENS\n\
             demo          2025-11-24T16:00:00Z  1\n\
             中文.example  2025-11-24T16:00:00Z  0 + declared"
        );
        assert_eq!(table(&[]), "NAME  CREATED  TOKENS");
    }

    #[test]
    fn grace_is_bounded() {
        assert_eq!(grace("1h"), Ok(Duration::from_secs(3600)));
        assert!(grace("0s").is_ok() && grace("30days").is_ok());
        assert!(grace("31days").is_err() && grace("soon").is_err());
    }
}

//! `relaybox kick`: ends a user's sessions.

use anyhow::anyhow;
use clap::Args;

use super::setting_args::DataSettings;
use super::value_parsers::{domain_name, resource, user_id};
use super::{Failure, dispatch, output};
use crate::admin::{Request, Response};

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
    settings: DataSettings,
}

pub(super) fn run(args: &KickArgs) -> Result<(), Failure> {
    let request = Request::Kick {
        domain: args.domain.clone(),
        id: args.id.clone(),
        resource: args.resource.clone(),
    };
    let Response::Kicked { sessions } = dispatch::ask_running(&args.settings, &request)? else {
        return Err(dispatch::unexpected());
    };
    if args.json {
        output::print_json(&serde_json::json!({ "sessions": sessions }))?;
    }
    match sessions {
        0 => Err(anyhow!("there is no such session").into()),
        _ if args.json => Ok(()),
        1 => Ok(output::print("1 session was ended")?),
        _ => Ok(output::print(&format!("{sessions} sessions were ended"))?),
    }
}

//! `relaybox token`: mints a user token.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::setting_args::DataSettings;
use super::value_parsers::{domain_name, user_id};
use super::{Failure, dispatch, output};
use crate::admin::{Request, Response, TokenRequest};
use crate::auth::USER_TOKEN_TTL_S_MAX;
use crate::model::{UserId, UserName};

const EXAMPLES: &str = "\
Examples:
  relaybox token --domain demo --id alice
  relaybox token --domain demo --id alice --name Alice --ttl 7days
  relaybox token --domain demo --id news --cap system";

/// Mints a user token: a user's right to log in, for a time
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenArgs {
    /// The user's domain
    #[arg(long, value_name = "NAME", value_parser = domain_name)]
    domain: String,
    /// The user's id
    #[arg(long, value_name = "ID", value_parser = ordinary_user_id)]
    id: String,
    /// How long it is good, at most 30days
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// The user's display name; overrides the one it logs in with
    #[arg(long, value_parser = user_name)]
    name: Option<String>,
    /// What the user may do beyond chatting; repeatable
    #[arg(long, value_name = "CAPABILITY")]
    cap: Vec<Capability>,
    #[command(flatten)]
    settings: DataSettings,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Capability {
    /// Send messages of type 100
    System,
}

fn ordinary_user_id(text: &str) -> Result<String, String> {
    match text {
        UserId::SYSTEM => Err("the id \"system\" is reserved".to_owned()),
        _ => user_id(text),
    }
}

fn user_name(text: &str) -> Result<String, String> {
    let name = UserName::parse(text).map_err(|e| format!("a name {e}"))?;
    if name.is_system() {
        return Err("the name \"system\" is reserved".to_owned());
    }
    Ok(text.to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|ttl| (1..=USER_TOKEN_TTL_S_MAX).contains(&ttl.as_secs()))
        .filter(|ttl| *ttl <= Duration::from_secs(USER_TOKEN_TTL_S_MAX))
        .ok_or_else(|| "expected a duration such as 1h, from 1s to 30days".to_owned())
}

pub(super) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let request = Request::Token(TokenRequest {
        domain: args.domain.clone(),
        id: args.id.clone(),
        name: args.name.clone(),
        ttl_s: args.ttl.as_secs(),
        system: args.cap.contains(&Capability::System),
    });
    match dispatch::carry_out(&args.settings, &request)? {
        Response::Token { token, .. } => Ok(output::print(&token)?),
        _ => Err(dispatch::unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_bounded() {
        assert_eq!(ttl("1h"), Ok(Duration::from_secs(3600)));
        assert!(ttl("1s").is_ok() && ttl("30days").is_ok());
        for text in ["0s", "999ms", "30days 1ms", "3600", "-1h", ""] {
            assert!(ttl(text).is_err(), "{text}");
        }
    }
}

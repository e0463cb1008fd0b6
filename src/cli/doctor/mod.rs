//! `relaybox doctor`: reports what keeps clients out or messages unsafe, and what to do about it.
//!
//! First gathers facts (`gather`), then judges them (`judge`, a pure function), then reports.
//! Covers what `serve` would do with the same settings, with or without a running server. Changes
//! nothing, and prints no token.

mod facts;
mod finding;
mod gather;
mod judge;
#[cfg(test)]
mod tests;

use anyhow::anyhow;
use clap::Args;

use super::setting_args::AllSettings;
use super::{Failure, output};
use finding::State;

const EXAMPLES: &str = "\
Examples:
  relaybox doctor
  relaybox doctor --data /var/lib/relaybox --certs /etc/relaybox --host chat.example.com
  relaybox doctor --json | jq '.checks[] | select(.state != \"ok\")'

Takes the settings of `serve`. One line a check: ok, warning or problem. Exit code 0: no
problem; 1: something keeps clients out or messages unsafe.";

/// Says what keeps clients out or messages unsafe, and what to do about it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Prints JSON: {problems, warnings, checks: [{check, state, says}]}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: AllSettings,
}

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let (config, facts) = gather::gather(&args.settings)?;
    let findings = judge::judge(&config, &facts);
    let summary = findings.summary();
    output::print(&match args.json {
        true => findings.json().to_string(),
        false => findings.text(),
    })?;
    if findings.count(State::Problem) > 0 {
        return Err(anyhow!(summary).into());
    }
    if !args.json {
        output::print(&summary)?;
    }
    Ok(())
}

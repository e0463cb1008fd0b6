//! `relaybox clock`: whether the clock is trusted, and how to accept it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::progress::duration;
use super::setting_args::DataSettings;
use super::{Failure, data_dir, dispatch, output};
use crate::admin::{self, Request, Response};
use crate::store::{self, ClockHold};

const EXAMPLES: &str = "\
Examples:
  relaybox clock           says whether something is held back
  relaybox clock accept    the clock is right: from now on everything ends by age again

After a step of the clock of more than a day, also one that may have been a long stop, nothing is
dropped or erased by age (cursors, retention, the 24 hours of clientMsgId) before the server has
run for a day at the new time, or this is told. Works on a running server and on a stopped one.";

/// Says whether the clock is taken for right, or takes it for right
#[derive(Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    order: Option<Order>,
    #[command(flatten)]
    settings: DataSettings,
}

#[derive(Subcommand)]
enum Order {
    /// Takes the clock for right though it was stepped: everything ends by age again
    #[command(after_help = "Examples:\n  relaybox clock accept")]
    Accept {
        #[command(flatten)]
        settings: DataSettings,
    },
}

pub(super) fn run(args: &ClockArgs) -> Result<(), Failure> {
    let answer = match &args.order {
        None => sentence(hold(&args.settings)?),
        Some(Order::Accept { settings }) => {
            let response = dispatch::carry_out(settings, &Request::ClockAccept {})?;
            let Response::ClockAccepted { was_held } = response else {
                return Err(dispatch::unexpected());
            };
            match was_held {
                true => "accepted: everything ends by age again",
                false => "nothing was held: the clock was taken for right already",
            }
            .to_owned()
        }
    };
    Ok(output::print(&answer)?)
}

/// A running server's own answer; for a stopped one, the result its next start would have. Writes
/// nothing.
fn hold(settings: &DataSettings) -> Result<Option<ClockHold>, Failure> {
    let site = settings.site()?;
    let data = site.data();
    match admin::request(&site, &Request::Clock {})? {
        Some(Response::Clock { ahead_s, hold_s }) => Ok(ahead_s.map(|ahead_s| ClockHold {
            ahead_s,
            left: Duration::from_secs(hold_s),
        })),
        Some(_) => Err(dispatch::unexpected()),
        None if !data_dir::exists(data)? => Err(data_dir::missing(data)),
        None => Ok(store::survey(data)?.and_then(|survey| survey.clock_hold)),
    }
}

fn sentence(hold: Option<ClockHold>) -> String {
    match hold {
        None => "the clock is taken for right: everything ends by age".to_owned(),
        Some(hold) => format!(
            "{}; if the clock is right: relaybox clock accept",
            held(hold)
        ),
    }
}

/// What is on hold, and why.
pub(super) fn held(ClockHold { ahead_s, left }: ClockHold) -> String {
    let by = duration(Duration::from_secs(ahead_s.unsigned_abs()));
    let step = match ahead_s {
        0 => "the clock was wrong by more than a day, or the server was off for so long".to_owned(),
        1.. => {
            format!("the clock is {by} ahead of the time that was plausible, or the server was off")
        }
        _ => format!("the clock is {by} behind the time that was plausible"),
    };
    let left = duration(left);
    format!("{step}: nothing is dropped or erased by age until the server has run for {left} more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_is_held_and_for_how_long() {
        let hold = |ahead_s| {
            let left = Duration::from_millis(3_600_900);
            sentence(Some(ClockHold { ahead_s, left }))
        };
        let day_s = 86_400;
        assert!(hold(40 * day_s).starts_with("the clock is 1month 9days"));
        assert!(hold(-2 * day_s).starts_with("the clock is 2days behind"));
        assert!(hold(0).contains("run for 1h more; if the clock is right: relaybox clock accept"));
        assert!(sentence(None).contains("everything ends by age"));
    }
}

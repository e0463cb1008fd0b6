//! The command line: parses arguments, runs one subcommand, and turns its outcome into an exit code
//! and at most one sentence on standard error.
//!
//! Exit codes: 0 success; 2 bad usage or settings; 3 `check` found no damage, but the end may be
//! missing; 1 anything else. A broken standard output or error is an error or ignored, but never a
//! panic.

mod backup;
mod check;
mod clock;
mod completions;
mod data_dir;
mod dispatch;
mod doctor;
mod domain;
mod failure;
mod interrupt;
mod kick;
mod listen;
mod logging;
mod login_args;
mod man;
mod outlet;
mod output;
mod owner;
mod printer;
mod progress;
mod restore;
mod runtime;
mod send;
mod serve;
mod sessions;
mod setting_args;
mod signals;
mod stats;
mod table;
mod token;
mod value_parsers;

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use failure::{Failure, sentence};

/// A self-contained instant-message server.
#[derive(Parser)]
#[command(
    name = "relaybox",
    version,
    about,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  relaybox serve                                 run the server; the first start prints a login URL
  relaybox serve --host chat.example.com         with a name in the certificate that it makes
  relaybox domain add shop                       a domain for a project; prints its token
  relaybox token --domain shop --id alice        a token for one user, good for an hour
  relaybox backup /mnt/backup/relaybox           a copy of a running server, verified
  relaybox doctor                                what keeps clients out or messages unsafe
  relaybox listen --domain shop --id alice       what arrives for a user, in the terminal

Settings come from flags, RELAYBOX_* variables and relaybox.toml, in this order.";

#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Domain(domain::DomainArgs),
    Token(token::TokenArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Check(check::CheckArgs),
    Stats(stats::StatsArgs),
    Sessions(sessions::SessionsArgs),
    Kick(kick::KickArgs),
    Doctor(doctor::DoctorArgs),
    Clock(clock::ClockArgs),
    Send(send::SendArgs),
    Listen(listen::ListenArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the command given by the process arguments.
pub fn run() -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        output::complain(&logging::panicked(panic.location()));
    }));
    if let Err(error) = runtime::refuse_large_files() {
        output::complain(&sentence(&error));
        return ExitCode::FAILURE;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let words: Vec<_> = std::env::args_os().skip(1).collect();
            return usage(&without_values(error, &words));
        }
    };
    // A panic has already been reported; its exit code would be none of ours.
    let done = catch_unwind(AssertUnwindSafe(|| carry_out(&cli.command)));
    let (code, sentence) = match done.unwrap_or(Err(Failure::Logged)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Logged) => return ExitCode::FAILURE,
        Err(Failure::Other(error)) => (1, sentence(&error)),
        Err(Failure::Usage(sentence)) => (2, sentence),
        Err(Failure::Short(sentence)) => (3, sentence),
    };
    output::complain(&sentence);
    ExitCode::from(code)
}

fn carry_out(command: &Command) -> Result<(), Failure> {
    // Manual pages may be readable by everybody.
    if !matches!(command, Command::Man(_)) {
        owner::make_private();
    }
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Domain(args) => domain::run(args),
        Command::Token(args) => token::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Check(args) => check::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Sessions(args) => sessions::run(args),
        Command::Kick(args) => kick::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Clock(args) => clock::run(args),
        Command::Send(args) => send::run(args),
        Command::Listen(args) => listen::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Man(args) => man::run(args, Cli::command()),
    }
}

/// Removes the caller's words from the error, except known names: one may be a token in the wrong
/// place. An unknown name is reported by its position; clap itself suggests similar known ones.
fn without_values(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    // Suggestions would repeat it.
    error.remove(ContextKind::Suggested);
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    let mut place = None;
    for kind in [
        ContextKind::InvalidValue,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidArg,
    ] {
        let Some(ContextValue::String(written)) = error.get(kind) else {
            continue;
        };
        match kind {
            // No value was given.
            ContextKind::InvalidValue if written.is_empty() => continue,
            ContextKind::InvalidValue => {}
            ContextKind::InvalidArg if !is_unknown => continue,
            _ => place = place_of(written, words),
        }
        error.insert(kind, ContextValue::String("…".to_owned()));
    }
    if let Some(place) = place {
        let tip = format!("'…' is word {place} behind relaybox").into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// Position of the word, from 1; `None` if it is ambiguous.
fn place_of(written: &str, words: &[OsString]) -> Option<usize> {
    let is_it = |word: &OsString| {
        let word = word.to_string_lossy();
        let name = word.split_once('=').map_or(&*word, |(name, _)| name);
        *word == *written || name == written
    };
    let mut places = words.iter().zip(1..).filter(|(word, _)| is_it(word));
    let (_, place) = places.next()?;
    places.next().is_none().then_some(place)
}

fn usage(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    let (kind, text) = (error.kind(), error.to_string());
    match kind {
        DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand => {
            // The reader may be gone (`relaybox --help | head`).
            let _ = error.print();
        }
        _ => output::complain(text.strip_prefix("error: ").unwrap_or(&text).trim_end()),
    }
    match kind {
        DisplayHelp | DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests;

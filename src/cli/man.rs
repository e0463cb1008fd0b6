//! `relaybox man`: manual pages, made from what the command line is.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::{Cli, Failure, output};

const EXAMPLES: &str = "\
Examples:
  relaybox man | man -l -
  relaybox man --dir /usr/local/share/man/man1";

/// Prints the manual page, or writes those of all commands into a directory
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Writes relaybox.1, relaybox-serve.1 and so on into this directory, and makes it where it is missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &ManArgs) -> Result<(), Failure> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command().disable_help_subcommand(true))
            .render(&mut page)
            .context("the manual page cannot be made")?;
        return Ok(output::write(&page)?);
    };
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("the manual pages cannot be written into {}", dir.display()))?;
    Ok(())
}

//! `relaybox man`: manual pages, generated from the command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Failure, output};

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

pub(super) fn run(args: &ManArgs, command: Command) -> Result<(), Failure> {
    // Before the build: `help` subcommands have no page.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        let (_, page) = page(&command)?;
        return Ok(output::write(&page)?);
    };
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    Ok(write_pages(&command, dir)?)
}

/// Writes the pages of a command and its subcommands.
fn write_pages(command: &Command, dir: &Path) -> anyhow::Result<()> {
    let (name, page) = page(command)?;
    let file = dir.join(name);
    fs::write(&file, page).with_context(|| format!("{} cannot be written", file.display()))?;
    for below in command.get_subcommands() {
        write_pages(below, dir)?;
    }
    Ok(())
}

/// A page and its file name. Examples keep their line breaks.
fn page(command: &Command) -> anyhow::Result<(String, Vec<u8>)> {
    let examples = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone().after_help(None::<&str>));
    let name = man.get_filename();
    let mut page = Vec::new();
    man.render(&mut page)
        .with_context(|| format!("the page {name} cannot be made"))?;
    if let Some(examples) = examples {
        let mut section = Roff::new();
        section.control("SH", ["EXAMPLES"]).control("nf", []);
        // The help's heading becomes that of the section.
        for line in examples.lines().skip(1) {
            section.text([roman(line)]);
        }
        section.control("fi", []);
        section.to_writer(&mut page)?;
    }
    Ok((name, page))
}

//! `relaybox completions`: shell completions, for packages and for users' own start-up files.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Failure, output};

const EXAMPLES: &str = "\
Examples:
  relaybox completions bash > /etc/bash_completion.d/relaybox
  relaybox completions zsh > /usr/local/share/zsh/site-functions/_relaybox
  relaybox completions fish > ~/.config/fish/completions/relaybox.fish";

/// Prints completions of commands and flags for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "relaybox", &mut script);
    Ok(output::write(&script)?)
}

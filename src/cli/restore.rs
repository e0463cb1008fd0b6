//! `relaybox restore`: makes a data directory from a backup.

use std::path::PathBuf;

use clap::Args;

use super::progress::{Bar, counted, messages};
use super::setting_args::DataSettings;
use super::{Failure, data_dir, output, owner};
use crate::store;

const EXAMPLES: &str = "\
Examples:
  relaybox restore /mnt/backup/relaybox
  relaybox restore /mnt/backup/relaybox --data /var/lib/relaybox

The backup is verified first, and the data directory must be new or empty; a relaybox.toml may be
there, and stays. What is made in one that is there belongs to its owner, also where root runs this.";

/// Puts a backup in the place of a new data directory
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RestoreArgs {
    /// The backup: made by `relaybox backup`, or a plain copy of a data directory
    #[arg(value_name = "SRC")]
    src: PathBuf,
    #[command(flatten)]
    settings: DataSettings,
}

pub(super) fn run(args: &RestoreArgs) -> Result<(), Failure> {
    let data = data_dir::load(&args.settings)?.data;
    owner::become_owner_of(&data)?;
    let bar = Bar::of_bytes("verifying and copying");
    let restored = store::restore(&args.src, &data, &|done, all| bar.set(done, all))?;
    drop(bar);
    output::print(&format!(
        "{} restored into {}; {}",
        counted(restored.segments, "segment"),
        data.display(),
        messages(restored.messages, restored.newest),
    ))?;
    if restored.kept_settings {
        output::hint(
            "relaybox: warning: the relaybox.toml that was there stays; that of the backup is another one",
        );
    }
    for note in &restored.notes {
        output::hint(&format!("relaybox: warning: {note}"));
    }
    // Makes the first start fast, and surfaces anything it would stumble over now. The settings may
    // have come with the backup.
    let bar = Bar::open_end("making the index");
    let config = data_dir::load(&args.settings)?;
    data_dir::open(&config)?.close();
    drop(bar);
    output::hint("The index is made: the server can be started.");
    Ok(())
}

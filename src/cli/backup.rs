//! `relaybox backup`: a verified copy of a data directory, even while a server runs on it.

use std::path::PathBuf;

use clap::Args;

use super::progress::{Bar, bytes, counted, messages};
use super::setting_args::DataSettings;
use super::{Failure, data_dir, output, owner};
use crate::store::{self, BackupError, OpenError};

const EXAMPLES: &str = "\
Examples:
  relaybox backup /mnt/backup/relaybox
  relaybox backup --data /var/lib/relaybox /mnt/backup/relaybox

The first time it copies everything, later into the same place only what is new. Everything
that was acknowledged before it began is in the backup. Certificates are not.";

/// Niceness, so that a backup gives way to a running server and everything else.
const NICE: i32 = 10;

/// Copies the data directory, of a running server too, and verifies the copy
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BackupArgs {
    /// Where to: a new or empty directory, or an earlier backup of the same data directory
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// For scripts: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: DataSettings,
}

pub(super) fn run(args: &BackupArgs) -> Result<(), Failure> {
    let site = args.settings.site()?;
    let data = site.data().to_owned();
    owner::become_owner_of(&args.dest)?;
    // A courtesy only: the backup works without.
    let _ = rustix::process::nice(NICE);
    let bar = Bar::of_bytes("copying and verifying");
    let in_use = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(BackupError::Files(OpenError::InUse(used))) if *used == data);
    let copied = data_dir::while_in_use(in_use, || {
        let end = data_dir::journal_end(&site)?;
        let progress = |done, all| bar.set(done, all);
        Ok(store::backup(&data, end, &args.dest, &progress)?)
    })?;
    drop(bar);
    if args.json {
        return Ok(output::print_json(&serde_json::json!({
            "segmentsCopied": copied.copied,
            "bytesCopied": copied.bytes,
            "segmentsKept": copied.kept,
            "messages": copied.messages,
            "newestMsgId": copied.newest.0,
        }))?);
    }
    Ok(output::print(&format!(
        "{} copied ({}), {} kept; {}; every frame verified",
        counted(copied.copied, "segment"),
        bytes(copied.bytes),
        copied.kept,
        messages(copied.messages, copied.newest),
    ))?)
}

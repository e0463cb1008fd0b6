//! `relaybox check`: reads a whole data directory or backup and reports all damage; repairs it if
//! asked to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;

use super::progress::{Bar, count, counted, messages, time};
use super::setting_args::DataSettings;
use super::{Failure, data_dir, interrupt, output, owner};
use crate::admin::Site;
use crate::store::{self, CheckReport, IndexCondition, Loss, Note, Scratches};

const EXAMPLES: &str = "\
Examples:
  relaybox check
  relaybox check /mnt/backup/relaybox
  relaybox check --repair

Exit code 0: whole; 1: damaged; 3: nothing is damaged, but what came last may be missing (a copy by a
tool that leaves out files that change, or one that did not come to its end). With --repair (of a stopped server, or of a backup) everything
that can be read is kept, and damaged files are moved into journal.damaged-1, -2 and so on.";

/// Cache size of the index during verification.
const CACHE_BYTES: u64 = 32 << 20;

/// Reads every frame and record of a data directory or a backup, and names all damage
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// A backup, or a data directory [default: that of --data]
    #[arg(value_name = "DIR", conflicts_with = "data")]
    dir: Option<PathBuf>,
    /// Keeps what can be read and sets the rest aside
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    settings: DataSettings,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let site = match &args.dir {
        Some(dir) => Site::new(dir, None),
        None => args.settings.site()?,
    };
    let dir = site.data().to_owned();
    // Before any thread starts: it would keep the user of the thread that started it.
    if args.repair {
        owner::become_owner_of(&dir)?;
    }
    let scratches = Arc::new(Scratches::default());
    let at_end = Arc::clone(&scratches);
    interrupt::before_end(move || at_end.end())?;
    let report = check(&site, &scratches)?;
    report_on(&dir, &report)?;
    let is_unfit = matches!(report.index, IndexCondition::Unfit(_));
    if report.damage.is_empty() && !(is_unfit && args.repair) {
        if is_unfit {
            let sentence =
                "the index is damaged; no message is lost: it is made anew at the next start";
            return Err(anyhow!(sentence).into());
        }
        if is_short(&report) {
            let dir = dir.display();
            let sentence = format!("what came last may be missing from {dir}");
            return Err(Failure::Short(sentence));
        }
        return Ok(());
    }
    if !args.repair {
        return Err(damaged(&dir, &report));
    }
    if report.index == IndexCondition::InUse {
        return Err(anyhow!("stop the server before its data directory is repaired").into());
    }
    repair(&dir)?;
    let report = check(&site, &scratches)?;
    report_on(&dir, &report)?;
    if !report.damage.is_empty() {
        return Err(damaged(&dir, &report));
    }
    Ok(())
}

fn check(site: &Site, scratches: &Scratches) -> anyhow::Result<CheckReport> {
    let bar = Bar::of_bytes("reading");
    data_dir::while_in_use(data_dir::is_in_use, || {
        let end = data_dir::journal_end(site)?;
        let progress = |done, all| bar.set(done, all);
        Ok(store::check(
            site.data(),
            end,
            CACHE_BYTES,
            scratches,
            &progress,
        )?)
    })
}

/// Whether the end of the journal may be missing.
fn is_short(report: &CheckReport) -> bool {
    let mut notes = report.notes.iter();
    notes.any(|note| {
        matches!(
            note,
            Note::Sealed(_) | Note::BreaksOff { .. } | Note::IndexAhead { .. }
        )
    })
}

fn damaged(dir: &Path, report: &CheckReport) -> Failure {
    let places = report.damage.len() as u64 + report.more_damage;
    let places = counted(places, "place");
    let dir = dir.display();
    anyhow!("{dir} is damaged in {places}; with --repair, what can be read is kept").into()
}

fn report_on(dir: &Path, report: &CheckReport) -> anyhow::Result<()> {
    for damage in &report.damage {
        output::print(&damage.to_string())?;
    }
    if report.more_damage > 0 {
        let more = count(report.more_damage);
        output::print(&format!("and so are {more} places more"))?;
    }
    for note in &report.notes {
        output::print(&note.to_string())?;
    }
    output::print(&match &report.index {
        IndexCondition::InUse => "a server runs: its index was not looked at".to_owned(),
        IndexCondition::Unseen(why) => format!(
            "the index was not looked at: there is no place for a copy of it in {} (TMPDIR): {why}",
            std::env::temp_dir().display()
        ),
        IndexCondition::Absent => {
            "there is no index that could be used: it is made from the journal at the next start"
                .to_owned()
        }
        IndexCondition::Copied => {
            "the index came with a copy: it is made from the journal at the next start".to_owned()
        }
        IndexCondition::Fit => "the index is whole".to_owned(),
        IndexCondition::Unfit(why) => {
            format!("the index is not fit and is made anew at the next start: {why}")
        }
        IndexCondition::PerhapsCopied(why) => format!(
            "the index is made anew at the next start, as that of a copy is; nothing tells whether \
             this is one: {why}"
        ),
    })?;
    let whole = match (report.damage.is_empty(), is_short(report)) {
        (true, false) => "is whole",
        (true, true) => "is whole as far as it goes",
        (false, _) => "has, as far as it can be read",
    };
    output::print(&format!(
        "{} {whole}: {}, {}, {}",
        dir.display(),
        counted(report.segments, "segment"),
        counted(report.frames, "frame"),
        messages(report.messages, report.newest)
    ))
}

fn repair(dir: &Path) -> anyhow::Result<()> {
    let bar = Bar::of_bytes("repairing");
    let repaired = store::repair(dir, &|done, all| bar.set(done, all))?;
    drop(bar);
    for loss in &repaired.losses {
        output::print(&describe(loss))?;
    }
    if let Some(aside) = &repaired.aside {
        output::print(&format!(
            "{} set aside in {}",
            counted(repaired.files, "damaged file"),
            aside.display()
        ))?;
    }
    Ok(())
}

/// Describes the loss as precisely as it can be known.
fn describe(loss: &Loss) -> String {
    let frames = match loss.to {
        Some(to) if to == loss.from + 1 => format!("frame {}", loss.from),
        Some(to) => format!("frames {} to {}", loss.from, to - 1),
        None => format!("whatever came from frame {} on", loss.from),
    };
    let after = match loss.after.0 {
        0 => "from the beginning".to_owned(),
        _ => format!("after {}", time(loss.after)),
    };
    let before = match loss.before {
        Some(before) => format!(", not later than {}", time(before)),
        None => String::new(),
    };
    let lost = match loss.is_unsure {
        true => "lost, unless this is a copy",
        false => "lost",
    };
    format!("{lost}: {frames}, sent {after}{before}")
}

//! Mends a damaged journal: keeps everything that can be read and sets the rest aside.
//!
//! Invariants: no byte is destroyed: every file that is not kept as it is lies in
//! `journal.damaged-<n>` afterwards; at any moment each name leads to a whole file, so an
//! interrupted repair is simply done again; the index is made anew at the next start.

mod chain;
mod plan;
mod scan;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::api::OpenError;
use super::backup::Mark;
use super::check::segment::Piece;
use super::check::{Progress, known, segments};
use super::files::{self, FileSystem, RealFileSystem};
use super::hold;
use super::index::IndexState;
use super::indexing::{self, Origin};
use super::journal::{FrameBuffer, Packer, SegmentName};
use super::layout::{self, io_error};
use crate::model::MsgId;
use plan::{Made, plan};
use scan::{Candidate, Source, readable};

const ASIDE: &str = "journal.damaged-";

/// Group commits that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The first frame.
    pub from: u64,
    /// The frame behind the last, if that can be known.
    pub to: Option<u64>,
    /// Their messages have higher ids than this,
    pub after: MsgId,
    /// and, if that can be known, none that is higher than this.
    pub before: Option<MsgId>,
    /// Only the index knows of them, which in a copy may be later than the journal; and nothing
    /// tells whether this is one.
    pub is_unsure: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Where the damaged files are now; `None`: none was touched.
    pub aside: Option<PathBuf>,
    /// How many there are in it.
    pub files: u64,
    /// What is lost.
    pub losses: Vec<Loss>,
}

/// Mends the journal of a stopped data directory, or of a backup.
///
/// # Errors
/// It is in use, is no data directory of a known version, nothing of it can be read, or a
/// file operation failed: what is done then is right, and the repair can be done again.
pub fn repair(dir: &Path, progress: Progress<'_>) -> Result<Repaired, OpenError> {
    let files = RealFileSystem;
    known(&files, dir)?;
    let _held = hold::hold(dir)?;
    let journal = dir.join(layout::JOURNAL);
    let names = segments(&files, &journal)?;
    let mut candidates = Vec::new();
    for (done, name) in (1..).zip(&names) {
        candidates.extend(Candidate::of(&files, &journal, *name));
        progress(done, names.len() as u64);
    }
    if candidates.is_empty() {
        return Err(OpenError::Damaged {
            path: journal,
            offset: 0,
            what: "nothing of it can be read: only a backup can help".to_owned(),
        });
    }
    // The only thing that may know of what is gone without a trace; that of a copy is of a later time.
    let index = indexing::load(&files, dir)?.filter(|index| index.origin != Origin::Copy);
    let plan = plan(&names, candidates, index.as_ref());
    // Whatever happens from here on, the index is not relied upon.
    let state = dir.join(IndexState::FILE);
    files
        .remove(&state)
        .and_then(|()| files.sync_dir(dir))
        .map_err(io_error("cannot remove", &state))?;
    // What a backup says that it held is no measure any more.
    Mark::forget(&files, dir)?;
    if plan.aside.is_empty() && plan.made.is_empty() && plan.open.is_none() {
        return Ok(Repaired {
            aside: None,
            files: 0,
            losses: plan.losses,
        });
    }
    let aside = make_aside(&files, dir)?;
    for name in &plan.aside {
        let (from, to) = (name.path(&journal), name.path(&aside));
        keep(&from, &to).map_err(io_error("cannot set aside", &from))?;
    }
    files
        .sync_dir(&aside)
        .map_err(io_error("cannot write in", &aside))?;
    for made in &plan.made {
        let path = made.name.path(&journal);
        make(&files, &journal, &aside, made).map_err(io_error("cannot write", &path))?;
    }
    for name in &plan.aside {
        if !plan.made.iter().any(|made| made.name == *name) {
            let path = name.path(&journal);
            let removed = files.remove(&path);
            removed.map_err(io_error("cannot set aside", &path))?;
        }
    }
    if let Some((name, header)) = plan.open {
        let path = name.path(&journal);
        let made = files::replace(&files, &journal, &name.file_name(), &header.encode());
        made.map_err(io_error("cannot write", &path))?;
    }
    files
        .sync_dir(&journal)
        .map_err(io_error("cannot write in", &journal))?;
    Ok(Repaired {
        aside: Some(aside),
        files: plan.aside.len() as u64,
        losses: plan.losses,
    })
}

fn make_aside(files: &dyn FileSystem, dir: &Path) -> Result<PathBuf, OpenError> {
    let names = files.list(dir).map_err(io_error("cannot list", dir))?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix(ASIDE));
    let numbers = numbers.filter_map(|number| number.parse::<u64>().ok());
    let number = numbers.max().unwrap_or(0).saturating_add(1);
    let aside = dir.join(format!("{ASIDE}{number}"));
    let made = files.create_dir(&aside);
    made.map_err(io_error("cannot create", &aside))?;
    Ok(aside)
}

/// Whether an entry of a data directory is what a repair set aside.
pub(super) fn is_aside(name: &str) -> bool {
    name.starts_with(ASIDE)
}

/// Keeps a file under a second name. By a copy where the file system has no links, or where it may
/// be the newest segment at a moment: with two names that would be refused, also by the next repair.
fn keep(from: &Path, to: &Path) -> io::Result<()> {
    if !hold::is_not_compressed(from)? && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Makes a segment of what can be read of its source, and puts it in its place.
fn make(files: &dyn FileSystem, journal: &Path, aside: &Path, made: &Made) -> io::Result<()> {
    let header = made.header;
    let mut packer = Packer::begin(files, journal, made.name)?;
    packer.write_all(&header.encode())?;
    let mut sequence = header.first_sequence;
    if let Some((source, name)) = made.source.and_then(|name| open(files, aside, name)) {
        let end = header.rewritten_to.unwrap_or(u64::MAX);
        let mut buffer = FrameBuffer::default();
        let mut expected = source.header().first_sequence;
        let mut written = Ok(());
        source.read(files, &name.path(aside), &mut |piece| {
            let Piece::Frame(_, frame) = piece else {
                return true;
            };
            if frame.sequence < expected || frame.sequence >= end {
                return true;
            }
            expected = frame.sequence.saturating_add(1);
            buffer.clear();
            for (record, _) in readable(&frame).0 {
                buffer.push(|out| out.extend_from_slice(record));
            }
            if !buffer.is_empty() {
                written = packer.write_all(buffer.seal(header.generation, sequence));
                sequence += 1;
            }
            written.is_ok()
        });
        written?;
    }
    packer.finish()?.put_in_place()
}

fn open(files: &dyn FileSystem, aside: &Path, name: SegmentName) -> Option<(Source, SegmentName)> {
    Some((Source::open(files, &name.path(aside), name)?, name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::journal::ZSTD_MAGIC;
    use super::*;

    #[test]
    fn a_repair_that_ends_behind_any_file_set_aside_can_be_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join(layout::JOURNAL);
        fs::create_dir(&journal).unwrap();
        let aside = make_aside(&RealFileSystem, dir.path()).unwrap();
        let sealed = ZSTD_MAGIC.as_slice();
        for (number, bytes) in (1..).zip([sealed, b"rbxJRNL\n", b"", b"rbxJRNL\nmore"]) {
            let name = SegmentName {
                number,
                first_id: number,
            };
            let (from, to) = (name.path(&journal), name.path(&aside));
            fs::write(&from, bytes).unwrap();
            keep(&from, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), bytes);
            hold::refuse_links(dir.path()).unwrap();
            drop(hold::hold(dir.path()).unwrap());
        }
    }
}

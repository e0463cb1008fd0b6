//! A survey of a data directory from outside, with or without a running server.
//!
//! Takes no lock and writes nothing; reads the headers of all segments and the frames of two of
//! them. With a server running, the answer may be a moment old.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};
use crate::model::{MsgId, Retention};
use crate::store::age::{AgeClock, AgeState, ClockHold};
use crate::store::api::{FileError, OpenError, io_error};
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::directory::{hold, layout, retention};
use crate::store::disk::{FileSystem, RealFileSystem};
use crate::store::index::manifest_file;
use crate::store::journal::{Event, Scanner, SegmentName, check_headers, list};

/// More than the levels of directories in an index.
const DEPTH_MAX: u32 = 4;

/// An overview of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Bytes of journal and index.
    pub bytes: u64,
    /// About the first id issued.
    pub oldest: MsgId,
    /// The last id issued.
    pub newest: MsgId,
    /// Whether a domain was ever created; `None` if only the server can tell.
    pub has_domains: Option<bool>,
    /// The retention that was last in force; unlimited, if unknown.
    pub retention: Retention,
    /// Why nothing expires by age in the running server, or in one that starts now: a step of the
    /// clock, or a long stop.
    pub clock_hold: Option<ClockHold>,
}

/// Surveys a data directory; `None` if nothing has been stored there yet. Blocks on the disk.
///
/// # Errors
/// No server would start on it: it is of a newer version, half restored, visibly damaged, or
/// unreadable.
pub fn survey(dir: &Path) -> Result<Option<Survey>, OpenError> {
    let files = &RealFileSystem;
    match layout::known(files, dir) {
        Err(OpenError::Missing(_)) => return Ok(None),
        known => known?,
    }
    hold::refuse_links(dir)?;
    let journal = dir.join(layout::JOURNAL);
    if !journal.is_dir() {
        return Ok(None);
    }
    let segments = list(files, &journal)?;
    check_headers(files, &journal, &segments)?;
    let state = manifest_file::load(files, dir)?.map(|loaded| loaded.state);
    let mut found = JournalSurvey::default();
    match segments.as_slice() {
        [] => {}
        [only] => found.read(files, &journal, *only, false)?,
        [first, second, ..] => {
            found.read(files, &journal, *first, true)?;
            if found.oldest == 0 {
                found.oldest = second.first_id;
            }
        }
    }
    if let [_, .., last] = segments.as_slice() {
        found.read(files, &journal, *last, false)?;
    }
    // A new segment has no age time yet.
    if let ([.., before, _], None) = (segments.as_slice(), &found.age) {
        found.read(files, &journal, *before, false)?;
    }
    let indexed = state.as_ref().map(|state| state.small.domains > 0);
    let indexed_id = state.as_ref().map_or(0, |state| state.last_id);
    let newest = MsgId(found.newest.max(indexed_id));
    let wall_us = SystemClock.now_us();
    let age = AgeClock::resume(found.age, newest, wall_us, Duration::ZERO);
    let bytes = bytes(&journal, DEPTH_MAX) + bytes(&dir.join("db"), DEPTH_MAX);
    Ok(Some(Survey {
        bytes,
        oldest: MsgId(found.oldest),
        newest,
        has_domains: match found.has_domains || segments.is_empty() {
            true => Some(found.has_domains),
            false => indexed,
        },
        retention: retention::applied(files, dir)?.unwrap_or_default(),
        clock_hold: age.hold(wall_us),
    }))
}

#[derive(Default)]
struct JournalSurvey {
    /// 0 if there is none.
    oldest: u64,
    newest: u64,
    has_domains: bool,
    age: Option<AgeState>,
}

impl JournalSurvey {
    /// Reads a segment up to its first message, or up to the first invalid frame, which a server
    /// may be writing.
    fn read(
        &mut self,
        files: &dyn FileSystem,
        journal: &Path,
        name: SegmentName,
        only_first: bool,
    ) -> Result<(), FileError> {
        let path = name.path(journal);
        let mut scanner = Scanner::open(files, &path)?;
        self.newest = self.newest.max(scanner.header().last_id);
        loop {
            let frame = match scanner.next() {
                Event::Frame(_, frame) => frame,
                Event::Stuck(_, Some(error)) => {
                    return Err(io_error("cannot read", &path)(error));
                }
                _ => return Ok(()),
            };
            for record in frame.records().unwrap_or_default() {
                match record::decode(record) {
                    Ok(Record::Send { messages, .. }) => {
                        let ids = || messages.iter().map(|message| message.id.0);
                        self.newest = self.newest.max(ids().max().unwrap_or_default());
                        if self.oldest == 0 {
                            self.oldest = ids().min().unwrap_or_default();
                        }
                        if only_first {
                            return Ok(());
                        }
                    }
                    Ok(Record::Domain(_)) => self.has_domains = true,
                    Ok(Record::Age(age)) => self.age = Some(age),
                    // `check` reports what does not decode.
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
}

/// The bytes of the files below a directory, but for those that vanish meanwhile.
fn bytes(dir: &Path, depth: u32) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let sizes = entries.filter_map(io::Result::ok).map(|entry| {
        let Ok(metadata) = entry.metadata() else {
            return 0;
        };
        match metadata.is_dir() {
            true if depth > 0 => bytes(&entry.path(), depth - 1),
            true => 0,
            false => metadata.len(),
        }
    });
    sizes.sum()
}

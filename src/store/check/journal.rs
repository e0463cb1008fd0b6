//! Reads every frame of a journal.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::{CheckReport, Progress};
use super::walk::{Next, Walk};
use crate::store::api::OpenError;
use crate::store::directory::layout;
use crate::store::disk::FileSystem;
use crate::store::journal::{Position, SegmentHeader, SegmentName, header_of, segments};

/// Checks the journal alone.
pub(crate) fn check_journal(
    files: &dyn FileSystem,
    dir: &Path,
    end: Option<Position>,
    progress: Progress<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<CheckReport, OpenError> {
    let journal = dir.join(layout::JOURNAL);
    let mut names = segments(files, &journal)?;
    if let Some(end) = end {
        // Later ones were begun since.
        names.retain(|name| name.number <= end.segment);
    }
    let sizes = sizes(&journal, &names);
    let all: u64 = sizes.iter().sum();
    let header = |name: &SegmentName| header_of(files, &journal, *name).ok();
    let headers: Vec<_> = names.iter().map(header).collect();
    let mut walk = Walk::new(files);
    walk.journal = mark(&headers);
    walk.until = end.map(|end| end.sequence);
    if names.is_empty() {
        walk.damage(&journal, 0, "its segments are missing".to_owned());
    }
    let mut done = 0;
    for (index, name) in names.iter().enumerate() {
        if stop() {
            return Err(OpenError::Stopped);
        }
        let next = match names.get(index + 1).zip(headers.get(index + 1)) {
            None => Next::Nothing,
            Some((next, Some(header))) if header.number == next.number => Next::Segment(*header),
            Some(_) => Next::Unknown,
        };
        walk.segment(*name, &name.path(&journal), &next);
        done += sizes.get(index).copied().unwrap_or_default();
        progress(done, all);
    }
    Ok(walk.report)
}

/// The mark that most segments have.
fn mark(headers: &[Option<SegmentHeader>]) -> Option<u32> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for header in headers.iter().flatten() {
        *counts.entry(header.journal).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(journal, _)| journal)
}

/// For progress only.
fn sizes(journal: &Path, names: &[SegmentName]) -> Vec<u64> {
    let size = |name: &SegmentName| {
        let metadata = std::fs::metadata(name.path(journal));
        metadata.map_or(0, |metadata| metadata.len())
    };
    names.iter().map(size).collect()
}

//! Reads every frame of a journal.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::stream::SegmentStream;
use super::walk::{Next, Walk};
use crate::store::check::CheckReport;
use crate::store::disk::FileSystem;
use crate::store::journal::Position;

/// Reads the journal only.
pub(crate) fn check_journal(
    files: &dyn FileSystem,
    dir: &Path,
    end: Option<Position>,
) -> CheckReport {
    let journal = dir.join("journal");
    let names = crate::store::journal::list(files, &journal).unwrap();
    let mut walk = Walk::new(files);
    let mut counts = std::collections::BTreeMap::<u32, u64>::new();
    for name in &names {
        if let Ok(stream) = SegmentStream::open(files, &name.path(&journal)) {
            *counts.entry(stream.header().journal).or_default() += 1;
        }
    }
    walk.journal = counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(journal, _)| journal);
    for (index, name) in names.iter().enumerate() {
        let next = match names.get(index + 1) {
            None => Next::Nothing(end.map(|end| end.sequence)),
            Some(next) => match SegmentStream::open(files, &next.path(&journal)) {
                Ok(stream) if stream.header().number == next.number => {
                    Next::Segment(*stream.header())
                }
                _ => Next::Unknown,
            },
        };
        walk.segment(*name, &name.path(&journal), &next);
    }
    walk.finish()
}

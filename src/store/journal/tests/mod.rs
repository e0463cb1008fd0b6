//! The readers of the journal, over segments that are damaged at random.
#![allow(clippy::unwrap_used)]

pub(crate) mod damaged;
pub(crate) mod old;

use std::path::Path;

use proptest::prelude::*;

use super::position::Position;
use super::reader::{list, replay};
use crate::store::api::OpenError;
use crate::store::check::judge;
use crate::store::data::Record;
use crate::store::disk::RealFileSystem;
use damaged::{Journal, journals};

type Seen = Vec<(Position, usize)>;

/// Damaged journals that are held against the readers.
pub(crate) const CASES: u32 = 1_000;

pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A data directory with such a journal.
pub(crate) fn directory(journal: &Journal) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    std::fs::create_dir(&path).unwrap();
    journal.write(&path);
    dir
}

fn replayed(dir: &Path, from: Position, until: Option<u64>, is_new: bool) -> (Seen, String) {
    let files = &RealFileSystem;
    let segments = list(files, dir).unwrap();
    let mut seen = Seen::new();
    let mut visit = |records: Vec<Record>, behind: Position| {
        seen.push((behind, records.len()));
        Ok::<_, OpenError>(())
    };
    let said = match is_new {
        true => format!(
            "{:?}",
            replay(files, dir, &segments, from, until, &mut visit)
        ),
        false => {
            let replay = old::reader::replay(files, dir, &segments, from, until, &mut visit);
            format!("{replay:?}")
        }
    };
    (seen, said)
}

fn replays_alike(dir: &Path, from: Position, until: Option<u64>) -> Result<Seen, TestCaseError> {
    let (seen, said) = replayed(dir, from, until, false);
    prop_assert_eq!((&seen, said), {
        let (seen, said) = replayed(dir, from, until, true);
        (&seen.clone(), said)
    });
    Ok(seen)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn replay_is_what_it_was(
        journal in journals(),
        picked in any::<prop::sample::Index>(),
        until in prop::option::of(0..20_u64),
        off in (-1..2_i64, -1..2_i64),
    ) {
        let dir = directory(&journal);
        let dir = &dir.path().join("journal");
        let seen = replays_alike(dir, Position::START, None)?;
        replays_alike(dir, Position::START, until)?;
        if !seen.is_empty() {
            let (from, _) = seen[picked.index(seen.len())];
            replays_alike(dir, from, until)?;
            let from = Position {
                offset: from.offset.saturating_add_signed(off.0),
                sequence: from.sequence.saturating_add_signed(off.1),
                ..from
            };
            replays_alike(dir, from, None)?;
        }
    }

    #[test]
    fn check_is_what_it_was(journal in journals(), until in prop::option::of(0..20_u64)) {
        let dir = directory(&journal);
        let last = list(&RealFileSystem, &dir.path().join("journal")).unwrap().len() as u64;
        let end = until.map(|sequence| Position { segment: last, offset: 0, sequence });
        let new = judge(&RealFileSystem, dir.path(), end, &|_, _| {}, &|| false).unwrap();
        let mut old = old::check::check_journal(&RealFileSystem, dir.path(), end);
        let mut notes = new.notes.clone();
        notes.retain(|note| matches!(note, crate::store::check::Note::Padded { .. }));
        prop_assert_eq!(&old.notes, &notes);
        old.notes = new.notes.clone();
        prop_assert_eq!(old, new);
    }
}

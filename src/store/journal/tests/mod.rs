//! The readers of the journal agree on which frames count, over segments that are damaged at random.
#![allow(clippy::unwrap_used)]

mod damaged;

use std::path::Path;

use proptest::prelude::*;

use super::position::Position;
use super::reader::{Outcome, list, replay};
use crate::store::api::FileError;
use crate::store::backup;
use crate::store::check::{CheckReport, judge};
use crate::store::data::Record;
use crate::store::disk::RealFileSystem;
use crate::store::repair;
use damaged::journals;

/// What a replay from the beginning visits, and how it ends.
struct Replayed {
    frames: u64,
    messages: u64,
    outcome: Result<Outcome, FileError>,
}

fn replayed(dir: &Path) -> Replayed {
    let (files, dir) = (&RealFileSystem, &dir.join("journal"));
    let segments = list(files, dir).unwrap();
    let (mut frames, mut messages) = (0, 0);
    let mut visit = |records: Vec<Record>, _: Position| {
        frames += 1;
        let counts = records.iter().map(|record| match record {
            Record::Send { messages, .. } => messages.len() as u64,
            _ => 0,
        });
        messages += counts.sum::<u64>();
        Ok(())
    };
    let outcome = replay(files, dir, &segments, Position::START, None, &mut visit);
    Replayed {
        frames,
        messages,
        outcome,
    }
}

fn checked(dir: &Path) -> CheckReport {
    judge(&RealFileSystem, dir, None, &|_, _| {}, &|| false).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn replay_check_backup_and_repair_agree(journal in journals()) {
        let (dir, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (dir, dest) = (dir.path(), dest.path());
        std::fs::create_dir(dir.join("journal")).unwrap();
        journal.write(&dir.join("journal"));
        let report = checked(dir);
        let is_whole = report.damage.is_empty();
        let replayed = replayed(dir);
        match replayed.outcome {
            Ok(Outcome::Reached(end)) if is_whole => {
                prop_assert_eq!(end.position, report.end);
                prop_assert_eq!(end.torn_bytes, report.torn_bytes);
                prop_assert_eq!(replayed.frames, report.frames);
                prop_assert_eq!(replayed.messages, report.messages);
            }
            Ok(outcome) => prop_assert!(!is_whole, "{outcome:?}"),
            Err(error) => prop_assert!(!is_whole, "{error}"),
        }
        match backup(dir, None, dest, &|_, _| {}) {
            Ok(copied) if is_whole => {
                prop_assert_eq!(copied.messages, report.messages);
                let copy = checked(dest);
                prop_assert!(copy.damage.is_empty(), "{copy:?}");
                prop_assert_eq!((copy.frames, copy.end), (report.frames, report.end));
            }
            Ok(copied) => prop_assert!(is_whole, "{copied:?} {report:?}"),
            Err(error) => prop_assert!(!is_whole, "{error}"),
        }
        if repair(dir, &|_, _| {}).is_ok() && is_whole {
            let repaired = checked(dir);
            prop_assert!(repaired.damage.is_empty(), "{repaired:?}");
            prop_assert_eq!(repaired.messages, report.messages);
        }
    }
}

//! Reads the domains of a stopped directory from its journal alone.
//!
//! Writes nothing. Opening the index would write, even to read it.

use std::path::Path;

use crate::model::DomainRecord;
use crate::store::api::{FileError, OpenError};
use crate::store::data::{Domains, Record};
use crate::store::directory::{hold, layout};
use crate::store::disk::RealFileSystem;
use crate::store::journal::{Outcome, Position, check_headers, list, replay};

/// All domains. Locks the directory meanwhile; reads the whole journal.
///
/// # Errors
/// The directory is in use, of a newer version, no data directory, damaged, or unreadable.
pub fn stored_domains(dir: &Path) -> Result<Vec<DomainRecord>, OpenError> {
    let files = &RealFileSystem;
    layout::known(files, dir)?;
    let _held = hold::hold(dir)?;
    let journal = dir.join(layout::JOURNAL);
    let segments = list(files, &journal)?;
    check_headers(files, &journal, &segments)?;
    let mut domains = Domains::default();
    let mut visit = |records: Vec<Record>, _: Position| {
        for record in &records {
            domains.apply(record);
        }
        Ok::<_, FileError>(())
    };
    let begin = Position::START;
    match replay(files, &journal, &segments, begin, None, &mut visit)? {
        Outcome::Reached(_) => Ok(domains.records()),
        Outcome::Astray => Err(layout::astray(journal).into()),
    }
}

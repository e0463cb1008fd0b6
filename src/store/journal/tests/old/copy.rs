//! The end of the journal.

use std::path::Path;

use super::stream::{SegmentStream, Step};
use crate::store::api::OpenError;
use crate::store::directory::io_error;
use crate::store::disk::FileSystem;
use crate::store::journal::{HEADER_BYTES, Position, list};

/// The end of the journal of a stopped server, before what a crash may have torn.
pub(crate) fn end(files: &dyn FileSystem, journal: &Path) -> Result<Position, OpenError> {
    let names = list(files, journal)?;
    let Some(name) = names.last() else {
        return Err(OpenError::Damaged {
            path: journal.to_owned(),
            offset: 0,
            what: "its segments are missing".to_owned(),
        });
    };
    let path = name.path(journal);
    let mut stream = SegmentStream::open(files, &path)?;
    let mut end = Position {
        segment: name.number,
        offset: HEADER_BYTES as u64,
        sequence: stream.header().first_sequence,
    };
    loop {
        match stream.next() {
            Ok(Step::Frame(frame)) => end.sequence = frame.sequence.saturating_add(1),
            // Whether what is behind it is only torn, the walk over the copy would not know.
            Ok(Step::Bad) => {
                let resumed = stream.resume(end.sequence);
                return match resumed.map_err(io_error("cannot read", &path))? {
                    Ok(found) => Err(OpenError::Damaged {
                        path,
                        offset: end.offset,
                        what: format!(
                            "frame {} is bad, and a good one follows at byte {found}",
                            end.sequence
                        ),
                    }),
                    Err(_) => Ok(end),
                };
            }
            Ok(Step::End) => {
                let next = stream.header().rewritten_to;
                end.sequence = end.sequence.max(next.unwrap_or_default());
                return Ok(end);
            }
            Err(source) => return Err(io_error("cannot read", &path)(source)),
        }
        end.offset = stream.offset();
    }
}

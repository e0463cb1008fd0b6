//! Appends frames, one write and one sync each, and begins and seals segments.
//!
//! Invariant: after a failed write or sync the file is never written again (a failed sync may have
//! dropped its pages). It is truncated to its last good length if possible; the header of the next
//! segment declares whatever is left behind void.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::frame::FrameBuffer;
use super::position::Position;
use super::reader::End;
use super::segment::{HEADER_BYTES, SegmentHeader, SegmentName};
use crate::clock::Clock;
use crate::store::disk::{FileSystem, JournalFile, OutOfSpace as _, Temporary};

/// Between two attempts to begin a segment.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Reserving less than this on a full disk is a failure: better no segment than many tiny
/// ones, each of which says that there is room again until the next larger message.
const PREALLOCATE_BYTES_MIN: u64 = 1 << 20;

/// What recovery knows of the journal.
#[derive(Debug)]
pub(crate) struct WriterStart {
    /// The journal's directory.
    pub(crate) dir: PathBuf,
    /// Size at which a segment is sealed.
    pub(crate) segment_bytes: u64,
    /// The journal's mark; `None` where there is no segment yet.
    pub(crate) journal: Option<u32>,
    /// Its end, with the last id issued. Bytes behind it are leftovers.
    pub(crate) end: End,
}

struct Current {
    file: Box<dyn JournalFile>,
    name: SegmentName,
    generation: u64,
    frames: u64,
}

/// Appends to the journal.
pub(crate) struct Writer {
    files: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    segment_bytes: u64,
    current: Option<Current>,
    end: Position,
    is_marked: bool,
    journal: u32,
    /// The name of the segment to begin. Kept over failures, so that a file that was left half-made
    /// is replaced, and no number is used twice.
    planned: Option<SegmentName>,
    /// When to try again after a failure, and its kind.
    retry: Option<(Duration, io::ErrorKind)>,
    /// The next segment reserves the minimum.
    is_thrifty: bool,
    /// Sealed but not announced for compression: that waits for its successor. So a compressed
    /// segment without a successor shows that the journal's end was lost.
    unannounced: Option<SegmentName>,
    sealed: Sender<SegmentName>,
}

impl Writer {
    /// Continues the journal at its end: cuts off the torn tail and syncs what recovery has read,
    /// which a crash may have left unsynced. `starting` does that, and may use the reserve.
    pub(crate) fn resume(
        starting: &dyn FileSystem,
        files: Arc<dyn FileSystem>,
        clock: Arc<dyn Clock>,
        start: WriterStart,
        sealed: Sender<SegmentName>,
    ) -> io::Result<Self> {
        let End { open, last_id, .. } = start.end;
        let end = start.end.position;
        let mut writer = Self {
            files,
            clock,
            dir: start.dir,
            segment_bytes: start.segment_bytes,
            current: None,
            end,
            is_marked: start.end.is_marked,
            journal: start.journal.unwrap_or_else(SegmentHeader::random_journal),
            planned: None,
            retry: None,
            is_thrifty: false,
            unannounced: None,
            sealed,
        };
        if let Some((name, generation)) = open {
            let path = name.path(&writer.dir);
            let file = starting.open(&path)?;
            file.set_len(end.offset)?;
            file.sync_data()?;
            drop(file);
            let file = writer.files.open(&path)?;
            if let Err(error) = writer.reserve(file.as_ref()) {
                tracing::debug!(%error, "the open segment has no space reserved");
            }
            writer.current = Some(Current {
                file,
                name,
                generation,
                frames: u64::from(end.offset > HEADER_BYTES as u64),
            });
        } else if end == Position::START {
            writer.begin_segment(last_id)?;
        } else if let Err(error) = writer.ready(last_id) {
            // The first write tries again.
            tracing::debug!(%error, "a segment to write on could not be begun");
        }
        Ok(writer)
    }

    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Whether the open segment ends with a mark, a frame without records, or is empty. A mark
    /// tells later damage to the frame before it from a torn write.
    pub(crate) fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Makes sure that a segment is open, and begins one if need be, but not too often. `last_id`
    /// is the last id issued.
    pub(crate) fn ready(&mut self, last_id: u64) -> io::Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        if let Some((at, kind)) = self.retry
            && self.clock.monotonic() < at
        {
            return Err(kind.into());
        }
        self.begin_segment(last_id).inspect_err(|error| {
            self.retry = Some((self.clock.monotonic() + RETRY_PAUSE, error.kind()));
        })
    }

    /// Seals the open segment, unless it is empty, and begins the next one; returns the end.
    pub(crate) fn seal(&mut self, last_id: u64) -> io::Result<Position> {
        if let Some(current) = self.current.as_ref().filter(|current| current.frames > 0) {
            match current.file.set_len(self.end.offset) {
                // With a btrfs quota used up, even freeing space takes some.
                Err(error) if error.is_out_of_space() => return Err(error),
                cut => self.seal_current(cut),
            }
        }
        self.ready(last_id)?;
        Ok(self.end)
    }

    /// Writes a frame and syncs it. On an error it is not in the journal, though after a crash at
    /// this moment it may still be found. `last_id` is the last id issued before the frame's.
    pub(crate) fn append(&mut self, frame: &mut FrameBuffer, last_id: u64) -> io::Result<Position> {
        let begun = self.end.offset > HEADER_BYTES as u64;
        if begun
            && self.end.offset + frame.len() as u64 > self.segment_bytes
            && let Some(current) = &self.current
        {
            self.seal_current(current.file.set_len(self.end.offset));
        }
        self.ready(last_id)?;
        let Some(current) = self.current.as_mut() else {
            return Err(io::Error::other("no segment is open"));
        };
        let is_mark = frame.is_empty();
        let bytes = frame.seal(current.generation, self.end.sequence);
        let written = current
            .file
            .write_all_at(bytes, self.end.offset)
            .and_then(|()| current.file.sync_data());
        if let Err(error) = written {
            let (written_bytes, had_frames) = (self.end.offset, current.frames > 0);
            self.give_up_current();
            // At once: the header of the next segment declares the leftovers void.
            if self.ready(last_id).is_ok()
                && error.kind() == io::ErrorKind::FileTooLarge
                && had_frames
            {
                // This is how large a segment may become here.
                self.segment_bytes = written_bytes;
                return self.append(frame, last_id);
            }
            return Err(error);
        }
        current.frames += 1;
        self.is_marked = is_mark;
        self.end.offset += bytes.len() as u64;
        self.end.sequence += 1;
        Ok(self.end)
    }

    /// Lets the next attempt be made at once, and reserve only the minimum.
    pub(crate) fn hurry(&mut self) {
        self.retry = None;
        self.is_thrifty = true;
    }

    /// `cut`: the outcome of giving back what was reserved beyond the end.
    fn seal_current(&mut self, cut: io::Result<()>) {
        if let Err(error) = cut {
            tracing::debug!(%error, "a sealed segment keeps its reserved space");
        }
        if let Some(current) = self.current.take() {
            self.unannounced = Some(current.name);
        }
    }

    fn give_up_current(&mut self) {
        if let Some(current) = self.current.take() {
            let cut = current
                .file
                .set_len(self.end.offset)
                .and_then(|()| current.file.sync_data());
            if let Err(error) = cut {
                tracing::debug!(%error, "a failed segment could not be cut");
            }
            if current.frames == 0 {
                // It was never acknowledged: its number is reused, so that a disk that stays full
                // does not collect empty segments.
                self.planned = Some(current.name);
            }
        }
    }

    fn begin_segment(&mut self, last_id: u64) -> io::Result<()> {
        let name = *self.planned.get_or_insert(SegmentName {
            number: match self.end == Position::START {
                true => 1,
                false => self.end.segment + 1,
            },
            first_id: last_id + 1,
        });
        let header = SegmentHeader {
            number: name.number,
            generation: SegmentHeader::random_generation(),
            first_sequence: self.end.sequence,
            last_id,
            rewritten_to: None,
            journal: self.journal,
        };
        let temporary = Temporary::new(self.files.as_ref(), name.temporary(&self.dir));
        let file = self.files.create(&temporary.path)?;
        self.reserve(file.as_ref())?;
        file.write_all_at(&header.encode(), 0)?;
        file.sync_data()?;
        temporary.put_in_place(&name.path(&self.dir))?;
        self.current = Some(Current {
            file,
            name,
            generation: header.generation,
            frames: 0,
        });
        if let Some(name) = self.unannounced.take() {
            // Without a receiver the store is closing.
            let _ = self.sealed.send(name);
        }
        self.planned = None;
        self.retry = None;
        self.is_thrifty = false;
        self.is_marked = true;
        self.end.segment = name.number;
        self.end.offset = HEADER_BYTES as u64;
        Ok(())
    }

    /// Reserves the segment's space, or as much as there is.
    fn reserve(&self, file: &dyn JournalFile) -> io::Result<()> {
        let mut bytes = match self.is_thrifty {
            true => PREALLOCATE_BYTES_MIN,
            false => self.segment_bytes,
        };
        loop {
            match file.preallocate(bytes) {
                Err(error)
                    if error.is_out_of_space() && error.kind() != io::ErrorKind::FileTooLarge =>
                {
                    if bytes <= PREALLOCATE_BYTES_MIN {
                        return Err(error);
                    }
                    bytes = (bytes / 8).max(PREALLOCATE_BYTES_MIN);
                }
                // Also on file systems without the operation, and with a limit on a file's size.
                _ => return Ok(()),
            }
        }
    }
}

//! Walks over the segments of a journal in order and judges each: header, frames, records, and how
//! they continue the segment before.

use std::path::Path;

use super::note::Note;
use super::report::CheckReport;
use crate::model::MsgId;
use crate::store::api::{Damage, FileError};
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::disk::FileSystem;
use crate::store::journal::{
    Event, Frame, HEADER_BYTES, Position, Scanner, SegmentHeader, SegmentName,
};

/// Listed in a report; more are only counted.
const DAMAGES_MAX: usize = 1000;
/// Offsets in the header.
const NUMBER_AT: u64 = 16;
const FIRST_SEQUENCE_AT: u64 = 32;
const LAST_ID_AT: u64 = 40;
const REWRITTEN_TO_AT: u64 = 48;
const JOURNAL_AT: u64 = 56;

/// The successor of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    Nothing,
    Segment(SegmentHeader),
    /// Its header is damaged.
    Unknown,
}

/// A walk over segments in order.
#[derive(Clone)]
pub(crate) struct Walk<'a> {
    files: &'a dyn FileSystem,
    pub(crate) report: CheckReport,
    /// The first sequence of the next segment; `None` behind damage that hides it.
    expected: Option<u64>,
    last_id: u64,
    /// The journal's mark, once known.
    pub(super) journal: Option<u32>,
    /// Frames of the last segment count below this sequence.
    pub(super) until: Option<u64>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(files: &'a dyn FileSystem) -> Self {
        let end = Position {
            sequence: 1,
            ..Position::default()
        };
        Self {
            files,
            report: CheckReport {
                end,
                ..CheckReport::default()
            },
            expected: Some(1),
            last_id: 0,
            journal: None,
            until: None,
        }
    }

    pub(crate) fn damage(&mut self, path: &Path, offset: u64, what: String) {
        if self.report.damage.len() >= DAMAGES_MAX {
            self.report.more_damage += 1;
            return;
        }
        self.report.damage.push(Damage {
            path: path.to_owned(),
            offset,
            what,
        });
    }

    /// Checks the segment `name`, whose bytes are in `path`.
    pub(crate) fn segment(&mut self, name: SegmentName, path: &Path, next: &Next) {
        if name.number == self.report.end.segment {
            let what = format!("there is another segment with the number {}", name.number);
            return self.damage(path, 0, what);
        }
        self.missing(name.number, path);
        self.report.segments += 1;
        self.report.end.segment = name.number;
        self.report.end.offset = HEADER_BYTES as u64;
        let scanner = match Scanner::open(self.files, path) {
            Ok(scanner) => scanner,
            Err(error) => {
                self.expected = None;
                return self.unreadable(path, error);
            }
        };
        self.report.sealed = scanner.is_compressed();
        let header = *scanner.header();
        let fits = self.fits(name, path, &header);
        let stop = match next {
            Next::Segment(next) if next.number == name.number + 1 => Some(*next),
            _ => None,
        };
        let until = self.until.filter(|_| matches!(next, Next::Nothing));
        let mut check = SegmentCheck {
            may_be_torn: matches!(next, Next::Nothing)
                && until.is_none()
                && !scanner.is_compressed(),
            path,
            at: 0,
            offset: 0,
            last_id: header.last_id,
            stop: stop.filter(|_| fits),
            why: None,
            newest: 0,
            void_frames: 0,
            is_cut_off: false,
            is_behind_damage: false,
            has_wrong_ids: false,
            walk: self,
        };
        let mut scanner = scanner.before(check.stop);
        let is_padded = loop {
            (check.at, check.offset) = (scanner.expected(), scanner.end().offset);
            let is_over = until.is_some_and(|until| check.at >= until);
            match scanner.next() {
                Event::End => break scanner.is_padded(),
                _ if is_over => break false,
                event => check.event(event),
            }
        };
        check.finish(header.rewritten_to, until);
        let (reached, offset, last_id) = (check.at, check.offset, check.last_id);
        let newest = check.newest;
        if is_padded {
            self.padded(path);
        }
        self.report.end.offset = offset;
        self.expected = match stop {
            Some(next) => Some(next.first_sequence),
            None if fits => Some(reached),
            None => None,
        };
        if fits {
            let bounded = stop.map_or(last_id, |next| last_id.min(next.last_id));
            self.last_id = self.last_id.max(bounded);
            self.report.newest = self.report.newest.max(MsgId(newest));
            self.report.end.sequence = self.expected.unwrap_or(reached);
        }
    }

    fn padded(&mut self, path: &Path) {
        for note in &mut self.report.notes {
            if let Note::Padded { files, .. } = note {
                *files += 1;
                return;
            }
        }
        let first = path.to_owned();
        self.report.notes.push(Note::Padded { files: 1, first });
    }

    /// Reports the segments that are missing before this one.
    fn missing(&mut self, number: u64, path: &Path) {
        let dir = path.parent().unwrap_or(path);
        let first = self.report.end.segment + 1;
        if first < number {
            let last = number - 1;
            let what = match first == last {
                true => format!("the segment with the number {first} is missing"),
                false => format!("the segments with the numbers {first} to {last} are missing"),
            };
            self.damage(dir, 0, what);
            self.expected = None;
        }
    }

    fn unreadable(&mut self, path: &Path, error: FileError) {
        let what = match error {
            FileError::Damaged(damage) => damage.what,
            FileError::Io { source, .. } => format!("it cannot be read: {source}"),
        };
        self.damage(path, 0, what);
    }

    /// Whether a header continues the segments before it.
    fn fits(&mut self, name: SegmentName, path: &Path, header: &SegmentHeader) -> bool {
        let (number, first) = (header.number, header.first_sequence);
        let (at, what) = if number != name.number {
            let what = format!("its header has the number {number}: it is another segment");
            (NUMBER_AT, what)
        } else if header.journal != *self.journal.get_or_insert(header.journal) {
            (JOURNAL_AT, "it is a segment of another journal".to_owned())
        } else if let Some(expected) = self.expected.filter(|expected| *expected != first) {
            let what = format!("it begins with frame {first}, but frame {expected} comes next");
            (FIRST_SEQUENCE_AT, what)
        } else if header.last_id < self.last_id {
            let (made, given) = (header.last_id, self.last_id);
            let what = format!("it was made after the id {made}, but {given} was given before it");
            (LAST_ID_AT, what)
        } else {
            return true;
        };
        self.damage(path, at, what);
        false
    }
}

/// The check of one segment.
struct SegmentCheck<'w, 'a> {
    walk: &'w mut Walk<'a>,
    path: &'w Path,
    /// The sequence expected next, and the end of the last frame that counts.
    at: u64,
    offset: u64,
    last_id: u64,
    /// The next segment's header.
    stop: Option<SegmentHeader>,
    may_be_torn: bool,
    /// Why streaming ended.
    why: Option<String>,
    newest: u64,
    void_frames: u64,
    /// Streaming ended with an error, which stops a replay, too.
    is_cut_off: bool,
    is_behind_damage: bool,
    has_wrong_ids: bool,
}

impl SegmentCheck<'_, '_> {
    fn note(&mut self, offset: u64, what: String) {
        self.walk.damage(self.path, offset, what);
    }

    fn is_past_stop(&self, sequence: u64) -> bool {
        self.stop
            .is_some_and(|next| sequence >= next.first_sequence)
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Frame(at, frame) if self.takes(at, &frame) => self.frame(at.offset, &frame),
            Event::Void(at, frame) if self.takes(at, &frame) => self.void(at.offset, &frame),
            Event::Frame(..) | Event::Void(..) | Event::End => {}
            Event::Stuck(_, error) => {
                self.is_cut_off |= error.is_some();
                let why = || error.map_or("no right frame is here".to_owned(), |e| e.to_string());
                self.why.get_or_insert_with(why);
            }
            Event::Torn { bytes, .. } if self.may_be_torn => {
                self.is_behind_damage = true;
                self.walk.report.torn_bytes = bytes;
            }
            Event::Damage { at, .. } => self.bad(at, false),
            Event::Torn { at, cut_short, .. } => self.bad(at, cut_short),
        }
    }

    /// Whether a frame is no repetition of an earlier one.
    fn takes(&mut self, at: Position, frame: &Frame<'_>) -> bool {
        let is_behind_damage = std::mem::take(&mut self.is_behind_damage);
        let (sequence, expected) = (frame.sequence, at.sequence);
        if sequence != expected && !(is_behind_damage && sequence > expected) {
            self.note(at.offset, format!("frame {sequence} instead of {expected}"));
        }
        sequence >= expected
    }

    /// A failed write leaves one void frame, and no more.
    fn void(&mut self, offset: u64, frame: &Frame<'_>) {
        self.void_frames += 1;
        if self.void_frames == 2 {
            let what = format!(
                "frame {} is not followed by the next segment, which begins earlier: one of them \
                 is of another directory",
                frame.sequence
            );
            self.note(offset, what);
        }
    }

    fn frame(&mut self, offset: u64, frame: &Frame<'_>) {
        self.walk.report.frames += 1;
        let Some(records) = frame.records() else {
            let what = "the lengths of its records do not fit together";
            return self.note(offset, format!("frame {}: {what}", frame.sequence));
        };
        for bytes in records {
            match record::decode(bytes) {
                Ok(Record::Send { messages, .. }) => {
                    self.walk.report.messages += messages.len() as u64;
                    if let Some((first, last)) = messages.first().zip(messages.last()) {
                        self.newest = self.newest.max(last.id.0);
                        self.ids(offset, first.id.0, last.id.0);
                    }
                }
                Ok(Record::DomainRemoved { low_watermark, .. }) => {
                    self.ids(offset, low_watermark.0, low_watermark.0);
                }
                Ok(_) => {}
                Err(error) => self.note(offset, format!("in the frame here, {error}")),
            }
        }
    }

    /// Ids rise over all segments.
    fn ids(&mut self, offset: u64, first: u64, last: u64) {
        let limit = self.stop.map_or(u64::MAX, |next| next.last_id);
        if (first <= self.last_id || last > limit) && !self.has_wrong_ids {
            self.has_wrong_ids = true;
            let low = self.last_id;
            let what = if first <= low {
                format!("the id {first} comes behind {low}: ids must rise")
            } else {
                format!("the id {last} is above {limit}, the last one before the next segment")
            };
            self.note(offset, what);
        }
        self.last_id = self.last_id.max(last);
    }

    fn bad(&mut self, at: Position, cut_short: bool) {
        self.is_behind_damage = true;
        let why = self.why.as_deref().unwrap_or_default();
        if !self.is_past_stop(at.sequence) {
            let what = format!("frame {} is bad or missing ({why})", at.sequence);
            self.note(at.offset, what);
        } else if cut_short {
            // Not a void leftover: the file itself is damaged.
            self.note(at.offset, format!("behind its last frame: {why}"));
        }
    }

    fn finish(&mut self, rewritten_to: Option<u64>, until: Option<u64>) {
        if let Some(next) = rewritten_to {
            if next < self.at && !self.is_past_stop(self.at) {
                let what = format!("it says that frame {next} comes behind it, but it has more");
                self.note(REWRITTEN_TO_AT, what);
            }
            self.at = self.at.max(next);
        }
        let at = self.at;
        let missing = match self.stop {
            Some(next) => next.first_sequence,
            None => until.unwrap_or_default(),
        };
        if at < missing && !self.is_behind_damage {
            let what = match missing - at {
                1 => format!("frame {at} is missing behind it"),
                _ => format!("frames {at} to {} are missing behind it", missing - 1),
            };
            self.note(self.offset, what);
        }
        let damage = &self.walk.report.damage;
        let is_named = damage.iter().any(|damage| damage.path == self.path);
        if let Some(why) = self.why.take().filter(|_| self.is_cut_off && !is_named) {
            self.note(self.offset, format!("behind its last frame: {why}"));
        }
    }
}

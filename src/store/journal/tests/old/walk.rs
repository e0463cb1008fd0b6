//! Walks over the segments of a journal in order and judges each: header, frames, records, and how
//! they continue the segment before.

use std::path::Path;

use super::segment;
use super::segment::{Bad, FIRST_FRAME, Piece};
use super::stream::SegmentStream;
use crate::model::MsgId;
use crate::store::check::{CheckReport, Damage, IndexCondition, Note};
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::disk::FileSystem;
use crate::store::journal::{Frame, Position, SegmentHeader, SegmentName};

/// Kept in a report; beyond it they are only counted.
const DAMAGES_MAX: usize = 1000;
/// Where the header holds its number, its first sequence, and the last id.
const NUMBER_AT: u64 = 16;
const FIRST_SEQUENCE_AT: u64 = 32;
const LAST_ID_AT: u64 = 40;
const REWRITTEN_TO_AT: u64 = 48;
const JOURNAL_AT: u64 = 56;

/// What comes behind a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    /// No other segment; where given, frames count up to this sequence only.
    Nothing(Option<u64>),
    /// A segment that begins so.
    Segment(SegmentHeader),
    /// A segment whose header is not right.
    Unknown,
}

/// The walk, behind the segments that it has been over.
#[derive(Clone)]
pub(crate) struct Walk<'a> {
    files: &'a dyn FileSystem,
    report: CheckReport,
    number: u64,
    /// The sequence that must come next; `None` behind damage that hides it.
    expected: Option<u64>,
    last_id: u64,
    /// The journal's mark, once a segment has told it.
    pub(crate) journal: Option<u32>,
}

impl<'a> Walk<'a> {
    /// Before the first segment.
    pub(crate) fn new(files: &'a dyn FileSystem) -> Self {
        let end = Position {
            segment: 0,
            offset: 0,
            sequence: 1,
        };
        Self {
            files,
            report: CheckReport {
                segments: 0,
                frames: 0,
                messages: 0,
                newest: MsgId::ZERO,
                end,
                torn_bytes: 0,
                sealed: false,
                notes: Vec::new(),
                damage: Vec::new(),
                more_damage: 0,
                index: IndexCondition::InUse,
            },
            number: 0,
            expected: Some(1),
            last_id: 0,
            journal: None,
        }
    }

    /// What was found so far.
    pub(crate) fn report(&self) -> &CheckReport {
        &self.report
    }

    /// What was found.
    pub(crate) fn finish(self) -> CheckReport {
        self.report
    }

    /// Notes that something is wrong.
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

    /// Goes over the segment `name`, whose bytes are in `path`.
    pub(crate) fn segment(&mut self, name: SegmentName, path: &Path, next: &Next) {
        if name.number == self.number {
            let what = format!("there is another segment with the number {}", name.number);
            return self.damage(path, 0, what);
        }
        self.missing(name.number, path);
        self.report.segments += 1;
        self.report.end.segment = name.number;
        self.report.end.offset = FIRST_FRAME;
        let stream = match SegmentStream::open(self.files, path) {
            Ok(stream) => stream,
            Err(error) => {
                self.expected = None;
                return self.unreadable(path, error);
            }
        };
        self.report.sealed = stream.is_compressed();
        let header = *stream.header();
        let fits = self.fits(name, path, &header);
        let stop = match next {
            Next::Segment(next) if next.number == name.number + 1 => Some(*next),
            _ => None,
        };
        let last_until = match next {
            Next::Nothing(until) => Some(*until),
            _ => None,
        };
        let mut scan = SegmentCheck {
            at: header.first_sequence,
            offset: FIRST_FRAME,
            last_id: header.last_id,
            stop: stop.filter(|_| fits),
            until: last_until.flatten(),
            may_be_torn: last_until.is_some() && !stream.is_compressed(),
            ..SegmentCheck::default()
        };
        let padding = segment::read(self.files, path, stream, &mut |piece| scan.piece(piece));
        if padding > 0 {
            self.padded(path);
        }
        scan.finish(&header);
        for (offset, what) in scan.damage {
            self.damage(path, offset, what);
        }
        self.report.frames += scan.frames;
        self.report.messages += scan.messages;
        self.report.torn_bytes = scan.torn_bytes;
        self.report.end.offset = scan.offset;
        self.expected = match stop {
            Some(next) => Some(next.first_sequence),
            None if fits => Some(scan.at),
            None => None,
        };
        if fits {
            let highest = scan.last_id;
            let bounded = stop.map_or(highest, |next| highest.min(next.last_id));
            self.last_id = self.last_id.max(bounded);
            self.report.newest = self.report.newest.max(MsgId(scan.newest));
            self.report.end.sequence = self.expected.unwrap_or(scan.at);
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

    /// Notes the segments that should stand before this one.
    fn missing(&mut self, number: u64, path: &Path) {
        let dir = path.parent().unwrap_or(path).to_owned();
        let first = self.number + 1;
        if first < number {
            let what = if first + 1 == number {
                format!("the segment with the number {first} is missing")
            } else {
                format!(
                    "the segments with the numbers {first} to {} are missing",
                    number - 1
                )
            };
            self.damage(&dir, 0, what);
            self.expected = None;
        }
        self.number = number;
    }

    fn unreadable(&mut self, path: &Path, error: crate::store::api::OpenError) {
        let what = match error {
            crate::store::api::OpenError::Damaged { what, .. } => what,
            crate::store::api::OpenError::Io { source, .. } => {
                format!("it cannot be read: {source}")
            }
            other => other.to_string(),
        };
        self.damage(path, 0, what);
    }

    /// Whether a header is the one that must come here.
    fn fits(&mut self, name: SegmentName, path: &Path, header: &SegmentHeader) -> bool {
        let number = header.number;
        if number != name.number {
            let what = format!("its header has the number {number}: it is another segment");
            self.damage(path, NUMBER_AT, what);
            return false;
        }
        if header.journal != *self.journal.get_or_insert(header.journal) {
            let what = "it is a segment of another journal".to_owned();
            self.damage(path, JOURNAL_AT, what);
            return false;
        }
        let first = header.first_sequence;
        if let Some(expected) = self.expected.filter(|expected| *expected != first) {
            let what = format!("it begins with frame {first}, but frame {expected} comes next");
            self.damage(path, FIRST_SEQUENCE_AT, what);
            return false;
        }
        if header.last_id < self.last_id {
            let what = format!(
                "it was made after the id {}, but {} was given before it",
                header.last_id, self.last_id
            );
            self.damage(path, LAST_ID_AT, what);
            return false;
        }
        true
    }
}

/// One segment on its way.
#[derive(Default)]
struct SegmentCheck {
    /// The sequence that comes next, and where.
    at: u64,
    offset: u64,
    last_id: u64,
    /// The next segment's header.
    stop: Option<SegmentHeader>,
    until: Option<u64>,
    may_be_torn: bool,
    frames: u64,
    messages: u64,
    newest: u64,
    torn_bytes: u64,
    void_frames: u64,
    behind_damage: bool,
    wrong_ids: bool,
    damage: Vec<(u64, String)>,
}

impl SegmentCheck {
    fn note(&mut self, offset: u64, what: String) {
        self.damage.push((offset, what));
    }

    fn past_stop(&self) -> bool {
        self.stop.is_some_and(|next| self.at >= next.first_sequence)
    }

    fn piece(&mut self, piece: Piece<'_>) -> bool {
        if self.until.is_some_and(|until| self.at >= until) {
            return false;
        }
        match piece {
            Piece::Frame(offset, frame) => self.frame(offset, &frame),
            Piece::Bad(bad) => self.bad(&bad),
        }
        true
    }

    fn frame(&mut self, offset: u64, frame: &Frame<'_>) {
        let behind_damage = std::mem::take(&mut self.behind_damage);
        let sequence = frame.sequence;
        if sequence != self.at && !(behind_damage && sequence > self.at) {
            self.note(offset, format!("frame {sequence} instead of {}", self.at));
        }
        if sequence < self.at {
            return;
        }
        self.at = sequence;
        if self.past_stop() {
            self.void_frames += 1;
            // A failed write leaves one behind, which the next segment declares void.
            if self.void_frames == 2 {
                let what = format!(
                    "frame {sequence} is not followed by the next segment, which begins \
                     earlier: one of them is of another directory"
                );
                self.note(offset, what);
            }
            self.at = sequence.saturating_add(1);
            return;
        }
        self.at = sequence.saturating_add(1);
        self.offset = offset + frame.bytes.len() as u64;
        self.frames += 1;
        match frame.records() {
            Some(records) => records
                .into_iter()
                .for_each(|record| self.record(offset, record)),
            None => {
                let what = "the lengths of its records do not fit together";
                self.note(offset, format!("frame {sequence}: {what}"));
            }
        }
    }

    fn record(&mut self, offset: u64, bytes: &[u8]) {
        match record::decode(bytes) {
            Ok(Record::Send { messages, .. }) => {
                self.messages += messages.len() as u64;
                let ids = messages.first().zip(messages.last());
                if let Some((first, last)) = ids {
                    self.newest = self.newest.max(last.id.0);
                    self.ids(offset, first.id.0, last.id.0);
                }
            }
            Ok(Record::DomainRemoved { low_watermark, .. }) => {
                self.ids(offset, low_watermark.0, low_watermark.0)
            }
            Ok(_) => {}
            Err(error) => self.note(offset, format!("in the frame here, {error}")),
        }
    }

    /// Ids rise over all segments.
    fn ids(&mut self, offset: u64, first: u64, last: u64) {
        let limit = self.stop.map_or(u64::MAX, |next| next.last_id);
        if (first <= self.last_id || last > limit) && !self.wrong_ids {
            self.wrong_ids = true;
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

    fn bad(&mut self, bad: &Bad<'_>) {
        self.behind_damage = true;
        let why = bad.why;
        if !self.past_stop() {
            // Of the last segment it may be only a torn end: that shows at its end.
            self.torn_bytes = bad.bytes;
            let what = format!("frame {} is bad or missing ({why})", self.at);
            self.note(bad.offset, what);
        } else if bad.cut_short {
            // No leftover of a failed write, which is void: the file itself is not as it was.
            self.note(bad.offset, format!("behind its last frame: {why}"));
        }
    }

    /// The segment has ended.
    fn finish(&mut self, header: &SegmentHeader) {
        let torn = self.may_be_torn && self.behind_damage && self.until.is_none();
        if torn {
            self.damage.pop();
        } else {
            self.torn_bytes = 0;
        }
        if let Some(next) = header.rewritten_to {
            if next < self.at && !self.past_stop() {
                let what = format!("it says that frame {next} comes behind it, but it has more");
                self.note(REWRITTEN_TO_AT, what);
            }
            self.at = self.at.max(next);
        }
        let missing = match (self.stop, self.until) {
            (Some(next), _) => next.first_sequence,
            (None, until) => until.unwrap_or_default(),
        };
        if self.at < missing && !self.behind_damage {
            let what = match missing - self.at {
                1 => format!("frame {} is missing behind it", self.at),
                _ => format!(
                    "frames {} to {} are missing behind it",
                    self.at,
                    missing - 1
                ),
            };
            self.note(self.offset, what);
        }
    }
}

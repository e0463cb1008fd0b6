//! Scans one segment file for what can be kept.

use std::path::Path;

use crate::model::MsgId;
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::disk::FileSystem;
use crate::store::journal::{Event, Frame, Position, Scanner, SegmentHeader, SegmentName};

/// Group commits that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The first frame.
    pub from: u64,
    /// The frame behind the last, if that can be known.
    pub to: Option<u64>,
    /// Their messages have higher ids than this,
    pub after: MsgId,
    /// and, if that can be known, none that is higher than this.
    pub before: Option<MsgId>,
    /// Only the index knows of them, which in a copy may be later than the journal; and nothing
    /// tells whether this is one.
    pub is_unsure: bool,
}

/// A file with valid frames, or at least a valid header.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: SegmentName,
    pub(super) header: SegmentHeader,
    /// Whether it can stay as it is: valid but for a torn end.
    pub(super) whole: bool,
    pub(super) sealed: bool,
    /// Whether it ends with something that is no frame.
    pub(super) torn: bool,
    pub(super) frames: u64,
    /// The sequence that comes behind it.
    pub(super) end: u64,
    /// The highest id in it, or before it.
    pub(super) last_id: u64,
    /// Frames that are missing or unreadable between two that are not.
    pub(super) gaps: Vec<Loss>,
}

impl Candidate {
    /// `None` if nothing of the file is usable.
    pub(super) fn of(files: &dyn FileSystem, journal: &Path, name: SegmentName) -> Option<Self> {
        let (mut scanner, has_header) = open(files, journal, name)?;
        let header = *scanner.header();
        let mut candidate = Self {
            name,
            header,
            whole: has_header,
            sealed: scanner.is_compressed(),
            torn: false,
            frames: 0,
            end: header.first_sequence,
            last_id: header.last_id,
            gaps: Vec::new(),
        };
        while candidate.event(scanner.next()) {}
        candidate.whole &= !(candidate.torn && candidate.sealed);
        if let Some(next) = header.rewritten_to {
            if candidate.torn && candidate.end < next {
                candidate.gap(next);
            }
            candidate.end = candidate.end.max(next);
        }
        Some(candidate)
    }

    /// Takes an event; `false` at the end.
    fn event(&mut self, event: Event<'_>) -> bool {
        match event {
            Event::Frame(at, frame) | Event::Void(at, frame) => self.frame(at, &frame),
            Event::Stuck(..) => {}
            Event::Damage { .. } => self.whole = false,
            Event::Torn { cut_short, .. } => {
                self.torn = true;
                self.whole &= !cut_short;
            }
            Event::End => return false,
        }
        true
    }

    fn frame(&mut self, at: Position, frame: &Frame<'_>) {
        let sequence = frame.sequence;
        self.whole &= sequence == at.sequence;
        if sequence < at.sequence {
            return;
        }
        if sequence > at.sequence {
            self.gap(sequence);
        }
        self.frames += 1;
        self.end = sequence.saturating_add(1);
        let (records, all) = readable(frame);
        self.whole &= all;
        for (first, last) in records.iter().filter_map(|(_, record)| ids(record)) {
            let open = self.gaps.iter_mut().filter(|gap| gap.before.is_none());
            open.for_each(|gap| gap.before = Some(MsgId(first)));
            self.last_id = self.last_id.max(last);
        }
    }

    fn gap(&mut self, to: u64) {
        self.gaps.push(Loss {
            from: self.end,
            to: Some(to),
            after: MsgId(self.last_id),
            before: None,
            is_unsure: false,
        });
    }
}

/// The records of a frame that decode, and whether those are all.
pub(super) fn readable<'a>(frame: &Frame<'a>) -> (Vec<(&'a [u8], Record)>, bool) {
    let Some(records) = frame.records() else {
        return (Vec::new(), false);
    };
    let count = records.len();
    let decode = |bytes: &'a [u8]| Some((bytes, record::decode(bytes).ok()?));
    let decoded: Vec<_> = records.into_iter().filter_map(decode).collect();
    let all = decoded.len() == count;
    (decoded, all)
}

/// The first and the last id of a record.
fn ids(record: &Record) -> Option<(u64, u64)> {
    match record {
        Record::Send { messages, .. } => Some((messages.first()?.id.0, messages.last()?.id.0)),
        Record::DomainRemoved { low_watermark, .. } => Some((low_watermark.0, low_watermark.0)),
        _ => None,
    }
}

/// Opens a file, and tells whether its header is valid. `None` if no frame is valid either.
pub(super) fn open<'a>(
    files: &'a dyn FileSystem,
    journal: &Path,
    name: SegmentName,
) -> Option<(Scanner<'a>, bool)> {
    let path = name.path(journal);
    match Scanner::open(files, &path) {
        Ok(scanner) => Some((scanner, true)),
        Err(_) => Some((Scanner::headless(files, &path, name)?, false)),
    }
}

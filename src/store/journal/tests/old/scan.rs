//! Scans one segment file for what can be kept.

use std::path::Path;

use super::segment;
use super::segment::{Piece, Plain, plain, read_headless};
use super::stream::SegmentStream;
use crate::store::data::Record;
use crate::store::data::record;
use crate::store::disk::FileSystem;
use crate::store::journal::{Frame, SegmentHeader, SegmentName};

/// Frames that are not there, or not readable, between two that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The first of them, and the one behind them.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The last id before them, and the first behind.
    pub(crate) after: u64,
    pub(crate) before: Option<u64>,
}

/// A file that holds right frames, or at least a right header.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The file.
    pub(crate) name: SegmentName,
    pub(crate) header: SegmentHeader,
    /// Whether it can stay as it is: nothing is wrong with it, but for a torn end.
    pub(crate) whole: bool,
    /// Whether it is compressed, and with that written on no more.
    pub(crate) sealed: bool,
    /// Whether something that is no frame stands at its end.
    pub(crate) torn: bool,
    pub(crate) frames: u64,
    /// The sequence that comes behind it.
    pub(crate) end: u64,
    /// The highest id in it, or before it.
    pub(crate) last_id: u64,
    pub(crate) gaps: Vec<Gap>,
}

impl Candidate {
    /// `None` where nothing of a file can be used.
    pub(crate) fn of(files: &dyn FileSystem, journal: &Path, name: SegmentName) -> Option<Self> {
        let source = Source::open(files, &name.path(journal), name)?;
        let header = *source.header();
        let mut candidate = Self {
            name,
            header,
            whole: !matches!(source, Source::Headless(..)),
            sealed: source.is_compressed(),
            torn: false,
            frames: 0,
            end: header.first_sequence,
            last_id: header.last_id,
            gaps: Vec::new(),
        };
        source.read(files, &name.path(journal), &mut |piece| {
            match piece {
                Piece::Frame(_, frame) => candidate.frame(&frame),
                Piece::Bad(bad) => {
                    candidate.torn = true;
                    candidate.whole &= !bad.cut_short;
                }
            }
            true
        });
        candidate.whole &= !(candidate.torn && candidate.sealed);
        if let Some(next) = header.rewritten_to {
            if candidate.torn && candidate.end < next {
                candidate.gap(next);
            }
            candidate.end = candidate.end.max(next);
        }
        Some(candidate)
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        let sequence = frame.sequence;
        self.whole &= !self.torn && sequence == self.end;
        self.torn = false;
        if sequence < self.end {
            return;
        }
        if sequence > self.end {
            self.gap(sequence);
        }
        self.frames += 1;
        self.end = sequence.saturating_add(1);
        let (records, all) = readable(frame);
        self.whole &= all;
        for (first, last) in records.iter().filter_map(|(_, record)| ids(record)) {
            let open = self.gaps.iter_mut().filter(|gap| gap.before.is_none());
            open.for_each(|gap| gap.before = Some(first));
            self.last_id = self.last_id.max(last);
        }
    }

    fn gap(&mut self, to: u64) {
        self.gaps.push(Gap {
            from: self.end,
            to,
            after: self.last_id,
            before: None,
        });
    }
}

/// The records of a frame that decode, and whether that is all of them.
pub(crate) fn readable<'a>(frame: &Frame<'a>) -> (Vec<(&'a [u8], Record)>, bool) {
    let Some(records) = frame.records() else {
        return (Vec::new(), false);
    };
    let count = records.len();
    let decode = |bytes: &'a [u8]| Some((bytes, record::decode(bytes).ok()?));
    let decoded: Vec<_> = records.into_iter().filter_map(decode).collect();
    let all = decoded.len() == count;
    (decoded, all)
}

/// The first and the last id that a record gives out.
fn ids(record: &Record) -> Option<(u64, u64)> {
    match record {
        Record::Send { messages, .. } => Some((messages.first()?.id.0, messages.last()?.id.0)),
        Record::DomainRemoved { low_watermark, .. } => Some((low_watermark.0, low_watermark.0)),
        _ => None,
    }
}

/// A way to the frames of a file.
pub(crate) enum Source {
    Stream(SegmentStream),
    /// Its header is lost; this is what it was, by what else is there.
    Headless(Plain, SegmentHeader),
}

impl Source {
    /// `None` where there are none.
    pub(crate) fn open(files: &dyn FileSystem, path: &Path, name: SegmentName) -> Option<Self> {
        if let Ok(stream) = SegmentStream::open(files, path) {
            return Some(Self::Stream(stream));
        }
        let plain = plain(files, path);
        let header = plain.infer(name.number, name.first_id.saturating_sub(1))?;
        Some(Self::Headless(plain, header))
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        match self {
            Self::Stream(stream) => stream.header(),
            Self::Headless(_, header) => header,
        }
    }

    fn is_compressed(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_compressed(),
            Self::Headless(..) => false,
        }
    }

    /// Hands its pieces over, in order.
    pub(crate) fn read(
        self,
        files: &dyn FileSystem,
        path: &Path,
        visit: &mut dyn FnMut(Piece<'_>) -> bool,
    ) {
        match self {
            Self::Stream(stream) => {
                segment::read(files, path, stream, visit);
            }
            Self::Headless(plain, header) => read_headless(&plain, &header, visit),
        }
    }
}

//! What a scanner tells of whole and of damaged segments.
#![allow(clippy::unwrap_used)]

use super::super::frame::FrameBuffer;
use super::super::pack::{PART_BYTES, compress};
use super::super::segment::SegmentName;
use super::*;
use crate::store::disk::RealFileSystem;

const NAME: SegmentName = SegmentName {
    number: 1,
    first_id: 1,
};
const FRAME_BYTES: usize = 39;

fn header(first_sequence: u64) -> SegmentHeader {
    SegmentHeader {
        number: 1,
        generation: 7,
        first_sequence,
        ..SegmentHeader::default()
    }
}

/// A segment that begins with frame 5.
fn segment(sequences: &[u64]) -> Vec<u8> {
    let mut bytes = header(5).encode().to_vec();
    let mut frame = FrameBuffer::default();
    for sequence in sequences {
        frame.clear();
        frame.push(|out| out.extend_from_slice(b"one"));
        bytes.extend_from_slice(frame.seal(7, *sequence));
    }
    assert_eq!(bytes.len(), HEADER_BYTES + sequences.len() * FRAME_BYTES);
    bytes
}

/// A segment of frames with one record each, of these lengths.
fn segment_of(lengths: &[usize]) -> Vec<u8> {
    let mut bytes = header(5).encode().to_vec();
    let mut frame = FrameBuffer::default();
    let mut random = 1_u64;
    for (sequence, length) in (5..).zip(lengths) {
        frame.clear();
        frame.push(|out| {
            out.extend((0..*length).map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005);
                random = random.wrapping_add(1);
                b'a' + (random >> 60) as u8
            }));
        });
        bytes.extend_from_slice(frame.seal(7, sequence));
    }
    bytes
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    compressor.include_checksum(true).unwrap();
    compressor.compress(bytes).unwrap()
}

/// What stands in a segment, in words, and where what counts in it ends. Offsets are those of
/// frames, by their index.
fn scan(bytes: &[u8], is_packed: bool, next: Option<u64>) -> (Vec<String>, (usize, u64)) {
    let dir = tempfile::tempdir().unwrap();
    let path = NAME.path(dir.path());
    std::fs::write(&path, bytes).unwrap();
    if is_packed {
        compress(&RealFileSystem, dir.path(), NAME).unwrap();
    }
    let scanner = Scanner::open(&RealFileSystem, &path).unwrap();
    let mut scanner = scanner.before(next.map(header));
    let index = |at: Position| (at.offset as usize - HEADER_BYTES) / FRAME_BYTES;
    let mut events = Vec::new();
    loop {
        events.push(match scanner.next() {
            Event::Frame(at, frame) if frame.sequence == at.sequence => {
                format!("{} at {}", frame.sequence, index(at))
            }
            Event::Frame(at, frame) => format!("{} not {}", frame.sequence, at.sequence),
            Event::Void(at, frame) => format!("{} void at {}", frame.sequence, index(at)),
            Event::Stuck(at, error) => {
                assert!(error.is_none());
                format!("stuck at {}", index(at))
            }
            Event::Damage { at, found } => follows(at.sequence, found),
            Event::Torn { at, bytes, .. } => format!("{bytes} torn at {}", index(at)),
            Event::End => break,
        });
    }
    let end = scanner.end();
    (events, (index(end), end.sequence))
}

#[test]
fn frames_count_from_the_first_one_to_the_next_segment() {
    let bytes = segment(&[5, 6, 7]);
    for is_packed in [false, true] {
        let all = scan(&bytes, is_packed, None);
        assert_eq!(all, scan(&bytes, is_packed, Some(8)));
        assert_eq!(all.0, ["5 at 0", "6 at 1", "7 at 2"]);
        assert_eq!(all.1, (3, 8));
        let short = scan(&bytes, is_packed, Some(7));
        assert_eq!(short.0, ["5 at 0", "6 at 1", "7 void at 2"]);
        assert_eq!(short.1, (2, 7));
    }
}

#[test]
fn one_that_was_there_before_does_not_count() {
    let (events, end) = scan(&segment(&[5, 7, 6, 8]), false, None);
    assert_eq!(events, ["5 at 0", "7 not 6", "6 not 8", "8 at 3"]);
    assert_eq!(end, (4, 9));
}

#[test]
fn behind_damage_it_goes_on_with_the_next_right_frame() {
    let mut bytes = segment(&[5, 6, 7, 8]);
    bytes[HEADER_BYTES + FRAME_BYTES + 10] ^= 1;
    bytes.extend_from_slice(b"rbF1 rubbish");
    for is_packed in [false, true] {
        let (events, end) = scan(&bytes, is_packed, None);
        let found = HEADER_BYTES + 2 * FRAME_BYTES;
        let damage = format!("frame 6 is bad, and a good one follows at byte {found}");
        let stuck = "stuck at 1";
        let rest = ["7 not 6", "8 at 3", "12 torn at 4"];
        assert_eq!(events[..3], ["5 at 0", stuck, &damage]);
        assert_eq!(events[3..], rest);
        assert_eq!(end, (4, 9));
    }
}

#[test]
fn frames_of_any_length_are_read_compressed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = NAME.path(dir.path());
    let plain = segment_of(&[1, 200_000, 0, PIECE_BYTES, 3_000_000]);
    for bytes in [plain.clone(), zstd_of(&plain)] {
        std::fs::write(&path, &bytes).unwrap();
        let mut scanner = Scanner::open(&RealFileSystem, &path).unwrap();
        assert_eq!(*scanner.header(), header(5));
        assert_eq!(scanner.is_compressed(), bytes != plain);
        for sequence in 5..10 {
            assert!(matches!(scanner.next(), Event::Frame(_, frame) if frame.sequence == sequence));
        }
        assert!(matches!(scanner.next(), Event::End));
        assert_eq!(scanner.end().offset, plain.len() as u64);
    }
}

#[test]
fn damage_and_the_disks_own_errors_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = NAME.path(dir.path());
    let open = || Scanner::open(&RealFileSystem, &path);
    assert!(matches!(open().err().unwrap(), FileError::Io { .. }));
    let whole = zstd_of(&segment_of(&[100_000]));
    for bytes in [b"".as_slice(), b"rbx", &whole[..20]] {
        std::fs::write(&path, bytes).unwrap();
        let damaged: Result<(), _> = open().and_then(|mut scanner| match scanner.next() {
            Event::Stuck(at, Some(error)) => Err(unreadable(&path, at.offset, error)),
            event => panic!("{event:?}"),
        });
        assert!(matches!(damaged, Err(FileError::Damaged(_))));
    }
}

#[test]
fn damage_to_one_part_of_a_compressed_segment_loses_no_other() {
    const FRAMES: usize = 300;
    let right_frames = |path: &Path| {
        let mut scanner = Scanner::open(&RealFileSystem, path).unwrap();
        let mut right = Vec::new();
        loop {
            match scanner.next() {
                Event::Frame(at, frame) => right.push((at.offset, frame.sequence)),
                Event::End => return right,
                _ => {}
            }
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let path = NAME.path(dir.path());
    // So that there are some frames in each part.
    std::fs::write(&path, segment_of(&[PART_BYTES / 60; FRAMES])).unwrap();
    compress(&RealFileSystem, dir.path(), NAME).unwrap();
    let packed = std::fs::read(&path).unwrap();
    let whole = right_frames(&path);
    assert_eq!(whole.len(), FRAMES);
    for part in 1..10 {
        let mut damaged = packed.clone();
        damaged[packed.len() * part / 10] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let right = right_frames(&path);
        let lost = FRAMES - right.len();
        assert!((1..=62).contains(&lost), "{lost} of {FRAMES}");
        assert!(right.iter().all(|frame| whole.contains(frame)));
    }
}

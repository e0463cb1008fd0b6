//! Frames of any bytes: a right one is what the writer would write again.

use super::{Frame, FrameBuffer, HEADER_BYTES, find_valid};

const GENERATION: u64 = 7;

/// Reads `bytes` as they are; then, with a right header, as sequence, count and payload of a frame behind `junk`.
pub fn frame_round_trip(junk: &[u8], bytes: &[u8]) {
    let _ = Frame::parse(bytes, GENERATION).map(|frame| frame.records());
    let Some((sequence, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((count, payload)) = rest.split_first_chunk() else {
        return;
    };
    let sequence = u64::from_le_bytes(*sequence);
    let mut buffer = FrameBuffer {
        bytes: [&[0; HEADER_BYTES], payload].concat(),
        count: u32::from_le_bytes(*count),
    };
    let sealed = buffer.seal(GENERATION, sequence);

    let frame = Frame::parse(sealed, GENERATION).expect("its checksum is right");
    assert_eq!((frame.sequence, frame.bytes), (sequence, sealed));
    assert_eq!(Frame::parse(&sealed[..sealed.len() - 1], GENERATION), None);
    if let Some(records) = frame.records() {
        assert_eq!(frame.is_mark(), records.is_empty());
        let mut again = FrameBuffer::default();
        again.clear();
        for record in records {
            again.push(|out| out.extend_from_slice(record));
        }
        assert_eq!(again.seal(GENERATION, sequence), sealed);
    }

    let all = [junk, sealed].concat();
    let (found, frame) = find_valid(&all, GENERATION, sequence).expect("it is there");
    assert!(found <= junk.len());
    assert_eq!(Frame::parse(&all[found..], GENERATION), Some(frame));
}

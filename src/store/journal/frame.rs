//! The frame: one group commit, written at once and synced once.
//!
//! Little endian: magic (4 bytes), generation (8), sequence (8), payload length (4),
//! count of records (4), CRC32C of all before it and of the payload (4), payload:
//! for each record its length (4) and its bytes. The generation is the random number
//! of the segment's header: bytes that a user put into a message, or that an older
//! file left behind, cannot pass for a frame.

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 32;
/// A frame without records.
pub(crate) const MARK_BYTES: u64 = HEADER_BYTES as u64;
pub(super) const MAGIC: [u8; 4] = *b"rbF1";
const CRC_AT: usize = 28;
/// No frame is longer: a batch has at most a MiB of content, or one message alone, and some
/// thousand cursors.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;

/// A frame under construction; its buffer is used again and again.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    count: u32,
}

/// What one large send grew is given back above this.
const KEEP_BYTES_MAX: usize = 4 << 20;

impl FrameBuffer {
    /// Empties it for the next frame.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES_MAX);
        self.bytes.resize(HEADER_BYTES, 0);
        self.count = 0;
    }

    /// Whether no record was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the frame so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the record that `encode` appends to the buffer.
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        encode(&mut self.bytes);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    /// Fills in the header; returns the whole frame.
    pub(crate) fn seal(&mut self, generation: u64, sequence: u64) -> &[u8] {
        let length = (self.bytes.len() - HEADER_BYTES) as u32;
        self.bytes[..4].copy_from_slice(&MAGIC);
        self.bytes[4..12].copy_from_slice(&generation.to_le_bytes());
        self.bytes[12..20].copy_from_slice(&sequence.to_le_bytes());
        self.bytes[20..24].copy_from_slice(&length.to_le_bytes());
        self.bytes[24..28].copy_from_slice(&self.count.to_le_bytes());
        let crc = checksum(&self.bytes);
        self.bytes[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..CRC_AT]), &frame[HEADER_BYTES..])
}

/// A frame with a valid checksum.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its place in the order of all frames.
    pub(crate) sequence: u64,
    /// All its bytes, header included.
    pub(crate) bytes: &'a [u8],
    count: u32,
}

impl<'a> Frame<'a> {
    /// The sequence and length of the frame at the beginning of `bytes`, by its header alone.
    pub(crate) fn measure(bytes: &[u8], generation: u64) -> Option<(u64, usize)> {
        let header = bytes.get(..HEADER_BYTES)?;
        if header[..4] != MAGIC || header[4..12] != generation.to_le_bytes() {
            return None;
        }
        let sequence = u64::from_le_bytes(header[12..20].try_into().ok()?);
        let length = u32::from_le_bytes(header[20..24].try_into().ok()?) as usize;
        let length = HEADER_BYTES.checked_add(length)?;
        (length <= FRAME_BYTES_MAX).then_some((sequence, length))
    }

    /// The frame at the beginning of `bytes`, if it is whole and valid.
    pub(crate) fn parse(bytes: &'a [u8], generation: u64) -> Option<Self> {
        let (sequence, length) = Self::measure(bytes, generation)?;
        let whole = bytes.get(..length)?;
        if checksum(whole).to_le_bytes() != whole[CRC_AT..HEADER_BYTES] {
            return None;
        }
        Some(Self {
            sequence,
            count: u32::from_le_bytes(whole[24..28].try_into().ok()?),
            bytes: whole,
        })
    }

    /// Whether it has no records: a mark behind the last frame.
    pub(crate) fn is_mark(&self) -> bool {
        self.count == 0
    }

    /// The bytes of its records; `None` where its lengths and count do not fit together.
    pub(crate) fn records(&self) -> Option<Vec<&'a [u8]>> {
        let mut rest = &self.bytes[HEADER_BYTES..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (record, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            records.push(record);
            rest = behind;
        }
        (records.len() == self.count as usize).then_some(records)
    }
}

/// The first valid frame in `bytes` with a sequence of at least `sequence_min`, and its offset.
pub(super) fn find_valid(
    bytes: &[u8],
    generation: u64,
    sequence_min: u64,
) -> Option<(usize, Frame<'_>)> {
    let mut at = 0;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == MAGIC[0]) {
        at += found;
        let frame = Frame::parse(&bytes[at..], generation);
        if let Some(frame) = frame.filter(|frame| frame.sequence >= sequence_min) {
            return Some((at, frame));
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> FrameBuffer {
        let mut buffer = FrameBuffer::default();
        buffer.clear();
        buffer.push(|out| out.extend_from_slice(b"one"));
        buffer.push(|out| out.extend_from_slice(b""));
        buffer
    }

    #[test]
    fn golden_bytes() {
        let mut buffer = sample();
        let golden = [
            114, 98, 70, 49, 8, 7, 6, 5, 4, 3, 2, 1, 42, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 2, 0, 0,
            0, 0, 0, 0, 0, 3, 0, 0, 0, b'o', b'n', b'e', 0, 0, 0, 0,
        ];
        let sealed = buffer.seal(0x0102_0304_0506_0708, 42);
        assert_eq!(sealed[..CRC_AT], golden[..CRC_AT]);
        assert_eq!(sealed[HEADER_BYTES..], golden[HEADER_BYTES..]);
        assert_eq!(sealed[CRC_AT..HEADER_BYTES], checksum(sealed).to_le_bytes());
        let frame = Frame::parse(sealed, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(frame.sequence, 42);
        assert_eq!(frame.records().unwrap(), [b"one".as_slice(), b""]);
    }

    #[test]
    fn no_byte_can_change_or_be_missing() {
        let sealed = sample().seal(7, 1).to_vec();
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_eq!(Frame::parse(&bad, 7), None, "byte {at}");
            assert_eq!(Frame::parse(&sealed[..at], 7), None, "cut at {at}");
        }
        assert_eq!(Frame::parse(&sealed, 8), None);
    }

    #[test]
    fn a_frame_behind_rubbish_is_found() {
        let mut bytes = b"rbF1 rubbish r".to_vec();
        bytes.extend_from_slice(sample().seal(7, 5));
        let find = |generation, sequence_min| {
            let found = find_valid(&bytes, generation, sequence_min);
            found.map(|(at, frame)| (at, frame.sequence))
        };
        assert_eq!(find(7, 5), Some((14, 5)));
        assert_eq!(find(7, 6), None);
        assert_eq!(find(6, 5), None);
    }
}

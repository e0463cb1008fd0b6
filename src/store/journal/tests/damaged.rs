//! Journals of random segments, whole or damaged in random ways.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::frame::FrameBuffer;
use super::super::pack::compress;
use super::super::segment::{SegmentHeader, SegmentName};
use crate::model::{Domain, Mailbox, Message, MessageType, MsgId, Resource, UserId, UserName};
use crate::store::data::{Record, record};
use crate::store::disk::RealFileSystem;

/// A journal in the making.
#[derive(Debug, Clone)]
pub(super) struct Journal(Vec<Segment>);

#[derive(Debug, Clone)]
struct Segment {
    frames: Vec<Kind>,
    is_packed: bool,
    /// So many frames are gone that it once had.
    rewritten: Option<u64>,
    /// What a failed write left: a frame, or so much of one.
    leftover: Option<(Kind, u16)>,
    /// What is not as it should be in its header.
    slip: Slip,
    order: Vec<Disorder>,
    plain: Vec<Harm>,
    packed: Vec<Harm>,
}

/// What is in a frame.
#[derive(Debug, Clone)]
enum Kind {
    Mark,
    Send {
        messages: u64,
        bytes: usize,
    },
    Removal,
    /// A record that does not decode.
    Undecodable,
    /// Records whose lengths do not fit together.
    Misfit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Slip {
    None,
    Stranger,
    LateSequence,
    LowId,
    LowRewrittenTo,
}

#[derive(Debug, Clone, Copy)]
enum Disorder {
    Twice(u16),
    Swapped(u16),
    Missing(u16),
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip(u16),
    Cut(u16),
    Zeros(u16, u16),
    Padding(u16),
    Rubbish(u16),
    /// A part of what stands before the end stands there again.
    Torn(u16),
}

pub(super) fn journals() -> impl Strategy<Value = Journal> {
    let kind = || {
        prop_oneof![
            4 => (1..4_u64, 0..300_usize).prop_map(|(messages, bytes)| Kind::Send { messages, bytes }),
            1 => (20_000..90_000_usize).prop_map(|bytes| Kind::Send { messages: 1, bytes }),
            2 => Just(Kind::Mark),
            1 => Just(Kind::Removal),
        ]
    };
    let odd = prop_oneof![
        30 => kind(),
        1 => Just(Kind::Undecodable),
        1 => Just(Kind::Misfit),
    ];
    let slip = prop_oneof![
        30 => Just(Slip::None),
        1 => Just(Slip::Stranger),
        1 => Just(Slip::LateSequence),
        1 => Just(Slip::LowId),
        1 => Just(Slip::LowRewrittenTo),
    ];
    let place = any::<u16>;
    let disorder = prop_oneof![
        place().prop_map(Disorder::Twice),
        place().prop_map(Disorder::Swapped),
        place().prop_map(Disorder::Missing),
    ];
    let harm = || {
        let harm = prop_oneof![
            3 => place().prop_map(Harm::Flip),
            1 => place().prop_map(Harm::Cut),
            1 => (place(), place()).prop_map(|(at, count)| Harm::Zeros(at, count)),
            1 => place().prop_map(Harm::Padding),
            1 => place().prop_map(Harm::Rubbish),
            2 => place().prop_map(Harm::Torn),
        ];
        prop_oneof![3 => Just(Vec::new()), 1 => vec(harm, 1..3)]
    };
    let disorders = prop_oneof![5 => Just(Vec::new()), 1 => vec(disorder, 1..3)];
    let leftover = prop::option::weighted(0.3, (kind(), place()));
    let rewritten = prop::option::weighted(0.3, 0..4_u64);
    let segment = (
        (vec(odd, 0..7), any::<bool>(), rewritten, leftover),
        (slip, disorders, harm(), harm()),
    );
    let segment = segment.prop_map(|((frames, is_packed, rewritten, leftover), harms)| {
        let (slip, order, plain, packed) = harms;
        Segment {
            frames,
            // One that was rewritten always is.
            is_packed: is_packed || rewritten.is_some(),
            rewritten,
            leftover,
            slip,
            order,
            plain,
            packed,
        }
    });
    vec(segment, 1..4).prop_map(Journal)
}

fn message(id: u64, bytes: usize) -> Message {
    let mut random = id;
    let content = (0..bytes).map(|_| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + (random >> 59) as u8 % 26)
    });
    Message {
        id: MsgId(id),
        mailbox: Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        },
        to_resource: None,
        from_id: UserId::parse("a").unwrap(),
        from_name: UserName::parse("A").unwrap(),
        from_resource: Resource::parse("web").unwrap(),
        kind: MessageType(10),
        content: content.collect::<String>().into(),
        recipient_offline: false,
    }
}

impl Kind {
    fn frame(&self, generation: u64, sequence: u64, last_id: &mut u64) -> Vec<u8> {
        let mut buffer = FrameBuffer::default();
        buffer.clear();
        match self {
            Self::Mark => {}
            Self::Send { messages, bytes } => {
                let messages = (1..=*messages).map(|nth| message(*last_id + nth, *bytes));
                let messages: Vec<_> = messages.collect();
                *last_id += messages.len() as u64;
                let send = Record::Send {
                    messages,
                    client_msg_id: None,
                };
                buffer.push(|out| record::encode(&send, out));
            }
            Self::Removal => {
                *last_id += 1;
                let removal = Record::DomainRemoved {
                    domain: Domain::parse("d").unwrap(),
                    low_watermark: MsgId(*last_id),
                };
                buffer.push(|out| record::encode(&removal, out));
            }
            Self::Undecodable | Self::Misfit => buffer.push(|out| out.extend([99, 1, 2])),
        }
        let mut bytes = buffer.seal(generation, sequence).to_vec();
        if matches!(self, Self::Misfit) {
            bytes[24] = 2;
            let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..28]), &bytes[32..]);
            bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }
}

/// The place in `count` things that `at` stands for.
fn pick(at: u16, count: usize) -> usize {
    usize::from(at) * count / (1 << 16)
}

impl Disorder {
    fn apply(self, frames: &mut Vec<Vec<u8>>) {
        let count = frames.len();
        match self {
            Self::Twice(at) if count > 0 => {
                let at = pick(at, count);
                frames.insert(at, frames[at].clone());
            }
            Self::Swapped(at) if count > 1 => {
                let at = pick(at, count - 1);
                frames.swap(at, at + 1);
            }
            Self::Missing(at) if count > 0 => {
                frames.remove(pick(at, count));
            }
            _ => {}
        }
    }
}

impl Harm {
    fn apply(self, bytes: &mut Vec<u8>) {
        let count = bytes.len();
        match self {
            Self::Flip(at) if count > 0 => bytes[pick(at, count)] ^= 0x10,
            Self::Cut(at) => bytes.truncate(pick(at, count)),
            Self::Zeros(at, length) => {
                let at = pick(at, count);
                let to = count.min(at + usize::from(length) % 300);
                bytes[at..to].fill(0);
            }
            Self::Padding(length) => bytes.resize(count + usize::from(length) % 5_000, 0),
            Self::Rubbish(length) => {
                bytes.extend((0..length % 200).map(|byte| (byte * 7) as u8));
            }
            Self::Torn(at) => bytes.extend_from_within(pick(at, count)..),
            Self::Flip(_) => {}
        }
    }
}

impl Journal {
    /// Writes its segments into `dir`.
    pub(super) fn write(&self, dir: &Path) {
        let (mut sequence, mut last_id) = (1, 0);
        for (number, segment) in (1..).zip(&self.0) {
            let name = SegmentName {
                number,
                first_id: last_id + 1,
            };
            let mut header = SegmentHeader {
                number,
                generation: 1_000_003 * number,
                first_sequence: sequence + u64::from(segment.slip == Slip::LateSequence),
                last_id: last_id - last_id.min(u64::from(segment.slip == Slip::LowId) * 2),
                rewritten_to: None,
                journal: 7 + u32::from(segment.slip == Slip::Stranger),
            };
            sequence = header.first_sequence;
            let mut frames = Vec::new();
            for kind in &segment.frames {
                frames.push(kind.frame(header.generation, sequence, &mut last_id));
                sequence += 1;
            }
            if let Some(gone) = segment.rewritten {
                let low = u64::from(segment.slip == Slip::LowRewrittenTo);
                sequence += gone;
                header.rewritten_to = Some(sequence - low);
            } else if let Some((kind, part)) = &segment.leftover {
                let mut frame = kind.frame(header.generation, sequence, &mut last_id.clone());
                // Half of them are whole.
                frame.truncate(pick(part.saturating_mul(2), frame.len() + 1));
                frames.push(frame);
            }
            for disorder in &segment.order {
                disorder.apply(&mut frames);
            }
            let mut bytes = header.encode().to_vec();
            bytes.extend(frames.concat());
            for harm in &segment.plain {
                harm.apply(&mut bytes);
            }
            let path = name.path(dir);
            std::fs::write(&path, &bytes).unwrap();
            if segment.is_packed {
                compress(&RealFileSystem, dir, name).unwrap();
                let mut bytes = std::fs::read(&path).unwrap();
                for harm in &segment.packed {
                    harm.apply(&mut bytes);
                }
                std::fs::write(&path, &bytes).unwrap();
            }
        }
    }
}

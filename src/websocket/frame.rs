//! The head of one frame, decoded and judged byte by byte before any of its payload is read.
//!
//! Stateless: the parser owns the state. Invariant: the verdict on a head does not depend on how its bytes arrived.

use fastwebsockets::OpCode;

/// Longest head of a masked frame in bytes (RFC 6455, 5.2).
pub(super) const HEAD_BYTES_MAX: usize = 14;

/// Longest payload of a control frame in bytes (RFC 6455, 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// A breach of the protocol, in the terms of a Close frame (RFC 6455, 7.1.7 and 7.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// 1002 protocol error, 1003 data not accepted, 1007 not UTF-8, 1009 too big.
    pub code: u16,
    /// A sentence for the peer's developer, short enough for a Close frame.
    pub reason: String,
}

impl Violation {
    pub(super) fn protocol(reason: &str) -> Self {
        Self::new(1002, reason)
    }

    pub(super) fn not_utf8() -> Self {
        Self::new(1007, "text that is not UTF-8")
    }

    fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
        }
    }
}

/// The rules that a head is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Whether a message is open, that is, waiting for a continuation frame.
    pub(super) message_open: bool,
    /// Payload bytes of the open message so far.
    pub(super) message_bytes: usize,
    /// Most payload bytes of a message that is read at all, over all its frames.
    pub(super) message_bytes_max: usize,
    /// Whether binary messages are accepted.
    pub(super) binary: bool,
}

/// A head that passed the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) opcode: OpCode,
    pub(super) mask: [u8; 4],
    pub(super) payload_bytes: usize,
}

/// How much of a head has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Valid so far; the next step needs this many bytes in total.
    Needs(usize),
    Complete(Head),
}

/// Judges the first bytes of a frame, possibly none yet.
pub(super) fn judge(bytes: &[u8], rules: Rules) -> Result<Progress, Violation> {
    let Some(&first) = bytes.first() else {
        return Ok(Progress::Needs(1));
    };
    let fin = first & 0x80 != 0;
    let opcode = judge_first(first, rules)?;

    let Some(&second) = bytes.get(1) else {
        return Ok(Progress::Needs(2));
    };
    // RFC 6455, 5.1: a server closes upon a frame that is not masked.
    if second & 0x80 == 0 {
        return Err(Violation::protocol("frame without a mask"));
    }
    let short_length = usize::from(second & 0x7f);
    // RFC 6455, 5.5: control frames have at most 125 bytes.
    if is_control(opcode) && short_length > CONTROL_BYTES_MAX {
        return Err(Violation::protocol("control frame of more than 125 bytes"));
    }

    let length_bytes = match short_length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(length) = bytes.get(2..2 + length_bytes) else {
        return Ok(Progress::Needs(2 + length_bytes));
    };
    let payload_bytes = judge_length(short_length, length)?;
    if !is_control(opcode) {
        judge_size(payload_bytes, rules)?;
    }

    let mask_at = 2 + length_bytes;
    match bytes.get(mask_at..mask_at + 4) {
        Some(&[a, b, c, d]) => Ok(Progress::Complete(Head {
            fin,
            opcode,
            mask: [a, b, c, d],
            // Within the limit of a message or a control frame, so it fits.
            payload_bytes: usize::try_from(payload_bytes).unwrap_or(usize::MAX),
        })),
        _ => Ok(Progress::Needs(mask_at + 4)),
    }
}

fn judge_first(first: u8, rules: Rules) -> Result<OpCode, Violation> {
    // RFC 6455, 5.2: the reserved bits are 0 unless an extension was negotiated, and none ever is.
    if first & 0x70 != 0 {
        return Err(Violation::protocol("reserved bit set"));
    }
    let opcode =
        OpCode::try_from(first & 0x0f).map_err(|_| Violation::protocol("reserved opcode"))?;
    let fin = first & 0x80 != 0;
    match opcode {
        // RFC 6455, 5.5: control frames are never fragmented.
        OpCode::Close | OpCode::Ping | OpCode::Pong if !fin => {
            Err(Violation::protocol("fragmented control frame"))
        }
        // RFC 6455, 5.4: a continuation needs a start, and a start needs the previous message to be complete.
        OpCode::Continuation if !rules.message_open => {
            Err(Violation::protocol("continuation frame without a message"))
        }
        OpCode::Text | OpCode::Binary if rules.message_open => Err(Violation::protocol(
            "new message inside a fragmented message",
        )),
        // RFC 6455, 7.4.1: 1003 for an unaccepted type of data.
        OpCode::Binary if !rules.binary => Err(Violation::new(1003, "binary frame: send text")),
        _ => Ok(opcode),
    }
}

/// RFC 6455, 5.2: the length uses the fewest bytes possible, and the most significant bit is 0.
fn judge_length(short_length: usize, length: &[u8]) -> Result<u64, Violation> {
    let value = length
        .iter()
        .fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
    match short_length {
        126 if value < 126 => Err(Violation::protocol("length not in its shortest form")),
        127 if value >> 63 != 0 => Err(Violation::protocol("length of more than 63 bits")),
        127 if value < 65_536 => Err(Violation::protocol("length not in its shortest form")),
        126 | 127 => Ok(value),
        short => Ok(short as u64),
    }
}

/// The limit applies to the sum over a message's frames, and is checked before any payload is read.
fn judge_size(payload_bytes: u64, rules: Rules) -> Result<(), Violation> {
    let max = rules.message_bytes_max;
    if payload_bytes > max.saturating_sub(rules.message_bytes) as u64 {
        let reason = format!("message of more than {max} bytes");
        return Err(Violation::new(1009, &reason));
    }
    Ok(())
}

/// Whether frames of this kind may occur between those of a message (RFC 6455, 5.5).
pub(super) fn is_control(opcode: OpCode) -> bool {
    matches!(opcode, OpCode::Close | OpCode::Ping | OpCode::Pong)
}

/// Whether a peer may send this code in a Close frame (RFC 6455, 7.4.1 and 7.4.2, and the IANA registry).
pub(super) fn close_code_is_valid(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const RULES: Rules = Rules {
        message_open: false,
        message_bytes: 0,
        message_bytes_max: 100_000,
        binary: false,
    };

    const OPEN: Rules = Rules {
        message_open: true,
        message_bytes: 99_990,
        ..RULES
    };

    /// The head alone, even without its mask, must suffice for the verdict.
    #[test]
    fn each_rule_has_its_verdict() {
        let cases: &[(&str, Rules, &[u8], u16)] = &[
            ("reserved bit 1", RULES, &[0xc1], 1002),
            ("reserved bit 2", RULES, &[0xa1], 1002),
            ("reserved bit 3", RULES, &[0x91], 1002),
            ("reserved opcode 3", RULES, &[0x83], 1002),
            ("reserved opcode 7", RULES, &[0x87], 1002),
            ("reserved opcode 11", RULES, &[0x8b], 1002),
            ("reserved opcode 15", RULES, &[0x8f], 1002),
            ("fragmented ping", RULES, &[0x09], 1002),
            ("fragmented pong", RULES, &[0x0a], 1002),
            ("fragmented close", RULES, &[0x08], 1002),
            ("continuation of nothing", RULES, &[0x80], 1002),
            ("text in a message", OPEN, &[0x81], 1002),
            ("binary in a message", OPEN, &[0x02], 1002),
            ("binary", RULES, &[0x82], 1003),
            ("no mask", RULES, &[0x81, 0x05], 1002),
            ("ping of 126 bytes", RULES, &[0x89, 0xfe], 1002),
            ("close of 2^16 bytes", RULES, &[0x88, 0xff], 1002),
            ("125 in 16 bits", RULES, &[0x81, 0xfe, 0, 125], 1002),
            (
                "65535 in 64 bits",
                RULES,
                &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
                1002,
            ),
            (
                "64 bits",
                RULES,
                &[0x81, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0],
                1002,
            ),
            (
                "one byte too many",
                RULES,
                &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa1],
                1009,
            ),
            (
                "2^63 - 1 bytes",
                RULES,
                &[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                1009,
            ),
            ("one too many in the sum", OPEN, &[0x80, 0x80 | 11], 1009),
        ];
        for (name, rules, bytes, code) in cases {
            let violation = judge(bytes, *rules).unwrap_err();
            assert_eq!(violation.code, *code, "{name}: {violation:?}");
            for end in 0..bytes.len() {
                if let Err(earlier) = judge(&bytes[..end], *rules) {
                    assert_eq!(earlier, violation, "{name} at byte {end}");
                }
            }
        }
    }

    #[test]
    fn what_is_permitted_passes() {
        let cases: &[(&str, Rules, &[u8], usize)] = &[
            (
                "the limit",
                RULES,
                &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa0],
                100_000,
            ),
            ("the limit in the sum", OPEN, &[0x80, 0x80 | 10], 10),
            ("a ping in a message", OPEN, &[0x89, 0xfd], 125),
            ("126 bytes", RULES, &[0x01, 0xfe, 0, 126], 126),
            ("nothing", RULES, &[0x81, 0x80], 0),
        ];
        for (name, rules, bytes, payload_bytes) in cases {
            assert_eq!(
                judge(bytes, *rules),
                Ok(Progress::Needs(bytes.len() + 4)),
                "{name}"
            );
            let masked = [bytes, &[1, 2, 3, 4][..]].concat();
            match judge(&masked, *rules) {
                Ok(Progress::Complete(head)) => {
                    assert_eq!(head.payload_bytes, *payload_bytes, "{name}");
                    assert_eq!(head.mask, [1, 2, 3, 4], "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn close_codes() {
        for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert!(close_code_is_valid(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert!(!close_code_is_valid(code), "{code}");
        }
    }
}

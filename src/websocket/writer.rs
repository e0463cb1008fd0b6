//! Server frames, appended to a byte buffer: unmasked (RFC 6455, 5.1) and never fragmented.
//!
//! Never writes to a socket: many frames in one buffer become one write. Invariant: only whole frames are appended.

use fastwebsockets::{Frame, OpCode, Payload};

use super::frame::CONTROL_BYTES_MAX;

/// Longest reason of a Close frame in bytes: a control frame's payload less the code.
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Appends a text message.
pub fn text(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    append(out, OpCode::Text, text.as_ref());
}

/// Appends a binary message.
pub fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, OpCode::Binary, payload);
}

/// Appends a Ping. A payload over 125 bytes is truncated (RFC 6455, 5.5).
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, OpCode::Ping, cut(payload));
}

/// Appends a Pong. A payload over 125 bytes is truncated (RFC 6455, 5.5).
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, OpCode::Pong, cut(payload));
}

/// Appends a Close (RFC 6455, 5.5.1). The reason is truncated to 123 bytes at a character boundary.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    append(out, OpCode::Close, &payload);
}

fn cut(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}

fn append(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let mut head = [0; 16];
    let head_bytes = Frame::new(true, opcode, None, Payload::Borrowed(payload)).fmt_head(&mut head);
    out.reserve(head_bytes + payload.len());
    out.extend_from_slice(&head[..head_bytes]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        binary(&mut out, &vec![0; length]);
        out.truncate(out.len() - length);
        out
    }

    #[test]
    fn lengths_take_the_fewest_bytes() {
        assert_eq!(head_of(0), [0x82, 0]);
        assert_eq!(head_of(125), [0x82, 125]);
        assert_eq!(head_of(126), [0x82, 126, 0, 126]);
        assert_eq!(head_of(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(head_of(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn frames_follow_one_another() {
        let mut out = Vec::new();
        text(&mut out, "hi");
        ping(&mut out, b"17");
        pong(&mut out, &[7; 200]);
        close(&mut out, 4401, "token unknown");
        let mut expected = b"\x81\x02hi\x89\x0217\x8a\x7d".to_vec();
        expected.extend([7; 125]);
        expected.extend(b"\x88\x0f\x11\x31token unknown");
        assert_eq!(out, expected);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        close(&mut out, 1002, &"\u{4f60}".repeat(50));
        assert_eq!(out.len(), 2 + 2 + 123);
        close(&mut out, 1002, &format!("x{}", "\u{4f60}".repeat(50)));
        assert_eq!(out[127..129], [0x88, 2 + 1 + 120]);
    }
}

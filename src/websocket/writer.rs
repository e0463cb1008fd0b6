//! Frames from the server, appended to a byte buffer: unmasked (RFC 6455, 5.1) and never fragmented.
//!
//! Never writes to a socket: many frames in one buffer become one write. Invariant: what is appended is whole frames.

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

/// Appends a Ping. A payload of more than 125 bytes is cut there (RFC 6455, 5.5).
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, OpCode::Ping, cut(payload));
}

/// Appends a Pong. A payload of more than 125 bytes is cut there (RFC 6455, 5.5).
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, OpCode::Pong, cut(payload));
}

/// Appends a Close (RFC 6455, 5.5.1). The reason is cut to 123 bytes, between two characters.
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

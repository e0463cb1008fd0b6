//! Arbitrary bytes in arbitrary pieces: the parser never panics, holds no more than it may, says the same however the
//! input is cut, and what it accepts is what the writer would write back.
//!
//! The first byte says how many of the following ones are lengths of pieces; the rest is the input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::websocket::parser::{DISCARDED_BYTES_MAX, Incoming, Parser, START_BYTES_MAX};
use relaybox::websocket::{Violation, writer};

const MESSAGE_BYTES_MAX: usize = 300;
const CONTROL_BYTES_MAX: usize = 125;

fn parse(pieces: &[&[u8]], binary: bool) -> Vec<Result<Incoming, Violation>> {
    let mut parser = Parser::new(MESSAGE_BYTES_MAX, binary);
    let mut out = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            assert!(!parser.is_closed() || out.last().is_some_and(ends));
            let before = input.len();
            match parser.next(&mut input) {
                Ok(Some(incoming)) => out.push(Ok(incoming)),
                Ok(None) => break,
                Err(violation) => out.push(Err(violation)),
            }
            // An event costs the input at least a byte, so that no input keeps a task busy for ever.
            assert!(input.len() < before);
            assert!(parser.buffered_bytes() <= START_BYTES_MAX + CONTROL_BYTES_MAX);
        }
        assert!(input.is_empty());
    }
    out
}

fn ends(event: &Result<Incoming, Violation>) -> bool {
    matches!(event, Err(_) | Ok(Incoming::Close { .. }))
}

fn check(event: &Result<Incoming, Violation>) {
    let mut written = Vec::new();
    match event {
        Ok(Incoming::Text(text)) => {
            assert!(text.len() <= MESSAGE_BYTES_MAX);
            writer::text(&mut written, text);
        }
        Ok(Incoming::Binary(payload)) => {
            assert!(payload.len() <= MESSAGE_BYTES_MAX);
            writer::binary(&mut written, payload);
        }
        Ok(Incoming::TooLarge { start, bytes }) => {
            assert!((MESSAGE_BYTES_MAX + 1..=DISCARDED_BYTES_MAX).contains(bytes));
            assert_eq!(start.len(), START_BYTES_MAX.min(*bytes));
            writer::binary(&mut written, start);
        }
        Ok(Incoming::Ping(payload) | Incoming::Pong(payload)) => {
            assert!(payload.len() <= CONTROL_BYTES_MAX);
            writer::pong(&mut written, payload);
        }
        Ok(Incoming::Close { code }) => writer::close(&mut written, code.unwrap_or(1000), ""),
        Err(Violation { code, reason }) => {
            assert!(matches!(code, 1002 | 1003 | 1007 | 1009), "{code}");
            assert!(reason.len() <= CONTROL_BYTES_MAX - 2);
            writer::close(&mut written, *code, reason);
        }
    }
    assert!(written.len() >= 2 && written[1] & 0x80 == 0);
}

fuzz_target!(|data: &[u8]| {
    let Some((&steering, data)) = data.split_first() else {
        return;
    };
    let binary = steering & 0x80 != 0;
    let (lengths, input) = data.split_at(usize::from(steering & 0x0f).min(data.len()));

    let whole = parse(&[input], binary);
    assert!(whole.iter().rev().skip(1).all(|event| !ends(event)));
    whole.iter().for_each(check);

    let mut rest = input;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, left) = rest.split_at(usize::from(*length).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces.push(rest);
    assert_eq!(parse(&pieces, binary), whole);

    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(parse(&bytes, binary), whole);
});

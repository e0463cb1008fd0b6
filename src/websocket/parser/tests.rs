//! The rules of the parser, and that cutting the input changes nothing.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const MAX: usize = 1000;

/// A client's frame, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0xf2, 0x53, 0xa4];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Everything that comes out, the input cut after each of the given numbers of bytes.
fn parse(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<Result<Incoming, Violation>> {
    let mut parser = Parser::new(MAX, true);
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        let mut input = &bytes[from..cut.clamp(from, bytes.len())];
        from += input.len();
        loop {
            match parser.next(&mut input) {
                Ok(Some(incoming)) => out.push(Ok(incoming)),
                Ok(None) => break,
                Err(violation) => out.push(Err(violation)),
            }
            assert!(parser.buffered_bytes() <= MAX + 125);
        }
        assert!(input.is_empty());
    }
    out
}

fn text(text: &str) -> Result<Incoming, Violation> {
    Ok(Incoming::Text(text.to_owned()))
}

fn code_of(out: &[Result<Incoming, Violation>]) -> Option<u16> {
    match out {
        [.., Err(violation)] => Some(violation.code),
        _ => None,
    }
}

#[test]
fn fragments_with_control_frames_between_make_one_message() {
    let bytes = [
        frame(0x01, "gr\u{fc}\u{df}".as_bytes()),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, " \u{1f600}".as_bytes()),
        frame(0x82, &[0xff, 0x00]),
        frame(0x81, b""),
        frame(0x88, &[0x03, 0xe8, b'o', b'k']),
        frame(0x81, b"too late"),
    ]
    .concat();
    let expected = vec![
        Ok(Incoming::Ping(b"are you there".to_vec())),
        Ok(Incoming::Pong(Vec::new())),
        text("gr\u{fc}\u{df} \u{1f600}"),
        Ok(Incoming::Binary(vec![0xff, 0x00])),
        text(""),
        Ok(Incoming::Close { code: Some(1000) }),
    ];
    assert_eq!(parse(&bytes, []), expected);
    assert_eq!(parse(&bytes, 0..bytes.len()), expected);
    for cut in 0..bytes.len() {
        assert_eq!(parse(&bytes, [cut]), expected, "cut at {cut}");
    }
}

#[test]
fn text_fails_at_the_first_byte_that_cannot_be_mended() {
    // Each is the start of a longer text frame of which no more arrives.
    let cases: &[(&[u8], bool)] = &[
        (&[b'a', 0xff], true),
        (&[0xc0], true),
        (&[0xed, 0xa0], true),
        (&[0xf4, 0x90], true),
        (&[0xe4, 0xbd, 0x20], true),
        (&[0xed], false),
        (&[0xf0, 0x9f, 0x98], false),
    ];
    for (start, fails) in cases {
        let mut whole = start.to_vec();
        whole.resize(20, b'x');
        let bytes = frame(0x81, &whole);
        let part = &bytes[..6 + start.len()];
        let expected = fails.then_some(1007);
        assert_eq!(code_of(&parse(part, [])), expected, "{start:x?}");
        assert_eq!(code_of(&parse(part, 0..part.len())), expected, "{start:x?}");
    }
    let cut_short = [frame(0x01, &[0xe4]), frame(0x80, &[0xbd])].concat();
    assert_eq!(code_of(&parse(&cut_short, [])), Some(1007));
    assert_eq!(code_of(&parse(&frame(0x81, &[0xe4]), [])), Some(1007));
}

#[test]
fn the_limit_holds_for_the_sum_of_fragments_and_before_the_payload() {
    let fits = [frame(0x01, &[b'x'; 600]), frame(0x80, &[b'y'; 400])].concat();
    assert!(matches!(&parse(&fits, [])[..], [Ok(Incoming::Text(text))] if text.len() == MAX));
    let head_of_too_much = [&frame(0x01, &[b'x'; 600])[..], &[0x80, 0xfe, 0x01, 0x91]].concat();
    assert_eq!(code_of(&parse(&head_of_too_much, [])), Some(1009));
}

#[test]
fn close_payloads() {
    for (payload, code) in [(&[][..], None), (&[0x0f, 0xa0], Some(4000))] {
        let out = parse(&frame(0x88, payload), []);
        assert_eq!(out, [Ok(Incoming::Close { code })]);
    }
    let refused: &[(&[u8], u16)] = &[
        (&[0x03], 1002),
        (&[0x03, 0xed], 1002),
        (&[0x03, 0xe8, 0xff], 1007),
    ];
    for (payload, code) in refused {
        let out = parse(&frame(0x88, payload), []);
        assert_eq!(code_of(&out), Some(*code), "{payload:x?}");
    }
}

#[test]
fn nothing_is_held_between_messages() {
    let mut parser = Parser::new(MAX, false);
    let bytes = [
        frame(0x01, &[b'x'; 500]),
        frame(0x80, b"y"),
        frame(0x89, b"p"),
    ]
    .concat();
    let mut input = &bytes[..];
    while parser.next(&mut input).unwrap().is_some() {}
    assert_eq!(
        (parser.message.capacity(), parser.control.capacity()),
        (0, 0)
    );
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x01u8, 0x02, 0x00, 0x80, 0x81, 0x82, 0x89, 0x8a]),
        1 => prop::sample::select(vec![0x88u8, 0x83, 0xc1, 0x09]),
    ];
    let payload = prop_oneof![
        "[a-z\u{e9}\u{4f60}\u{1f600}]{0,60}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..130),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn cutting_changes_nothing(
        frames in prop::collection::vec(any_frame(), 0..12),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        steps in prop::collection::vec(0usize..40, 0..60),
    ) {
        let bytes = [frames.concat(), noise].concat();
        let whole = parse(&bytes, []);
        let cuts = steps.iter().scan(0, |at, step| { *at += step; Some(*at) });
        prop_assert_eq!(&parse(&bytes, cuts), &whole);
        prop_assert_eq!(&parse(&bytes, 0..bytes.len()), &whole);
    }
}

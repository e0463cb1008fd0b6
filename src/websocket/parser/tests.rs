//! The rules of the parser, and its independence of how the input is cut.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const MAX: usize = 1000;

/// A masked client frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0xf2, 0x53, 0xa4];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
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

/// Everything the parser returns, the input cut after each of the given numbers of bytes.
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
            assert!(parser.buffered_bytes() <= START_BYTES_MAX + 125);
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
    // Each is the start of a longer text frame whose rest never arrives.
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
    let most = [
        &frame(0x01, &[b'x'; 600])[..],
        &head_of(DISCARDED_BYTES_MAX - 600),
    ]
    .concat();
    assert_eq!(parse(&most, []), []);
    let too_much = [
        &frame(0x01, &[b'x'; 600])[..],
        &head_of(DISCARDED_BYTES_MAX - 599),
    ]
    .concat();
    assert_eq!(code_of(&parse(&too_much, [])), Some(1009));
    // The announced total counts, not the part kept.
    let megabyte = frame(0x00, &vec![b'x'; 1 << 20]);
    let mut parser = Parser::new(MAX, true);
    let started = [&frame(0x01, b"")[..], &megabyte.repeat(16)].concat();
    assert_eq!(parser.next(&mut &started[..]), Ok(None));
    assert_eq!(parser.next(&mut &frame(0x00, b"")[..]), Ok(None));
    let refused = parser.next(&mut &frame(0x00, b"x")[..]).unwrap_err();
    assert_eq!(refused.code, 1009);
}

/// The head of a last frame of this length.
fn head_of(bytes: usize) -> [u8; 14] {
    let mut head = [0; 14];
    (head[0], head[1]) = (0x80, 0x80 | 127);
    head[2..10].copy_from_slice(&(bytes as u64).to_be_bytes());
    head
}

#[test]
fn a_message_that_is_too_large_is_thrown_away_but_for_its_start() {
    let text: String = (0u32..)
        .flat_map(|number| [char::from(b'a' + (number % 26) as u8), '\u{4f60}'])
        .take(100_000)
        .collect();
    let whole = text.as_bytes();
    let first = |bytes: usize| whole[..bytes.min(START_BYTES_MAX)].to_vec();
    let table: &[(&str, &[usize])] = &[
        ("one frame", &[whole.len()]),
        ("a permitted start", &[MAX, 1]),
        ("small pieces", &[700; 200]),
        ("characters that are cut", &[MAX + 1, 65_536, 1, 2, 3]),
        ("up to the start", &[START_BYTES_MAX]),
        ("one more", &[START_BYTES_MAX, 1]),
        ("an empty end", &[MAX + 2, 0]),
    ];
    for (name, pieces) in table {
        let mut bytes = Vec::new();
        let mut at = 0;
        for (index, piece) in pieces.iter().enumerate() {
            let first = if index == 0 { 0x01 } else { 0x00 };
            let fin = if index + 1 == pieces.len() { 0x80 } else { 0 };
            bytes.extend(frame(first | fin, &whole[at..at + piece]));
            bytes.extend(frame(0x89, b"p").repeat(usize::from(fin == 0)));
            at += piece;
        }
        bytes.extend(frame(0x81, b"next"));
        let mut expected = vec![Ok(Incoming::Ping(b"p".to_vec())); pieces.len() - 1];
        expected.push(Ok(Incoming::TooLarge {
            start: first(at),
            bytes: at,
        }));
        expected.push(Ok(Incoming::Text("next".to_owned())));
        for step in [bytes.len(), 1, 7, 16_384] {
            let cuts = (0..bytes.len()).step_by(step);
            assert!(parse(&bytes, cuts) == expected, "{name}, cut each {step}");
        }
    }
}

#[test]
fn a_permitted_start_of_what_becomes_too_large_is_let_go() {
    let mut parser = Parser::new(1 << 20, true);
    let start = frame(0x01, &vec![b'x'; 1 << 20]);
    assert_eq!(parser.next(&mut &start[..]), Ok(None));
    assert_eq!(parser.buffered_bytes(), 1 << 20);
    assert_eq!(parser.next(&mut &frame(0x00, b"x")[..]), Ok(None));
    assert_eq!(parser.message.capacity(), START_BYTES_MAX);
}

#[test]
fn of_text_that_is_too_large_the_start_alone_must_be_utf8() {
    let with_bad_byte = |at: usize| {
        let mut payload = vec![b'x'; 2 * START_BYTES_MAX];
        payload[at] = 0xff;
        code_of(&parse(&frame(0x81, &payload), []))
    };
    assert_eq!(with_bad_byte(START_BYTES_MAX - 1), Some(1007));
    assert_eq!(with_bad_byte(START_BYTES_MAX), None);
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
        "[a-z\u{4f60}]{400,600}".prop_map(String::into_bytes),
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

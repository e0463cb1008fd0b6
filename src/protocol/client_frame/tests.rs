use super::*;

fn rules() -> FrameRules {
    FrameRules {
        content_bytes_max: 64,
        content_depth_max: 20,
        types: MessageType::BASE.into(),
    }
}

fn accepted(text: &str) -> Send {
    match parse(text, &rules()) {
        Ok(ClientFrame::Send(send)) => send,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn reads_base_frames_and_keeps_the_content_to_the_byte() {
    for content in [
        r#""hello""#,
        "0",
        "1.0e5",
        "true",
        r#"{ "a" : [1,  2.50], "a":"\u00e9" }"#,
        "[]",
        r#""\ud83d\ude00""#,
    ] {
        let send = accepted(&format!(
            r#"{{"x":[1,{{}}], "toId":"u2","type":10,"content": {content} ,"fromId":"spoof"}}"#
        ));
        assert_eq!(&*send.content, content);
        assert!(!send.to_array);
    }
}

#[test]
fn a_type_is_the_same_number_in_any_notation() {
    for kind in ["10", "10.0", "1e1", "1.0E+1", "100e-1"] {
        let send = accepted(&format!(r#"{{"toId":"a","type":{kind},"content":1}}"#));
        assert_eq!(send.kind, MessageType(10), "{kind}");
    }
}

#[test]
fn recipients_are_strings_integers_or_arrays_of_different_ones() {
    let frame = |to: &str| format!(r#"{{"toId":{to},"type":10,"content":1}}"#);
    let ids = |to: &str| {
        accepted(&frame(to))
            .to
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("42"), ["42"]);
    assert_eq!(ids("-7"), ["-7"]);
    assert_eq!(ids("-0"), ["0"]);
    assert_eq!(ids("42.0"), ["42"]);
    assert_eq!(ids("1e3"), ["1000"]);
    assert_eq!(ids("[1.764000000123456E15]"), ["1764000000123456"]);
    assert_eq!(
        ids("123456789012345678901234567890"),
        ["123456789012345678901234567890"]
    );
    assert_eq!(ids(r#"["a", 1, "中"]"#), ["a", "1", "中"]);
    assert!(accepted(&frame(r#"["a"]"#)).to_array);
    for to in [
        "1.5",
        "1e400",
        "[1,1.0]",
        "true",
        "{}",
        "[]",
        r#""""#,
        r#"["a","a"]"#,
        r#"[1,"1"]"#,
        r#"[["a"]]"#,
        r#""a\u0000""#,
        r#""\ud800""#,
        "null",
    ] {
        let error = parse(&frame(to), &rules()).expect_err(to);
        assert_eq!(
            (error.code, error.field),
            (ErrorCode::InvalidField, Some("toId")),
            "{to}"
        );
    }
    let many = |count: usize| {
        frame(&format!(
            "[{}]",
            (0..count)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join(",")
        ))
    };
    assert_eq!(accepted(&many(100)).to.len(), 100);
    assert!(parse(&many(101), &rules()).is_err());
}

#[test]
fn refusals_name_code_field_and_client_msg_id() {
    use ErrorCode::{InvalidField, InvalidJson, TooLarge, TypeNotAllowed};
    let long = format!(r#"{{"toId":"a","type":10,"content":"{}"}}"#, "x".repeat(63));
    for (text, code, field) in [
        ("", InvalidJson, None),
        ("hello", InvalidJson, None),
        ("[]", InvalidJson, None),
        ("1", InvalidJson, None),
        (r#""ping""#, InvalidJson, None),
        ("{}{}", InvalidJson, None),
        (r#"{"toId":"a""#, InvalidJson, None),
        ("{}", InvalidField, Some("toId")),
        (r#"{"toId":"a","content":1}"#, InvalidField, Some("type")),
        (
            r#"{"toId":"a","type":"10","content":1}"#,
            InvalidField,
            Some("type"),
        ),
        (
            r#"{"toId":"a","type":10.5,"content":1}"#,
            InvalidField,
            Some("type"),
        ),
        (
            r#"{"toId":"a","type":11,"content":1}"#,
            TypeNotAllowed,
            Some("type"),
        ),
        (
            r#"{"toId":"a","type":-10,"content":1}"#,
            TypeNotAllowed,
            Some("type"),
        ),
        (
            r#"{"toId":"a","type":99999999999,"content":1}"#,
            TypeNotAllowed,
            Some("type"),
        ),
        (r#"{"toId":"a","type":10}"#, InvalidField, Some("content")),
        (
            r#"{"toId":"a","type":10,"content":null}"#,
            InvalidField,
            Some("content"),
        ),
        (
            r#"{"toId":"a","toId":"b","type":10,"content":1}"#,
            InvalidField,
            Some("toId"),
        ),
        (
            r#"{"toId":"a","type":10,"content":1,"toResource":""}"#,
            InvalidField,
            Some("toResource"),
        ),
        (
            r#"{"toId":"a","type":10,"content":1,"clientMsgId":7}"#,
            InvalidField,
            Some("clientMsgId"),
        ),
        (&long, TooLarge, Some("content")),
    ] {
        let error = parse(text, &rules()).expect_err(text);
        assert_eq!((error.code, error.field), (code, field), "{text}");
        assert!(
            field.is_none_or(|field| error.message.contains(field)),
            "{text}"
        );
    }
    let error = parse(r#"{"clientMsgId":"c-1","toId":7.5}"#, &rules()).expect_err("bad toId");
    assert_eq!(
        error.client_msg_id.as_ref().map(ClientMsgId::as_str),
        Some("c-1")
    );
}

#[test]
fn deep_nesting_is_no_recursion() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let rules = FrameRules {
        content_bytes_max: 1 << 20,
        content_depth_max: 20_000,
        ..rules()
    };
    let frame = format!(r#"{{"y":{deep},"toId":"a","type":10,"content":{deep}}}"#);
    assert!(parse(&frame, &rules).is_ok());
}

#[test]
fn what_recipients_cannot_read_is_refused() {
    let content = |json: &str| format!(r#"{{"toId":"a","type":10,"content":{json}}}"#);
    let nested = |depth| content(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    accepted(&nested(20));
    for text in [nested(21), content(r#""\ud800""#)] {
        let error = parse(&text, &rules()).expect_err(&text);
        assert_eq!(
            (error.code, error.field),
            (ErrorCode::InvalidField, Some("content"))
        );
    }
    let name = content(r#"1,"clientMsgId":"\udc00""#);
    let error = parse(&name, &rules()).expect_err("an unpaired surrogate");
    assert_eq!(error.field, Some("clientMsgId"));
    assert!(error.message.contains("surrogate"), "{error}");
    // Ignored fields are not validated.
    accepted(&content(r#"1,"x":"\udc00""#));
}

#[test]
fn ping_is_four_letters() {
    assert_eq!(parse("ping", &rules()), Ok(ClientFrame::Ping));
    assert!(parse("ping ", &rules()).is_err());
}

#[test]
fn a_receipt_is_a_frame_of_its_own_with_a_msg_id() {
    for (text, id) in [
        (r#"{"received":0}"#, 0),
        (
            r#"{"other":1,"received" : 9007199254740991 }"#,
            (1 << 53) - 1,
        ),
        (r#"{"received":7,"toId":null,"clientMsgId":"c"}"#, 7),
        (r#"{"received":1764000000123456.0}"#, 1_764_000_000_123_456),
        (
            r#"{"received":1.764000000123456E15}"#,
            1_764_000_000_123_456,
        ),
        (r#"{"received":"1764000000123456"}"#, 1_764_000_000_123_456),
        // The nearest float is even.
        (r#"{"received":9007199254740.991e3}"#, 9_007_199_254_740_991),
    ] {
        let parsed = parse(text, &rules());
        assert_eq!(parsed, Ok(ClientFrame::Received(MsgId(id))), "{text}");
    }
    for wrong in [
        r#"{"received":null}"#,
        r#"{"received":null,"clientMsgId":"c","toId":null}"#,
        r#"{"received":"7.0"}"#,
        r#"{"received":"7e0"}"#,
        r#"{"received":" 7"}"#,
        r#"{"received":""}"#,
        r#"{"received":"9007199254740992"}"#,
        r#"{"received":7.5}"#,
        r#"{"received":1e400}"#,
        r#"{"received":9007199254740.9915e3}"#,
        r#"{"received":-1}"#,
        r#"{"received":9007199254740992}"#,
        r#"{"received":[7]}"#,
        r#"{"received":true}"#,
        r#"{"received":7,"received":8}"#,
        r#"{"received":7,"toId":"u2","type":10,"content":1}"#,
    ] {
        let error = parse(wrong, &rules()).expect_err(wrong);
        assert_eq!(error.code, ErrorCode::InvalidField, "{wrong}");
        assert_eq!(error.field, Some("received"), "{wrong}");
    }
    let absent = parse(r#"{"received":null,"type":10}"#, &rules()).expect_err("a send");
    assert_eq!(absent.field, Some("toId"));
}

#[test]
fn a_field_that_stands_twice_is_refused_also_where_one_is_null() {
    for twice in [
        r#""a","toId":"b""#,
        r#"null,"toId":"b""#,
        r#""a","toId":null"#,
    ] {
        let text = format!(r#"{{"toId":{twice},"type":10,"content":1}}"#);
        let error = parse(&text, &rules()).expect_err(twice);
        assert_eq!(error.field, Some("toId"), "{twice}");
        assert!(error.message.ends_with("is given more than once"));
    }
    let nulls = r#"{"toId":"a","type":10,"content":1,"toResource":null,"received":null}"#;
    assert_eq!(accepted(nulls).to_resource, None);
}

#[test]
fn a_frame_that_was_not_read_keeps_its_id() {
    let rules = rules();
    let id_of = |start: &[u8]| {
        let error = too_large(start, 70_000, &rules);
        assert_eq!((error.code, error.field), (ErrorCode::TooLarge, None));
        let max = rules.content_bytes_max.to_string();
        assert!(error.message.contains("70000") && error.message.contains(&max));
        error.client_msg_id.map(|id| id.as_str().to_owned())
    };
    let known = Some("c-1".to_owned());
    assert_eq!(id_of(br#"{"clientMsgId":"c-1","content":"xx"#), known);
    assert_eq!(id_of(br#"{"content":{"clientMsgId":"c-1"},"x":"#), None);
    assert_eq!(id_of(br#"{"clientMsgId":7,"content":"xx"#), None);
    let too_long = format!(r#"{{"clientMsgId":"{}","content":"#, "x".repeat(65));
    assert_eq!(id_of(too_long.as_bytes()), None);
}

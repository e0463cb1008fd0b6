//! Rules for the JSON text of a content beyond valid JSON, so that every recipient can parse it.
//!
//! A message that its recipient cannot parse is never confirmed, and is redelivered forever. Free of recursion, so that
//! depth costs no stack.

/// Why common parsers refuse a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Its arrays and objects are nested deeper than this.
    #[error("must be nested at most {0} levels deep")]
    TooDeep(usize),
    /// One half of a surrogate pair without the other (RFC 8259, section 8.2).
    #[error(
        "must not hold an unpaired surrogate such as \\ud800 (at byte {0} of its JSON text): no text in Unicode has it"
    )]
    Surrogate(usize),
}

/// Checks a text that is valid JSON.
///
/// # Errors
/// The first thing that a parser would reject.
pub(super) fn check(json: &str, depth_max: usize) -> Result<(), Unreadable> {
    let bytes = json.as_bytes();
    // Most texts pass here, at next to no cost: nesting is no deeper than the number of opening brackets.
    let opened = bytes.iter().filter(|byte| matches!(byte, b'[' | b'{'));
    if opened.count() <= depth_max && !json.contains("\\u") {
        return Ok(());
    }
    let (mut at, mut depth, mut in_string) = (0, 0_usize, false);
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'\\' => escape_len(json, at).ok_or(Unreadable::Surrogate(at))?,
            _ => 1,
        };
        match byte {
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > depth_max {
            return Err(Unreadable::TooDeep(depth_max));
        }
    }
    Ok(())
}

/// Length of the escape at `at`, or of both halves of a surrogate pair; `None` for a lone half.
fn escape_len(json: &str, at: usize) -> Option<usize> {
    match utf16(json, at) {
        None => Some(2),
        Some(0xd800..=0xdbff) => {
            let partner = utf16(json, at + 6)?;
            (0xdc00..=0xdfff).contains(&partner).then_some(12)
        }
        Some(0xdc00..=0xdfff) => None,
        Some(_) => Some(6),
    }
}

/// The code unit of a `\u` escape with four digits at `at`.
fn utf16(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::Unreadable::{Surrogate, TooDeep};
    use super::*;

    fn nested(open: &str, depth: usize, close: &str) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn depth_is_what_stands_in_one_another() {
        let wide = format!("[{}1]", "[[],{}],".repeat(1000));
        let brackets_in_strings =
            format!(r#"["{}","\\","\"{}"]"#, "[{".repeat(100), "[".repeat(100));
        for (json, deepest) in [
            ("1".to_owned(), 0),
            (r#""[[[[""#.to_owned(), 0),
            (nested("[", 1, "]"), 1),
            (nested("[", 60, "]"), 60),
            (nested(r#"{"a":"#, 60, "}"), 60),
            (nested(r#"[{"\u005b\\":"#, 30, "}]"), 60),
            (nested("[", 100_000, "]"), 100_000),
            (wide, 3),
            (brackets_in_strings, 1),
        ] {
            assert_eq!(check(&json, deepest), Ok(()), "{deepest}");
            if deepest > 0 {
                let expected = Err(TooDeep(deepest - 1));
                assert_eq!(check(&json, deepest - 1), expected, "{deepest}");
            }
        }
    }

    #[test]
    fn a_surrogate_has_its_partner_behind_it() {
        for json in [
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00\ud83d\udE00""#,
            r#""\ud7ff\ue000""#,
            r#""\\ud800""#,
            r#""\\\\udc00 \" \n""#,
            r#"{"\ud83d\ude00":["\u0041"]}"#,
            r#""é🙂\u00e9""#,
        ] {
            assert_eq!(check(json, 60), Ok(()), "{json}");
        }
        for (json, at) in [
            (r#""\ud800""#, 1),
            (r#""\udc00""#, 1),
            (r#""\uD83Dx\uDE00""#, 1),
            (r#""\ud83d\n""#, 1),
            (r#""\ud83d\\ude00""#, 1),
            (r#""\ude00\ud83d""#, 1),
            (r#""\ud83d\ud83d\ude00""#, 1),
            (r#""\\\ud800""#, 3),
            (r#""é\ud800é🙂🙂""#, 3),
            (r#"{"\ud800":1}"#, 2),
            (r#"[["\u0041","\udfff"]]"#, 12),
        ] {
            assert_eq!(check(json, 60), Err(Surrogate(at)), "{json}");
        }
    }
}

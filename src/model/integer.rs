//! Integers in any JSON notation, read exactly.
//!
//! JSON has one number type: `1764000000123456.0` and `1.764000000123456E15` are the integer 1764000000123456 (RFC
//! 8259, section 6), and many JSON libraries write it that way. Nothing passes through a float, which would lose
//! digits.

use std::borrow::Cow;

/// Most digits of an integer with a fraction or an exponent: as many as the longest user id.
const DIGITS_MAX: usize = super::name::UserId::MAX_BYTES;

/// Digits of a `msgId`: microseconds since 1970, from 2001 to 2286.
const ID_DIGITS: usize = 16;

/// The decimal digits of the integer written in `text`, with a leading `-` if it is negative. `None` if it is not a
/// number, not an integer, or expanded by its exponent beyond the longest user id.
pub fn integer(text: &str) -> Option<Cow<'_, str>> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, power(exponent)?),
        None => (number, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    if !is_digits(whole) {
        return None;
    }
    if whole.len() == number.len() && number != "0" {
        return Some(text.into());
    }
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_end_matches('0');
    let significant = trimmed.trim_start_matches('0');
    if significant.is_empty() {
        return Some("0".into());
    }
    // Position of the decimal point, counted from the first digit.
    let point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
    let point = usize::try_from(point).ok()?;
    let zeros = point.checked_sub(trimmed.len())?;
    if significant.len().saturating_add(zeros) > DIGITS_MAX {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let zeros = "0".repeat(zeros);
    Some(format!("{sign}{significant}{zeros}").into())
}

/// As [`integer`], for a non-negative integer that fits into 64 bits.
pub fn unsigned(text: &str) -> Option<u64> {
    integer(text)?.parse().ok()
}

/// As [`unsigned`], but the least integer that may have been rounded to it: half a unit of the last written digit less.
/// Applies only to a number with an exponent and fewer written digits than the 16 of an id: software that rounds to
/// fewer digits writes such a number, and so does software that drops trailing zeros.
pub fn at_least(text: &str) -> Option<u64> {
    let value = unsigned(text)?;
    let Some((mantissa, _)) = text.split_once(['e', 'E']) else {
        return Some(value);
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let written = digits.skip_while(|digit| *digit == b'0').count();
    let length = value.checked_ilog10().map_or(1, |power| power as usize + 1);
    if length < ID_DIGITS || written >= length {
        return Some(value);
    }
    let unit = u32::try_from(length - written).ok()?;
    Some(value.saturating_sub(10_u64.saturating_pow(unit) / 2))
}

/// An exponent; one out of range is replaced by a very large one.
fn power(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) if text.starts_with('-') => (-1, digits),
        Some(digits) => (1, digits),
        None => (1, text),
    };
    is_digits(digits).then(|| sign * digits.parse().unwrap_or(i64::MAX))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_an_integer_is_that_integer() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.0", "0"),
            ("-0.00e7", "0"),
            ("0e99999999999999999999", "0"),
            ("42", "42"),
            ("-7", "-7"),
            ("007", "007"),
            ("10.0", "10"),
            ("1e1", "10"),
            ("1E+1", "10"),
            ("100e-1", "10"),
            ("-1.50e1", "-15"),
            ("1764000000123456.0", "1764000000123456"),
            ("1.764000000123456E15", "1764000000123456"),
            ("1.764000000123456e+15", "1764000000123456"),
            ("1764000000123456000e-3", "1764000000123456"),
            ("0.001764000000123456e18", "1764000000123456"),
            ("9.007199254740993e15", "9007199254740993"),
            (
                "123456789012345678901234567890.0",
                "123456789012345678901234567890",
            ),
        ] {
            assert_eq!(integer(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(integer("1e127").map(|digits| digits.len()), Some(128));
        let long = "9".repeat(1000);
        assert_eq!(
            integer(&long),
            Some(long.as_str().into()),
            "is not made longer"
        );
    }

    #[test]
    fn what_is_no_integer_is_not_rounded_to_one() {
        for text in [
            "",
            "-",
            "+1",
            "--1",
            " 1",
            "1 ",
            "1.",
            ".5",
            "1.e1",
            "e1",
            "1e",
            "1e+",
            "1e++1",
            "1e1.0",
            "0x10",
            "١",
            "1,0",
            "1_0",
            "inf",
            "NaN",
            "10.5",
            "1e-1",
            "1.5e0",
            "1.764000000123456e14",
            "0.1e-99999999999999999999",
            "1e128",
            "1e400",
            "1e9223372036854775807",
            "1e99999999999999999999",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn a_bound_that_was_rounded_is_taken_low() {
        for (text, least) in [
            ("1.7640000001235e+15", 1_764_000_000_123_450),
            ("1.76400000012346E15", 1_764_000_000_123_455),
            ("2e15", 1_500_000_000_000_000),
            ("1.764000000123450E15", 1_764_000_000_123_450),
            ("1.764000000123456E15", 1_764_000_000_123_456),
            ("0001764000000123456e0", 1_764_000_000_123_456),
            ("1764000000123500", 1_764_000_000_123_500),
            ("1764000000123500.0", 1_764_000_000_123_500),
            ("1e1", 10),
            ("0e9", 0),
        ] {
            assert_eq!(at_least(text), Some(least), "{text}");
        }
        assert_eq!(at_least("1.5"), None);
    }

    #[test]
    fn unsigned_ones_have_a_range() {
        assert_eq!(unsigned("1.8446744073709551615e19"), Some(u64::MAX));
        assert_eq!(unsigned("18446744073709551616"), None);
        assert_eq!(unsigned("-0"), Some(0));
        assert_eq!(unsigned("-1"), None);
    }
}

//! Strict query strings: form-encoded, UTF-8, no parameter twice.
//!
//! Our own, as libraries are lenient: they replace invalid UTF-8, and pick the first or last of two equal parameters.

use percent_encoding::percent_decode_str;

use crate::model::{self, MsgId, nearest};

/// Every parameter of any login or request.
const NAMES: [&str; 17] = [
    "id", "name", "domain", "resource", "token", "receipts", "after", "toId", "fromId", "with",
    "page", "size", "order", "asOf", "before", "since", "until",
];

/// Why a query string or one of its parameters was refused. Each names the parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
    #[error("{0} is malformed: it must be percent-encoded UTF-8")]
    Malformed(String),
    /// The parameter occurs more than once.
    #[error("`{0}` is given more than once")]
    Repeated(&'static str),
}

/// The decoded parameters of a query string, in their order.
// No `Debug`: a token may be among them.
#[derive(Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `key=value&…` with `+` as a space.
    ///
    /// # Errors
    /// [`QueryError::Malformed`] with the parameter's name.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        let given = text.split('&').filter(|pair| !pair.is_empty());
        for (at, pair) in given.enumerate() {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let malformed = |key| QueryError::Malformed(described(at, key));
            let decoded = decode(key).ok_or_else(|| malformed(key))?;
            let value = decode(value).ok_or_else(|| malformed(&decoded))?;
            pairs.push((decoded, value));
        }
        Ok(Self(pairs))
    }

    /// The parameter's value; `None` if absent.
    ///
    /// # Errors
    /// [`QueryError::Repeated`].
    pub fn value(&self, name: &'static str) -> Result<Option<&str>, QueryError> {
        let mut pairs = self.0.iter().filter(|(key, _)| key == name);
        let first = pairs.next().map(|(_, value)| value.as_str());
        match pairs.next() {
            Some(_) => Err(QueryError::Repeated(name)),
            None => Ok(first),
        }
    }

    /// The first parameter outside this list, worded for a message.
    pub fn other_than(&self, known: &[&str]) -> Option<String> {
        let mut names = self.0.iter().map(|(key, _)| key.as_str()).enumerate();
        let (at, other) = names.find(|(_, key)| !known.contains(key))?;
        Some(described(at, other))
    }
}

/// A number in any JSON notation.
pub fn unsigned(value: &str) -> Option<u64> {
    model::unsigned(&unspaced(value))
}

/// Restores the unescaped `+` of an exponent, which was decoded as a space.
fn unspaced(value: &str) -> String {
    value.replacen("e ", "e+", 1).replacen("E ", "E+", 1)
}

/// A `msgId`: a number, or its digits in quotes, as a JSON string has them.
pub fn msg_id(value: &str) -> Option<MsgId> {
    parse_id(value, unsigned)
}

/// A `msgId` below or up to which messages are given up. The client may have rounded it up, so this is the least
/// value it may stand for.
pub fn msg_id_at_least(value: &str) -> Option<MsgId> {
    parse_id(value, |number| model::at_least(&unspaced(number)))
}

fn parse_id(value: &str, number: impl FnOnce(&str) -> Option<u64>) -> Option<MsgId> {
    let unquoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match unquoted {
        Some(digits) => MsgId::parse_digits(digits),
        None => number(value).map(MsgId).filter(|id| *id <= MsgId::MAX),
    }
}

/// A parameter's name in messages: the name if it is known, otherwise its position.
fn described(at: usize, name: &str) -> String {
    let place = at + 1;
    match nearest(name, NAMES) {
        Some(near) if near == name => format!("`{name}`"),
        Some(near) => format!("parameter {place} (did you mean `{near}`?)"),
        None => format!("parameter {place}"),
    }
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let escapes_are_whole = bytes.iter().enumerate().filter(|(_, b)| **b == b'%').all(|(at, _)| {
        matches!(bytes.get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    });
    if !escapes_are_whole {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_forms() {
        let query = Query::parse("name=Al+ice%20%E4%B8%AD&id=a%2Bb&flag&&x=").expect("well formed");
        assert_eq!(query.value("name"), Ok(Some("Al ice 中")));
        assert_eq!(query.value("id"), Ok(Some("a+b")));
        assert_eq!(query.value("flag"), Ok(Some("")));
        assert_eq!(query.value("x"), Ok(Some("")));
        assert_eq!(query.value("absent"), Ok(None));
        assert_eq!(query.other_than(&["name", "id", "flag", "x"]), None);
        let other = |known: &[&str]| query.other_than(known);
        assert_eq!(other(&["name", "x"]).as_deref(), Some("`id`"));
        assert_eq!(other(&["name", "id", "x"]).as_deref(), Some("parameter 3"));
    }

    #[test]
    fn names_what_is_wrong() {
        for text in ["id=%", "id=%4", "id=%zz", "id=%ff", "id=%c3%28"] {
            assert_eq!(
                Query::parse(text).err(),
                Some(QueryError::Malformed("`id`".into())),
                "{text}"
            );
        }
        for (text, place) in [
            ("id=a&&befor=%", "parameter 2 (did you mean `before`?)"),
            ("id=a&hush-hush=%", "parameter 2"),
            ("hush%", "parameter 1"),
        ] {
            let error = Query::parse(text).err();
            assert_eq!(error, Some(QueryError::Malformed(place.into())), "{text}");
        }
        let query = Query::parse("id=a&id=a").expect("well formed");
        assert_eq!(query.value("id"), Err(QueryError::Repeated("id")));
    }
}

//! The fields of one JSON object, for socket frames and request bodies alike.
//!
//! Known fields are returned as their JSON texts, byte for byte, each at most once; `null` counts as absent, unknown
//! fields are ignored. Whether the fields make sense together is checked elsewhere.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::model::{NameError, UserId, integer};
use crate::protocol::error_code::{ErrorCode, FrameError};

/// The expected form of an object.
pub(super) struct Shape<const N: usize> {
    /// Its noun in messages, as in "the frame must be JSON".
    pub(super) what: &'static str,
    /// An example for messages.
    pub(super) example: &'static str,
    pub(super) names: [&'static str; N],
}

/// The JSON texts of an object's known fields.
pub(super) struct Fields<'a, const N: usize> {
    names: &'static [&'static str; N],
    texts: [Option<&'a str>; N],
    repeated: Option<&'static str>,
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Parses one object.
    ///
    /// # Errors
    /// The text is not a JSON object, or a known field occurs twice.
    pub(super) fn parse(text: &'a str, shape: &'static Shape<N>) -> Result<Self, FrameError> {
        let Shape {
            what,
            example,
            names,
        } = shape;
        let mut fields = Self::none(names);
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(&mut fields)
            .and_then(|()| json.end())
            .map_err(|error| match error.classify() {
                Category::Data => not_json(format!(
                    "the {what} must be a JSON object, such as {example}"
                )),
                _ => not_json(format!("the {what} must be JSON: {error}")),
            })?;
        match fields.repeated {
            Some(field) => Err(invalid(field, "is given more than once")),
            None => Ok(fields),
        }
    }

    fn none(names: &'static [&'static str; N]) -> Self {
        Self {
            names,
            texts: [None; N],
            repeated: None,
        }
    }

    /// A known field's text; `None` if absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.given(name).filter(|text| *text != "null")
    }

    /// A known field's text, `null` included.
    pub(super) fn given(&self, name: &str) -> Option<&'a str> {
        let mut fields = self.names.iter().zip(self.texts);
        fields.find_map(|(known, text)| text.filter(|_| *known == name))
    }

    /// A known field's text.
    ///
    /// # Errors
    /// It is missing.
    pub(super) fn required(&self, name: &'static str) -> Result<&'a str, FrameError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A known field parsed as a name; `None` if absent.
    ///
    /// # Errors
    /// It is not a string, or breaks a rule for names.
    pub(super) fn name<T>(
        &self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, NameError>,
    ) -> Result<Option<T>, FrameError> {
        let json = self.get(field);
        json.map(|json| name(field, json, parse)).transpose()
    }
}

/// The error for text that is not a JSON object; the sentence says why.
pub(super) fn not_json(message: String) -> FrameError {
    FrameError {
        code: ErrorCode::InvalidJson,
        field: None,
        message,
        client_msg_id: None,
    }
}

/// The error for an invalid field.
pub(super) fn invalid(field: &'static str, expected: impl fmt::Display) -> FrameError {
    FrameError {
        code: ErrorCode::InvalidField,
        field: Some(field),
        message: format!("`{field}` {expected}"),
        client_msg_id: None,
    }
}

/// The error for a missing field.
pub(super) fn missing(field: &'static str) -> FrameError {
    invalid(field, "is missing")
}

/// A string field parsed as a name.
pub(super) fn name<T>(
    field: &'static str,
    json: &str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<T, FrameError> {
    let text = string(field, json, "must be a string")?;
    parse(&text).map_err(|error| invalid(field, error))
}

/// A user's id: a string, or an integer that stands for its decimal string.
pub(super) fn user_id(
    field: &'static str,
    json: &str,
    expected: &str,
) -> Result<UserId, FrameError> {
    if let Some(decimal) = integer(json) {
        return UserId::parse(&decimal).map_err(|error| invalid(field, error));
    }
    let text = string(field, json, expected)?;
    UserId::parse(&text).map_err(|error| invalid(field, error))
}

fn string(field: &'static str, json: &str, expected: &str) -> Result<String, FrameError> {
    serde_json::from_str(json).map_err(|_| match json.starts_with('"') {
        // Valid JSON, so only this keeps it from being a text.
        true => invalid(field, "must not hold an unpaired surrogate such as \\ud800"),
        false => invalid(field, expected),
    })
}

/// An array of 1 to `max` distinct ids.
pub(super) fn user_ids(
    field: &'static str,
    json: &str,
    max: usize,
    expected: &str,
) -> Result<Vec<UserId>, FrameError> {
    let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| invalid(field, expected))?;
    if items.is_empty() || items.len() > max {
        return Err(invalid(field, format!("must hold 1 to {max} recipients")));
    }
    let mut seen = HashSet::with_capacity(items.len());
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        let user = user_id(field, item.get(), expected)?;
        if !seen.insert(user.clone()) {
            return Err(invalid(field, "must not hold the same recipient twice"));
        }
        ids.push(user);
    }
    Ok(ids)
}

impl<'a> Fields<'a, 1> {
    /// The field's text in a truncated object, if it stands there completely, and once. Nested values are never
    /// mistaken for it.
    pub(super) fn find(start: &'a [u8], name: &'static [&'static str; 1]) -> Option<&'a str> {
        let start = start.utf8_chunks().next()?.valid();
        let mut fields = Self::none(name);
        // The object's missing end is expected: fields found before it count.
        let _ = serde_json::Deserializer::from_str(start).deserialize_map(&mut fields);
        let [text] = fields.texts;
        text.filter(|_| fields.repeated.is_none())
    }
}

impl<'de, const N: usize> Visitor<'de> for &mut Fields<'de, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let mut known = self.names.iter().zip(&mut self.texts);
            let Some((name, text)) = known.find(|(name, _)| **name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?.get();
            if text.replace(value).is_some() {
                self.repeated = Some(*name);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_field_of_the_object_itself_counts() {
        let cases: [(&[u8], Option<&str>); 16] = [
            (br#"{"id":"a","content":"xxx"#, Some(r#""a""#)),
            (
                br#"{"toId":["u1",2],"content":{"id":"no"},"id":"a","z":[[[["#,
                Some(r#""a""#),
            ),
            (br#" { "\u0069d" : "a" , "#, Some(r#""a""#)),
            (br#"{"id":"a""#, Some(r#""a""#)),
            (br#"{"id":"a"}"#, Some(r#""a""#)),
            (br#"{"id":"a","content":"\"id\":\"b"#, Some(r#""a""#)),
            // A truncated character.
            (b"{\"id\":\"a\",\"content\":\"\xe4\xbd", Some(r#""a""#)),
            (br#"{"content":"\"id\":\"a\","id":"b"#, None),
            (br#"{"content":{"id":"a"},"x":{"id":"b"}"#, None),
            (br#"{"content":{"id":"a","#, None),
            (br#"{"id":"a","id":"b","content":"#, None),
            (br#"{"id":"a","id":"a","content":"#, None),
            (br#"{"id":"cut"#, None),
            (br#"[{"id":"a"},"#, None),
            (br#""id":"a""#, None),
            (b"", None),
        ];
        for (start, expected) in cases {
            let found = Fields::find(start, &["id"]);
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(start));
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = [&b"{\"content\":"[..], &[b'['; 65_000]].concat();
        assert!(Fields::find(&deep, &["id"]).is_none());
    }
}

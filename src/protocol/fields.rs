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
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Parses one object.
    ///
    /// # Errors
    /// The text is not a JSON object, or a known field occurs twice.
    pub(super) fn parse(text: &'a str, shape: &'static Shape<N>) -> Result<Self, FrameError> {
        let Shape { what, example, .. } = shape;
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json
            .deserialize_map(FieldsVisitor(&shape.names))
            .and_then(|read| json.end().map(|()| read))
            .map_err(|error| match error.classify() {
                Category::Data => not_json(format!(
                    "the {what} must be a JSON object, such as {example}"
                )),
                _ => not_json(format!("the {what} must be JSON: {error}")),
            })?;
        match read.repeated {
            Some(field) => Err(invalid(field, "is given more than once")),
            None => Ok(Self {
                names: &shape.names,
                texts: read.texts,
            }),
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

/// Fields collected while parsing an object.
struct Read<'a, const N: usize> {
    texts: [Option<&'a str>; N],
    repeated: Option<&'static str>,
}

struct FieldsVisitor<const N: usize>(&'static [&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for FieldsVisitor<N> {
    type Value = Read<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut texts = [None; N];
        let mut repeated = None;
        while let Some(key) = map.next_key::<String>()? {
            let mut known = self.0.iter().zip(&mut texts);
            let Some((name, text)) = known.find(|(name, _)| **name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?.get();
            if text.replace(value).is_some() {
                repeated = Some(*name);
            }
        }
        Ok(Read { texts, repeated })
    }
}

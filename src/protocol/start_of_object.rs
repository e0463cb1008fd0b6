//! Extracts one field from a truncated JSON object.
//!
//! Nested values are never mistaken for it, and a truncated value is not guessed.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The JSON text of the object's field `name`, if `start` contains it completely, and once.
pub(super) fn find(start: &[u8], name: &str) -> Option<Box<RawValue>> {
    let mut found = Vec::new();
    // The object's missing end is expected: fields found before it count.
    let _ = serde_json::Deserializer::from_slice(start).deserialize_map(FieldVisitor {
        name,
        found: &mut found,
    });
    found.pop().filter(|_| found.is_empty())
}

struct FieldVisitor<'a> {
    name: &'a str,
    /// At most two: a repeated field is not used.
    found: &'a mut Vec<Box<RawValue>>,
}

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key != self.name {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.found.push(map.next_value()?);
            if self.found.len() == 2 {
                break;
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
            let found = find(start, "id");
            let found = found.as_ref().map(|json| json.get());
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(start));
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = [&b"{\"content\":"[..], &[b'['; 65_000]].concat();
        assert!(find(&deep, "id").is_none());
    }
}

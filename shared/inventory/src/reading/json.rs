//! JSON of which only a few values matter: they are visited as they come by, and nothing is kept of the others. A value of
//! another form than expected is passed over, and of a key that stands twice the last value counts, as in JavaScript.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc8259>.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Takes what matters of one value. Whatever is not taken is passed over.
pub(crate) trait Visit {
    /// The value is a text.
    fn text(&mut self, _text: &str) {}

    /// The value is a number from zero on.
    fn number(&mut self, _number: u64) {}

    /// The value is `true` or `false`.
    fn truth(&mut self, _truth: bool) {}

    /// The value is an object that has `key`; its value is to be taken from `fields`.
    fn field<'de, A: MapAccess<'de>>(&mut self, _key: &str, fields: &mut A) -> Result<(), A::Error> {
        skip(fields)
    }

    /// The value is a list; the next element is to be taken from `elements`. The answer is whether there was one.
    fn element<'de, A: SeqAccess<'de>>(&mut self, elements: &mut A) -> Result<bool, A::Error> {
        Ok(elements.next_element::<IgnoredAny>()?.is_some())
    }
}

/// Visits the one value that `bytes` hold, with or without a byte order mark. It is no JSON when that is an error: what was
/// visited before counts. Values that are visited may be nested 128 deep.
pub(crate) fn visit(bytes: &[u8], value: &mut impl Visit) -> Result<(), NoJson> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Value(value).deserialize(&mut deserializer)?;
    Ok(deserializer.end()?)
}

/// Bytes that are no JSON.
#[derive(Debug, thiserror::Error)]
#[error("is no JSON that can be read: {0}")]
pub(crate) struct NoJson(#[from] serde_json::Error);

/// Passes over the value of a field.
pub(crate) fn skip<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<(), A::Error> {
    fields.next_value::<IgnoredAny>().map(|_| ())
}

/// Visits the value of a field.
pub(crate) fn value<'de, A: MapAccess<'de>>(fields: &mut A, value: &mut impl Visit) -> Result<(), A::Error> {
    fields.next_value_seed(Value(value))
}

/// Visits an element of a list; `false` when there is none left.
pub(crate) fn element<'de, A: SeqAccess<'de>>(
    elements: &mut A,
    value: &mut impl Visit,
) -> Result<bool, A::Error> {
    Ok(elements.next_element_seed(Value(value))?.is_some())
}

/// The text that the value of a field is; `None` when it is none.
pub(crate) fn text<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<Option<String>, A::Error> {
    let mut text = Text(None);
    value(fields, &mut text)?;
    Ok(text.0)
}

/// Whether the value of a field is `true`.
pub(crate) fn truth<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<bool, A::Error> {
    let mut truth = Truth(false);
    value(fields, &mut truth)?;
    Ok(truth.0)
}

struct Text(Option<String>);

impl Visit for Text {
    fn text(&mut self, text: &str) {
        self.0 = Some(text.to_owned());
    }
}

struct Truth(bool);

impl Visit for Truth {
    fn truth(&mut self, truth: bool) {
        self.0 = truth;
    }
}

struct Value<'v, V>(&'v mut V);

impl<'de, V: Visit> DeserializeSeed<'de> for Value<'_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: Visit> Visitor<'de> for Value<'_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.number(number);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<(), E> {
        self.0.truth(truth);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key::<String>()? {
            self.0.field(&key, &mut fields)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while self.0.element(&mut elements)? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Thing {
        name: Option<String>,
        is_good: bool,
    }

    impl Visit for Thing {
        fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
            match key {
                "name" => self.name = text(fields)?,
                "good" => self.is_good = truth(fields)?,
                _ => skip(fields)?,
            }
            Ok(())
        }
    }

    fn thing(json: &str) -> Option<Thing> {
        let mut thing = Thing::default();
        visit(json.as_bytes(), &mut thing).ok().map(|()| thing)
    }

    #[test]
    fn a_value_of_another_form_is_passed_over_and_of_two_the_last_counts() {
        let named = |name: Option<&str>, is_good| Some(Thing { name: name.map(str::to_owned), is_good });
        for (json, expected) in [
            (r#"{"name": "a", "good": true}"#, named(Some("a"), true)),
            ("\u{feff}{\"name\": \"a\"}", named(Some("a"), false)),
            (r#"{"name": {"name": ["b"]}, "good": "true", "x": [1, -1, 1e999, null]}"#, named(None, false)),
            (r#"{"name": "a", "good": true, "name": "b", "good": 1}"#, named(Some("b"), false)),
            (r#"{"name": "a", "name": null}"#, named(None, false)),
            (r#"[{"name": "a"}]"#, named(None, false)),
            ("-1.5", named(None, false)),
            (r#"{"x": "\ud800", "name": "\u00e9"}"#, named(Some("é"), false)),
            (r#"{"name": "a"}{}"#, None),
            (r#"{"name": "a", }"#, None),
            ("", None),
        ] {
            assert_eq!(thing(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_passed_over_may_be_nested_as_deep_as_it_wants() {
        let deep = format!(r#"{{"x": {}{}, "name": "a"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(thing(&deep).unwrap().name.as_deref(), Some("a"));
    }
}

//! JSON as the tools of languages write it, and as somebody else may have changed it: what has another type than expected is
//! as if it were not there, so that one bad entry does not lose the others, and nothing is kept that is not asked for.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::paths;
use crate::reading::excerpt;

/// The most values of one list or object that is kept. None has as many as a layer may have packages.
const VALUES: usize = 50_000;

/// The most values of a document of which most is kept. The largest programs and lock files have some ten thousand.
const KEPT_VALUES: usize = 200_000;

/// Bytes that are no JSON, or too much of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("is no JSON that can be read: {}", excerpt(&paths::text(.0.to_string().as_bytes())))]
    Malformed(#[from] serde_json::Error),
    #[error("has more than {KEPT_VALUES} values")]
    TooManyValues,
}

/// What `bytes` say, as UTF-8 with or without a byte order mark. Values may be nested 128 deep, as serde_json allows.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    Ok(serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))?)
}

/// As [`parse`], for documents whose values nest and are kept: they have a limit before any memory is asked for.
pub(crate) fn parse_kept<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    // Every value but the outermost follows one of these.
    let values = memchr::memchr3_iter(b',', b'[', b'{', bytes).count();
    if values > KEPT_VALUES { Err(JsonError::TooManyValues) } else { parse(bytes) }
}

/// A text; empty for whatever is none.
#[derive(Debug, Default)]
pub(crate) struct Text(pub(crate) String);

/// What an object says; nothing for whatever is none.
#[derive(Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

/// A text, or what an object says: newer versions of a format have an object where older ones have its name.
#[derive(Debug, Default)]
pub(crate) struct TextOr<T>(pub(crate) String, pub(crate) T);

/// The values of a list; none for whatever is no list.
#[derive(Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

/// The keys and values of an object, in their order; none for whatever is no object.
#[derive(Debug)]
pub(crate) struct Entries<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Visits any value. For the kinds of values that are named, gives the default.
struct AnyValue<T>(PhantomData<T>);

macro_rules! nothing_for {
    (scalars) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
    };
    (texts) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (lists) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (objects) => {
        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

impl<'de> Visitor<'de> for AnyValue<Text> {
    type Value = Text;

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }
    nothing_for!(scalars);
    nothing_for!(lists);
    nothing_for!(objects);
}

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for AnyValue<Object<T>> {
    type Value = Object<T>;

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Object<T>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(object)).map(Object)
    }
    nothing_for!(scalars);
    nothing_for!(texts);
    nothing_for!(lists);
}

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for AnyValue<TextOr<T>> {
    type Value = TextOr<T>;

    fn visit_str<E>(self, text: &str) -> Result<TextOr<T>, E> {
        Ok(TextOr(text.to_owned(), T::default()))
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<TextOr<T>, A::Error> {
        let object = T::deserialize(serde::de::value::MapAccessDeserializer::new(object))?;
        Ok(TextOr(String::new(), object))
    }
    nothing_for!(scalars);
    nothing_for!(lists);
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyValue<List<T>> {
    type Value = List<T>;

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            push(&mut values, value)?;
        }
        Ok(List(values))
    }
    nothing_for!(scalars);
    nothing_for!(texts);
    nothing_for!(objects);
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyValue<Entries<T>> {
    type Value = Entries<T>;

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Entries<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = object.next_entry()? {
            push(&mut values, value)?;
        }
        Ok(Entries(values))
    }
    nothing_for!(scalars);
    nothing_for!(texts);
    nothing_for!(lists);
}

fn push<T, E: serde::de::Error>(values: &mut Vec<T>, value: T) -> Result<(), E> {
    if values.len() == VALUES {
        return Err(E::custom(format_args!("more than {VALUES} values in one place")));
    }
    values.push(value);
    Ok(())
}

/// Takes the values of a list one by one, and keeps none; whatever is no list has no values.
pub(crate) fn fold_list<'de, D: Deserializer<'de>, T: Deserialize<'de>, R>(
    deserializer: D,
    result: R,
    take: impl FnMut(&mut R, T),
) -> Result<R, D::Error> {
    deserializer.deserialize_any(Fold { result, take, values: PhantomData })
}

struct Fold<T, R, F> {
    result: R,
    take: F,
    values: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, R, F: FnMut(&mut R, T)> Visitor<'de> for Fold<T, R, F> {
    type Value = R;

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<R, A::Error> {
        while let Some(value) = list.next_element()? {
            (self.take)(&mut self.result, value);
        }
        Ok(self.result)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<R, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.result)
    }
    fn visit_bool<E>(self, _: bool) -> Result<R, E> {
        Ok(self.result)
    }
    fn visit_i64<E>(self, _: i64) -> Result<R, E> {
        Ok(self.result)
    }
    fn visit_u64<E>(self, _: u64) -> Result<R, E> {
        Ok(self.result)
    }
    fn visit_f64<E>(self, _: f64) -> Result<R, E> {
        Ok(self.result)
    }
    fn visit_str<E>(self, _: &str) -> Result<R, E> {
        Ok(self.result)
    }
    fn visit_unit<E>(self) -> Result<R, E> {
        Ok(self.result)
    }
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
}

macro_rules! deserialize_any {
    ($($type:ty $(, $parameter:ident: $bound:path)*;)*) => {$(
        impl<'de $(, $parameter: Deserialize<'de> + $bound)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyValue::<Self>(PhantomData))
            }
        }
    )*};
}

deserialize_any! {
    Text;
    Object<T>, T: Default;
    TextOr<T>, T: Default;
    List<T>, T: Sized;
    Entries<T>, T: Sized;
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Document {
        name: Text,
        list: List<Text>,
        map: Entries<Object<Inner>>,
        either: List<TextOr<Inner>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        version: Text,
    }

    #[test]
    fn what_has_another_type_than_expected_is_as_if_it_were_not_there() {
        let document: Document = parse(
            b"\xef\xbb\xbf{\"name\": [1, {\"a\": null}], \"more\": 1, \"list\": [\"a\", 5, null, -1, 1.5, true, {}, \"b\"], \
              \"map\": {\"x\": {\"version\": \"1\"}, \"y\": \"2\", \"z\": {\"version\": {\"a\": 1}}}}",
        )
        .unwrap();
        assert_eq!(document.name.0, "");
        let list: Vec<&str> = document.list.0.iter().map(|text| text.0.as_str()).collect();
        assert_eq!(list, ["a", "", "", "", "", "", "", "b"]);
        let map: Vec<(&str, &str)> =
            document.map.0.iter().map(|(key, value)| (key.as_str(), value.0.version.0.as_str())).collect();
        assert_eq!(map, [("x", "1"), ("y", ""), ("z", "")]);
        let document: Document = parse(br#"{"name": "n", "list": {"a": 1}, "map": [1, [2]]}"#).unwrap();
        assert_eq!((document.name.0.as_str(), document.list.0.len(), document.map.0.len()), ("n", 0, 0));
    }

    #[test]
    fn a_text_may_stand_where_newer_documents_have_an_object() {
        let document: Document = parse(br#"{"either": ["a", {"version": "1"}, 5, ["b"]]}"#).unwrap();
        let found: Vec<_> =
            document.either.0.iter().map(|either| (either.0.as_str(), either.1.version.0.as_str())).collect();
        assert_eq!(found, [("a", ""), ("", "1"), ("", ""), ("", "")]);
    }

    #[test]
    fn a_document_that_is_kept_has_not_too_many_values() {
        let list = |count: usize| format!("[{}1]", "1,".repeat(count));
        let few = format!("{{\"list\": {}, \"more\": {}}}", list(100), list(VALUES - 1000));
        assert_eq!(parse_kept::<Document>(few.as_bytes()).unwrap().list.0.len(), 101);
        let many = format!("{{\"map\": [{}1]}}", format!("{},", list(1000)).repeat(KEPT_VALUES / 1000));
        assert_eq!(
            parse_kept::<Document>(many.as_bytes()).unwrap_err().to_string(),
            "has more than 200000 values"
        );
    }

    #[test]
    fn what_is_no_json_or_has_too_many_values_is_an_error_in_few_words() {
        for (text, reason) in [
            (String::new(), "EOF while parsing a value"),
            ("{\"name\": \"\u{1b}[2J\"}".to_owned(), "control character"),
            (format!("\"{}\u{202e}\"", "x".repeat(5000)), "invalid type: string"),
            (format!("{{\"list\": [{}1]}}", "1,".repeat(VALUES)), "more than 50000 values in one place"),
            (format!("{{\"more\": {}", "[".repeat(100_000)), "EOF while parsing"),
            (format!("{{\"name\": {}", "[".repeat(100_000)), "EOF while parsing"),
        ] {
            let reason_found = parse::<Document>(text.as_bytes()).unwrap_err().to_string();
            assert!(reason_found.starts_with("is no JSON that can be read: "), "{reason_found}");
            assert!(reason_found.contains(reason), "{reason_found}");
            assert!(reason_found.len() < 400 && !reason_found.contains(['\u{1b}', '\u{202e}']));
        }
    }

    #[test]
    fn nesting_has_an_end() {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        struct Deep {
            a: Option<Box<Object<Self>>>,
        }
        let text = format!("{}1", "{\"a\":".repeat(100_000));
        let reason = parse::<Object<Deep>>(text.as_bytes()).unwrap_err().to_string();
        assert!(reason.contains("recursion limit"), "{reason}");
    }
}

//! One vulnerability or several.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ids of vulnerabilities, at least one: `CVE-2024-3094`, `GHSA-jfh8-c2jp-5v3q`. Case makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vulnerabilities(BTreeSet<String>);

/// The form of an id.
const PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._:-]*$";

fn is_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    text.bytes().all(is_allowed) && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// An id as it is compared.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Id(String);

impl Id {
    fn read<E: Error>(text: &str) -> Result<Self, E> {
        if is_id(text) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(E::custom(format!(
                "failed to read {text:?} as a vulnerability: expected an id such as CVE-2024-3094"
            )))
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?)
    }
}

impl Vulnerabilities {
    /// The ids, in upper case, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Serialize for Vulnerabilities {
    /// As a list.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Vulnerabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Vulnerabilities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vulnerabilities, E> {
                Ok(Vulnerabilities([Id::read(text)?.0].into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, ids: A) -> Result<Vulnerabilities, A::Error> {
                let ids: BTreeSet<Id> = Deserialize::deserialize(SeqAccessDeserializer::new(ids))?;
                if ids.is_empty() {
                    return Err(A::Error::custom("at least one vulnerability is needed"));
                }
                Ok(Vulnerabilities(ids.into_iter().map(|id| id.0).collect()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Vulnerabilities {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Vulnerabilities".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let id = json_schema!({"type": "string", "pattern": PATTERN});
        json_schema!({
            "anyOf": [id, {"type": "array", "items": id, "minItems": 1}],
            "examples": ["CVE-2024-3094", ["CVE-2014-6271", "CVE-2014-7169"]],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_or_several_are_taken_in_any_case() {
        let read = |value| serde_json::from_value::<Vulnerabilities>(value);
        assert_eq!(read(json!("cve-2024-3094")).unwrap(), read(json!(["CVE-2024-3094"])).unwrap());
        assert_eq!(serde_json::to_value(read(json!("cve-1")).unwrap()).unwrap(), json!(["CVE-1"]));
        for bad in
            [json!([]), json!(""), json!(7), json!("CVE 1"), json!(["CVE-1", ""]), json!({}), json!("-")]
        {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}

//! The list of policies, in our form or in that of Docker Scout's file of policies.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::PolicyConfig;
use crate::config::{Step, key};

/// A list of policies; or what Docker Scout's file of policies has, `{policies: [{name, enabled, weight, config}], debug}`,
/// as it is.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    entries: Vec<PolicyConfig>,
    /// Whether it was given in Scout's form: then its entries are one key deeper.
    is_scouts: bool,
}

/// What Docker Scout's file of policies has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScoutPolicies {
    policies: Vec<PolicyConfig>,
    /// Whether Scout's command says more.
    #[serde(default, rename = "debug")]
    _debug: bool,
}

impl Policies {
    /// The way from the top of the file to the list.
    pub(super) fn path(&self) -> Vec<Step> {
        vec![key("policies"); if self.is_scouts { 2 } else { 1 }]
    }
}

impl Deref for Policies {
    type Target = Vec<PolicyConfig>;

    fn deref(&self) -> &Vec<PolicyConfig> {
        &self.entries
    }
}

impl std::ops::DerefMut for Policies {
    fn deref_mut(&mut self) -> &mut Vec<PolicyConfig> {
        &mut self.entries
    }
}

impl From<Vec<PolicyConfig>> for Policies {
    fn from(entries: Vec<PolicyConfig>) -> Self {
        Self { entries, is_scouts: false }
    }
}

/// Whatever form it was given in.
impl PartialEq for Policies {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Policies {}

impl Serialize for Policies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Policies;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<Policies, A::Error> {
                let entries = Vec::deserialize(SeqAccessDeserializer::new(entries))?;
                Ok(Policies { entries, is_scouts: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Policies, A::Error> {
                let scouts = ScoutPolicies::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Policies { entries: scouts.policies, is_scouts: true })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Policies {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Policies".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<PolicyConfig>>();
        json_schema!({"anyOf": [
            list,
            {
                "type": "object",
                "title": "Docker Scout's file of policies",
                "description": "Docker Scout's file of policies, as it is. `debug` means nothing here.",
                "properties": {"policies": list, "debug": {"type": "boolean"}},
                "required": ["policies"],
                "additionalProperties": false,
            },
        ]})
    }
}

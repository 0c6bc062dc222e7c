//! The JSON Schema of the configuration file, for editors: made from the types, so that it has their keys, comments, words
//! and patterns. It says of one part what the types say; what must hold between the parts only [`Config::problems`] knows.
//!
//! Specification: <https://json-schema.org/draft/2020-12/schema>

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Config, RegistryKind};
use crate::policy::TYPES;

/// The JSON Schema of the file, of draft 2020-12. Unknown keys are refused. A key that may be left out may be there without
/// a value, as in the file.
pub fn file_schema() -> Value {
    let mut generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let parameters: Vec<Value> =
        TYPES.iter().map(|policy_type| (policy_type.parameters)(&mut generator).to_value()).collect();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    schema["title"] = "Configuration of Tidewatch".into();
    if let Some(policy) = schema.pointer_mut("/$defs/PolicyConfig") {
        complete_policy(policy, &parameters);
    }
    if let Some(registry) = schema.pointer_mut("/$defs/RegistryConfig") {
        complete_registry(registry);
    }
    allow_no_value(&mut schema);
    schema
}

/// What the schema of a registry does not get from its type: which keys each kind needs, and which it does not take.
fn complete_registry(registry: &mut Value) {
    let conditions: Vec<Value> = RegistryKind::ALL
        .iter()
        .map(|kind| {
            let refused: Map<String, Value> =
                kind.refused().map(|key| (key.to_owned(), Value::Bool(false))).collect();
            json!({
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"required": kind.needed(), "properties": refused},
            })
        })
        .collect();
    if let Some(registry) = registry.as_object_mut() {
        registry.insert("allOf".to_owned(), conditions.into());
    }
}

/// What the schema of a policy does not get from its type: that `id` may be called `name`, and which parameters belong to
/// which policy.
fn complete_policy(policy: &mut Value, parameters: &[Value]) {
    let id = policy["properties"]["id"].clone();
    if let Some(keys) = policy["properties"].as_object_mut() {
        keys.insert("name".to_owned(), id);
    }
    let conditions: Vec<Value> = TYPES
        .iter()
        .zip(parameters)
        .map(|(policy_type, parameters)| {
            let names: Vec<&str> =
                [policy_type.id].into_iter().chain(policy_type.other_names.iter().copied()).collect();
            let is_its = |key: &str| json!({"properties": {key: {"enum": names}}, "required": [key]});
            json!({
                "if": {"anyOf": [is_its("id"), is_its("name"), is_its("type")]},
                "then": {"properties": {"config": {"anyOf": [parameters, {"type": "null"}]}}},
            })
        })
        .collect();
    if let Some(policy) = policy.as_object_mut() {
        policy.remove("required");
        policy.insert("oneOf".to_owned(), json!([{"required": ["id"]}, {"required": ["name"]}]));
        policy.insert("allOf".to_owned(), conditions.into());
    }
}

/// Lets keys that are not required have no value.
fn allow_no_value(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let required: Vec<Value> =
                object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            // Conditions name keys as well, and are no forms of values.
            let is_type = object.get("type").is_some_and(|kind| kind == "object");
            if let Some(keys) =
                object.get_mut("properties").and_then(Value::as_object_mut).filter(|_| is_type)
            {
                let optional =
                    keys.iter_mut().filter(|(key, _)| !required.contains(&Value::from(key.as_str())));
                optional.for_each(|(_, value)| allow_null(value));
            }
            object.values_mut().for_each(allow_no_value);
        }
        Value::Array(values) => values.iter_mut().for_each(allow_no_value),
        _ => {}
    }
}

/// The schema, or no value. What is said of it for people stays outside, where editors look.
fn allow_null(schema: &mut Value) {
    if schema
        .get("anyOf")
        .and_then(Value::as_array)
        .is_some_and(|forms| forms.contains(&json!({"type": "null"})))
    {
        return;
    }
    let Some(object) = schema.as_object_mut() else { return };
    let mut outside = Map::new();
    for key in ["title", "description", "default", "examples"] {
        outside.extend(object.remove(key).map(|value| (key.to_owned(), value)));
    }
    let inside = Value::Object(std::mem::take(object));
    outside.insert("anyOf".to_owned(), json!([inside, {"type": "null"}]));
    *object = outside;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_it_is_and_refuses_other_keys_everywhere() {
        let schema = file_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!(["org"]), &json!(false)));
        let mut open = Vec::new();
        find_open(&schema, "", &mut open);
        assert_eq!(open, [""; 0], "these take any key");
    }

    /// The places of objects that take any key.
    fn find_open(schema: &Value, place: &str, open: &mut Vec<String>) {
        let is_object =
            schema.get("type").is_some_and(|kind| kind == "object") && schema.get("properties").is_some();
        if is_object && schema.get("additionalProperties") != Some(&json!(false)) {
            open.push(place.to_owned());
        }
        match schema {
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| find_open(value, &format!("{place}/{key}"), open));
            }
            Value::Array(values) => values
                .iter()
                .enumerate()
                .for_each(|(position, value)| find_open(value, &format!("{place}/{position}"), open)),
            _ => {}
        }
    }

    #[test]
    fn every_key_has_a_comment() {
        let schema = file_schema();
        let definitions = schema["$defs"].as_object().unwrap().values();
        for object in definitions.chain([&schema]) {
            for (key, value) in object["properties"].as_object().into_iter().flatten() {
                assert!(value["description"].as_str().is_some_and(|text| !text.is_empty()), "{key}: {value}");
            }
        }
    }
}

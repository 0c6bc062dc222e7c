//! The template as CloudFormation reads it: the short forms `!Ref`, `!GetAtt`, … written out.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The template.
pub(crate) struct Template {
    /// All of it.
    pub(crate) document: Value,
}

impl Template {
    /// Reads the text of a template.
    pub(crate) fn read(text: &str) -> Self {
        let documents = Yaml::load_from_str(text).expect("the template is YAML");
        assert_eq!(documents.len(), 1, "the template is one document");
        Self { document: written_out(&documents[0]) }
    }

    /// The resources of this type, with their logical ids.
    pub(crate) fn resources(&self, kind: &str) -> Vec<(&str, &Value)> {
        let resources = self.document["Resources"].as_object().expect("there are resources");
        let of_kind = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
        of_kind.map(|(id, resource)| (id.as_str(), resource)).collect()
    }

    /// The properties of a resource; null when it is not there.
    pub(crate) fn properties(&self, id: &str) -> &Value {
        &self.document["Resources"][id]["Properties"]
    }
}

/// The text of a reference, as `!Sub` would write it: `!GetAtt Table.Arn` and `!Sub "${Table.Arn}"` are the same.
pub(crate) fn reference(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(function) => match function.iter().next() {
            Some((name, Value::String(text))) if name == "Fn::Sub" => text.clone(),
            Some((name, Value::String(text))) if name == "Ref" || name == "Fn::GetAtt" => {
                format!("${{{text}}}")
            }
            _ => value.to_string(),
        },
        _ => value.to_string(),
    }
}

/// The logical id of the resource that a reference names.
pub(crate) fn referred(value: &Value) -> String {
    let text = reference(value);
    let id = text.trim_start_matches("${").trim_end_matches('}');
    id.split('.').next().unwrap_or_default().to_owned()
}

/// One value, or each of a list.
pub(crate) fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

fn written_out(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Tagged(tag, inner) => {
            let name = match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({ name: written_out(inner) })
        }
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = key.as_str().unwrap_or_else(|| panic!("a key is no text: {key:?}"));
                (key.to_owned(), written_out(value))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Yaml::Sequence(values) => values.iter().map(written_out).collect(),
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => panic!("this cannot be read: {node:?}"),
    }
}

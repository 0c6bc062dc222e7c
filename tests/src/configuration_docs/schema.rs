//! A JSON Schema as it comes from schemars: named types that refer to one another. Only the forms that the types of the
//! configuration have are known; any other is an error, so that nothing is left out silently.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// The beginning of a reference to a named type.
const REFERENCE: &str = "#/$defs/";

/// The types of a schema by their names.
pub(super) struct Types {
    schemas: BTreeMap<String, Value>,
    /// From the root on, each behind the first that refers to it.
    order: Vec<Entry>,
    /// A document in which the keys stand in the order in which people write them: JSON objects keep none.
    example: &'static str,
}

/// A type that is referred to.
struct Entry {
    name: String,
    /// Where in the example the first key of this type may stand: behind the key that holds it.
    begins: usize,
}

/// What a schema stands for.
pub(super) enum Shape<'a> {
    /// Keys and values.
    Object(&'a Map<String, Value>),
    /// One of several words, each with its meaning.
    Words(Vec<(&'a str, &'a str)>),
    /// One of several forms that are told apart by what they look like.
    Forms(Vec<&'a Value>),
    /// The same as another type.
    Reference(&'a str),
    /// A list of something.
    List(&'a Value),
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Boolean,
}

impl Types {
    /// The types of `T`. `example` is a document in which keys stand in the order that is wanted, each followed by a
    /// colon.
    pub(super) fn of<T: JsonSchema>(example: &'static str) -> anyhow::Result<Self> {
        let root = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
        let mut schemas = BTreeMap::new();
        if let Some(definitions) = root.get("$defs").and_then(Value::as_object) {
            schemas.extend(definitions.iter().map(|(name, schema)| (name.clone(), schema.clone())));
        }
        let name = T::schema_name().into_owned();
        schemas.insert(name.clone(), root);
        let mut found = Self { schemas, order: vec![Entry { name, begins: 0 }], example };
        let mut next = 0;
        while let Some(Entry { name, begins }) = found.order.get(next) {
            let mut references = Vec::new();
            found.collect_references(found.named(name)?, *begins, &mut references)?;
            for reference in references {
                if !found.order.iter().any(|entry| entry.name == reference.name) {
                    found.order.push(reference);
                }
            }
            next += 1;
        }
        Ok(found)
    }

    /// The names of the types, from the root on; those that are plain texts come last.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &str> {
        let is_text = |name: &&str| {
            matches!(self.named(name).and_then(Self::shape), Ok(Shape::Text | Shape::Number | Shape::Boolean))
        };
        let names = self.order.iter().map(|entry| entry.name.as_str());
        let (texts, others): (Vec<_>, Vec<_>) = names.partition(is_text);
        others.into_iter().chain(texts)
    }

    /// The schema with this name.
    pub(super) fn named(&self, name: &str) -> anyhow::Result<&Value> {
        self.schemas.get(name).with_context(|| format!("the schema has no type {name}"))
    }

    /// What people call the type with this name.
    pub(super) fn title(&self, name: &str) -> anyhow::Result<String> {
        let title = self.named(name)?.get("title").and_then(Value::as_str);
        // The root has its own name as title, where no other is given.
        Ok(title.unwrap_or(name).to_owned())
    }

    /// The keys of an object of the type `name`, in the order in which people write them, each with its schema.
    pub(super) fn keys<'a>(&self, name: &str, object: &'a Map<String, Value>) -> Vec<(&'a str, &'a Value)> {
        let begins = self.order.iter().find(|entry| entry.name == name).map_or(0, |entry| entry.begins);
        self.keys_from(begins, object)
    }

    fn keys_from<'a>(&self, begins: usize, object: &'a Map<String, Value>) -> Vec<(&'a str, &'a Value)> {
        let properties = object.get("properties").and_then(Value::as_object);
        let mut keys: Vec<_> =
            properties.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema)).collect();
        keys.sort_by_key(|(key, _)| self.position(begins, key));
        keys
    }

    /// Where in the example the key stands first, from `begins` on; behind everything when it does not.
    fn position(&self, begins: usize, key: &str) -> usize {
        let key = format!("{key}:");
        let is_whole = |position: &usize| {
            let before = self.example.get(..*position).unwrap_or_default();
            !before.ends_with(|before: char| before.is_alphanumeric() || before == '_')
        };
        let positions = self.example.match_indices(&key).map(|(position, _)| position);
        positions.filter(|position| *position >= begins).find(is_whole).unwrap_or(usize::MAX)
    }

    /// What a schema stands for.
    pub(super) fn shape(schema: &Value) -> anyhow::Result<Shape<'_>> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return Ok(Shape::Reference(
                reference.strip_prefix(REFERENCE).context("a reference leads outside")?,
            ));
        }
        let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
        if let Some(alternatives) = alternatives {
            // What may be left out may be null, which is as good as left out.
            let forms: Vec<&Value> =
                alternatives.iter().filter(|form| form["type"].as_str() != Some("null")).collect();
            if let [form] = forms[..]
                && form.get("const").is_none()
                && form.get("$ref").is_some()
            {
                return Self::shape(form);
            }
            let words: Option<Vec<_>> =
                forms.iter().map(|form| Some((form.get("const")?.as_str()?, description(form)))).collect();
            return Ok(words.map_or(Shape::Forms(forms), Shape::Words));
        }
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            return Ok(Shape::Words(vec![(word, "")]));
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return Ok(Shape::Words(words.iter().filter_map(Value::as_str).map(|word| (word, "")).collect()));
        }
        // What may be left out may be null, here as well.
        let kinds = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.as_slice(),
            Some(kind) => std::slice::from_ref(kind),
            None => &[],
        };
        let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
        Ok(match kinds.next().filter(|_| kinds.next().is_none()) {
            Some("object") => Shape::Object(schema.as_object().context("no object")?),
            Some("array") => Shape::List(schema.get("items").context("a list of nothing")?),
            Some("string") => Shape::Text,
            Some("integer") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            _ => bail!("this form of a schema is not known: {schema}"),
        })
    }

    fn collect_references(
        &self,
        schema: &Value,
        begins: usize,
        found: &mut Vec<Entry>,
    ) -> anyhow::Result<()> {
        match Self::shape(schema)? {
            Shape::Reference(name) => found.push(Entry { name: name.to_owned(), begins }),
            Shape::List(items) => self.collect_references(items, begins, found)?,
            Shape::Forms(forms) => {
                for form in forms {
                    self.collect_references(form, begins, found)?;
                }
            }
            Shape::Object(object) => {
                for (key, value) in self.keys_from(begins, object) {
                    self.collect_references(value, self.position(begins, key), found)?;
                }
            }
            Shape::Words(_) | Shape::Text | Shape::Number | Shape::Boolean => {}
        }
        Ok(())
    }

    /// The keys, as `Type.key`, that `document` does not have anywhere.
    pub(super) fn not_shown(&self, document: &Value) -> anyhow::Result<Vec<String>> {
        let mut shown = BTreeSet::new();
        let root = &self.order.first().context("there are no types")?.name;
        self.collect_shown(root, self.named(root)?, document, &mut shown)?;
        let mut all = BTreeSet::new();
        for Entry { name, .. } in &self.order {
            Self::collect_keys(name, self.named(name)?, &mut all)?;
        }
        Ok(all.difference(&shown).cloned().collect())
    }

    fn collect_keys(name: &str, schema: &Value, found: &mut BTreeSet<String>) -> anyhow::Result<()> {
        match Self::shape(schema)? {
            Shape::Object(object) => found.extend(key_names(object).map(|key| format!("{name}.{key}"))),
            Shape::Forms(forms) => {
                for form in forms {
                    Self::collect_keys(name, form, found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn collect_shown(
        &self,
        name: &str,
        schema: &Value,
        value: &Value,
        found: &mut BTreeSet<String>,
    ) -> anyhow::Result<()> {
        match Self::shape(schema)? {
            Shape::Reference(name) => self.collect_shown(name, self.named(name)?, value, found)?,
            Shape::List(items) => {
                for value in value.as_array().into_iter().flatten() {
                    self.collect_shown(name, items, value, found)?;
                }
            }
            // A form takes the values of its own keys only.
            Shape::Forms(forms) => {
                for form in forms {
                    self.collect_shown(name, form, value, found)?;
                }
            }
            Shape::Object(object) => {
                let known: BTreeSet<&str> = key_names(object).collect();
                let values = value.as_object().into_iter().flatten();
                for (key, value) in values.filter(|(key, _)| known.contains(key.as_str())) {
                    found.insert(format!("{name}.{key}"));
                    self.collect_shown(name, &object["properties"][key], value, found)?;
                }
            }
            Shape::Words(_) | Shape::Text | Shape::Number | Shape::Boolean => {}
        }
        Ok(())
    }
}

fn key_names(object: &Map<String, Value>) -> impl Iterator<Item = &str> {
    object.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str())
}

/// The comment of a schema, or nothing.
pub(super) fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

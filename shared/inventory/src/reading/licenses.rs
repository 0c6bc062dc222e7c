//! The licences that package metadata names, in the forms that several ecosystems share.

use serde::de::{MapAccess, SeqAccess};

use super::json::{self, Visit};
use super::short_text;

/// The most licences of one package.
const LICENSES: usize = 20;

/// The licence `text`; `None` when it is none, or too long for the name of one: some put the whole text there.
pub(crate) fn license_of(text: &str) -> Option<String> {
    short_text("licence", text.trim().as_bytes()).ok().filter(|license| !license.is_empty())
}

/// Licences of which the user of the package may choose one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Licenses(Vec<String>);

impl Licenses {
    /// Adds a licence.
    pub(crate) fn add(&mut self, text: &str) {
        let license = license_of(text).filter(|_| self.0.len() < LICENSES);
        self.0.extend(license.filter(|license| !self.0.contains(license)));
    }

    /// All of them as one.
    pub(crate) fn into_license(self) -> Option<String> {
        let license = self.0.join(" OR ");
        (!license.is_empty()).then_some(license).and_then(|license| license_of(&license))
    }
}

/// A text, an object that has a `type` or a `name`, or a list of these.
impl Visit for Licenses {
    fn text(&mut self, text: &str) {
        self.add(text);
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "type" | "name" => json::text(fields)?.iter().for_each(|license| self.add(license)),
            _ => json::skip(fields)?,
        }
        Ok(())
    }

    fn element<'de, A: SeqAccess<'de>>(&mut self, elements: &mut A) -> Result<bool, A::Error> {
        json::element(elements, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_has_many_forms() {
        for (json, expected) in [
            (r#""MIT""#, Some("MIT")),
            (r#""(MIT OR Apache-2.0)""#, Some("(MIT OR Apache-2.0)")),
            (r#"{"type": "ISC", "url": "https://example.com"}"#, Some("ISC")),
            (r#"[{"type": "MIT"}, "Apache-2.0", {"name": "MIT"}]"#, Some("MIT OR Apache-2.0")),
            (r#"["", " ", null, 5, {}, [true]]"#, None),
            ("false", None),
        ] {
            let mut licenses = Licenses::default();
            json::visit(json.as_bytes(), &mut licenses).unwrap();
            assert_eq!(licenses.into_license().as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn the_text_of_a_licence_is_none_of_its_names() {
        assert_eq!(license_of(&"Permission is hereby granted. ".repeat(100)), None);
        let mut licenses = Licenses::default();
        (0..1000).for_each(|number| licenses.add(&format!("{number}{}", "x".repeat(100))));
        assert_eq!(licenses.into_license(), None);
    }
}

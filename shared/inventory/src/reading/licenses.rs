//! The licences that package metadata in JSON names, in the forms that several ecosystems share.

use serde::de::{MapAccess, SeqAccess};

use super::json::{self, Visit};
use crate::license::any_of;

/// The most licences of one package.
const LICENSES: usize = 20;

/// Licences of which whoever uses the package may choose one, in its own words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Licenses(Vec<String>);

impl Licenses {
    /// Adds a licence.
    pub(crate) fn add(&mut self, text: &str) {
        if self.0.len() < LICENSES {
            self.0.push(text.to_owned());
        }
    }

    /// All of them as one: an SPDX expression where it can be told, else the own words; `None` when there is none.
    pub(crate) fn into_license(self) -> Option<String> {
        any_of(self.0)
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
            (r#""(MIT OR Apache-2.0)""#, Some("MIT OR Apache-2.0")),
            (r#"{"type": "ISC", "url": "https://example.com"}"#, Some("ISC")),
            (r#"[{"type": "MIT"}, "Apache-2.0", {"name": "MIT"}]"#, Some("Apache-2.0 OR MIT")),
            (r#""SEE LICENSE IN terms.md""#, Some("SEE LICENSE IN terms.md")),
            (r#"["", " ", null, 5, {}, [true]]"#, None),
            ("false", None),
        ] {
            let mut licenses = Licenses::default();
            json::visit(json.as_bytes(), &mut licenses).unwrap();
            assert_eq!(licenses.into_license().as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn very_many_licences_and_their_whole_texts_stay_small() {
        let mut licenses = Licenses::default();
        (0..1000).for_each(|number| licenses.add(&format!("{number}{}", "x".repeat(100_000))));
        assert!(licenses.into_license().unwrap().len() <= crate::reading::TEXT_BYTES);
    }
}

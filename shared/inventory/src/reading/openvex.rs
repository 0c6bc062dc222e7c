//! OpenVEX documents, in the forms of the versions 0.0.1 to 0.2.0.
//!
//! Specification: <https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md>.

use serde::Deserialize;
use tidewatch_core::Timestamp;
use tidewatch_core::vex::{VexDocument, VexProduct, VexStatement};

use super::lenient_json::{Entries, List, Object, Text, TextOr};
use super::{Problems, excerpt, short_text};
use crate::paths;

/// The most statements of a document, and the most products, parts and other names of all its statements.
const STATEMENTS: usize = 10_000;
const NAMES: usize = 50_000;

/// The most characters of words for people; what is longer is cut.
const WORDS: usize = 1000;

/// An OpenVEX document as it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OpenVex {
    #[serde(rename = "@context")]
    context: Text,
    #[serde(rename = "@id")]
    id: Text,
    author: Text,
    timestamp: Text,
    statements: List<Object<Statement>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Statement {
    vulnerability: TextOr<Vulnerability>,
    products: List<TextOr<Component>>,
    /// Of all products, before version 0.2.0.
    subcomponents: List<TextOr<Component>>,
    status: Text,
    justification: Text,
    #[serde(rename = "impact_statement")]
    impact: Text,
    timestamp: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vulnerability {
    name: Text,
    aliases: List<Text>,
}

/// A product, or a part of one, which has no parts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Component {
    #[serde(rename = "@id")]
    id: Text,
    identifiers: Entries<Text>,
    subcomponents: List<TextOr<Part>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    #[serde(rename = "@id")]
    id: Text,
    identifiers: Entries<Text>,
}

/// Turns a document into what it says; what cannot be used becomes a problem.
struct Converter<'a> {
    problems: &'a mut Problems,
    /// How many more names there may be.
    names: usize,
    /// Whether there were more.
    has_too_many_names: bool,
    /// The document's time.
    timestamp: Option<Timestamp>,
}

impl OpenVex {
    /// What the document says; `None`, and a problem, when it is no OpenVEX document.
    pub(crate) fn document(self, problems: &mut Problems) -> Option<VexDocument> {
        if !self.context.0.contains("openvex.dev/ns") {
            problems.add(|| "is no OpenVEX document".to_owned());
            return None;
        }
        let mut converter = Converter { problems, names: NAMES, has_too_many_names: false, timestamp: None };
        let id = converter.text("document id", &self.id.0).unwrap_or_default();
        let author = converter.text("author", &self.author.0).unwrap_or_default();
        let timestamp = converter.time(&self.timestamp.0);
        converter.timestamp = timestamp;
        let mut statements = Vec::new();
        for Object(statement) in self.statements.0 {
            let read = converter.statement(statement);
            // A statement that lacks some of its names says something else.
            if statements.len() == STATEMENTS || converter.has_too_many_names {
                let count = statements.len();
                converter.problems.add(|| {
                    format!("has too many statements or names: the first {count} statements were read")
                });
                break;
            }
            statements.extend(read);
        }
        Some(VexDocument { id, author, timestamp, statements })
    }
}

impl Converter<'_> {
    /// The statement; `None`, and a problem, when its vulnerability or its status is missing or unknown.
    fn statement(&mut self, statement: Statement) -> Option<VexStatement> {
        let TextOr(name, vulnerability) = statement.vulnerability;
        let name = if name.is_empty() { &vulnerability.name.0 } else { &name };
        let name = self.text("vulnerability", name)?;
        if name.is_empty() {
            self.problems.add(|| "has a statement without a vulnerability".to_owned());
            return None;
        }
        let Ok(status) = statement.status.0.parse() else {
            self.problems.add(|| format!("says nothing of {} that OpenVEX has a word for", excerpt(&name)));
            return None;
        };
        let justification = Some(statement.justification.0.as_str()).filter(|label| !label.is_empty());
        let known = justification.and_then(|label| label.parse().ok());
        if justification.is_some() && known.is_none() {
            self.problems.add(|| format!("justifies {} by what is no word of OpenVEX", excerpt(&name)));
        }
        let parts = statement.subcomponents.0.into_iter().map(
            |TextOr(id, Component { id: own, identifiers, .. })| TextOr(id, Part { id: own, identifiers }),
        );
        let parts: Vec<TextOr<Part>> = parts.collect();
        let is_about_products = !statement.products.0.is_empty();
        let products = statement.products.0.into_iter();
        let products: Vec<VexProduct> =
            products.filter_map(|product| self.product(product, &parts)).collect();
        if is_about_products && products.is_empty() {
            // Without any it would be about all products.
            self.problems.add(|| format!("names no product of {} that can be told", excerpt(&name)));
            return None;
        }
        let aliases = vulnerability.aliases.0.iter().filter_map(|alias| self.name(&alias.0)).collect();
        let words = paths::text(statement.impact.0.as_bytes());
        let words: String = words.chars().take(WORDS).collect();
        let timestamp = self.time(&statement.timestamp.0).or(self.timestamp);
        Some(VexStatement {
            vulnerability: name,
            aliases,
            products,
            status,
            justification: known,
            impact_statement: Some(words).filter(|words| !words.is_empty()),
            timestamp,
        })
    }

    /// The product with its parts and those that the statement has for all products; `None` when it, or what is said to be
    /// its parts, cannot be identified: without any part it would be about the whole product.
    fn product(&mut self, product: TextOr<Component>, parts: &[TextOr<Part>]) -> Option<VexProduct> {
        let TextOr(id, product) = product;
        let ids = self.ids(&id, &product.id.0, &product.identifiers);
        let parts = || product.subcomponents.0.iter().chain(parts);
        let subcomponents = parts().flat_map(|TextOr(id, part)| self.ids(id, &part.id.0, &part.identifiers));
        let subcomponents: Vec<String> = subcomponents.collect();
        let is_identified = !ids.is_empty() && (!subcomponents.is_empty() || parts().next().is_none());
        is_identified.then_some(VexProduct { ids, subcomponents })
    }

    /// Everything that identifies a component, each once.
    fn ids(&mut self, text: &str, id: &str, identifiers: &Entries<Text>) -> Vec<String> {
        let identifiers = identifiers.0.iter().map(|(_, identifier)| identifier.0.as_str());
        let mut ids: Vec<String> =
            [text, id].into_iter().chain(identifiers).filter_map(|id| self.name(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// A name, while there is room for one.
    fn name(&mut self, name: &str) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        let Some(left) = self.names.checked_sub(1) else {
            self.has_too_many_names = true;
            return None;
        };
        self.names = left;
        self.text("name", name)
    }

    fn text(&mut self, what: &'static str, text: &str) -> Option<String> {
        self.problems.ok_or_add(short_text(what, text.trim().as_bytes()))
    }

    fn time(&mut self, text: &str) -> Option<Timestamp> {
        if text.is_empty() {
            return None;
        }
        let time = text.parse().ok();
        if time.is_none() {
            self.problems.add(|| "has a time that cannot be read".to_owned());
        }
        time
    }
}

//! What VEX documents say of the findings of an image.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Narrowness;
use super::product::{self, Hosts};
use super::suppression::{ExceptionType, SuppressedBy, Suppression, VexSource};
use crate::Timestamp;
use crate::finding::Finding;
use crate::judgement::Scope;
use crate::package::PackagePattern;
use crate::vex::{VexDocument, VexProduct, VexStatement, VexStatus};

/// The statements of documents from one source, by vulnerability.
#[derive(Clone, Debug)]
pub(super) struct Statements<'a> {
    source: VexSource,
    documents: Cow<'a, [VexDocument]>,
    /// Id in upper case to document and statement.
    by_vulnerability: HashMap<String, Vec<(usize, usize)>>,
}

/// One statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated<'a> {
    source: VexSource,
    document: &'a VexDocument,
    statement: &'a VexStatement,
    position: (usize, usize),
}

impl<'a> Statements<'a> {
    pub(super) fn of(source: VexSource, documents: Cow<'a, [VexDocument]>) -> Self {
        let mut by_vulnerability: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (document, content) in documents.iter().enumerate() {
            for (position, statement) in content.statements.iter().enumerate() {
                for id in std::iter::once(&statement.vulnerability).chain(&statement.aliases) {
                    by_vulnerability.entry(id.to_ascii_uppercase()).or_default().push((document, position));
                }
            }
        }
        Self { source, documents, by_vulnerability }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_vulnerability.is_empty()
    }

    /// Whether any of them names images by their repositories.
    pub(super) fn name_repositories(&self) -> bool {
        self.documents.iter().any(super::names_repositories)
    }

    /// The products that they name by their repositories.
    pub(super) fn products_by_name(&self) -> Vec<String> {
        let statements = self.documents.iter().flat_map(|document| &document.statements);
        let ids = statements.flat_map(|statement| &statement.products).flat_map(|product| &product.ids);
        ids.filter(|id| product::is_by_name(id)).cloned().collect()
    }

    fn about<'s>(&'s self, ids: &'s [String]) -> impl Iterator<Item = Stated<'s>> {
        let positions = ids.iter().filter_map(|id| self.by_vulnerability.get(id)).flatten();
        positions.filter_map(|position| {
            let document = self.documents.get(position.0)?;
            let statement = document.statements.get(position.1)?;
            Some(Stated { source: self.source, document, statement, position: *position })
        })
    }
}

impl Stated<'_> {
    /// When it was known to be true, then what of the same time comes later.
    fn order(&self) -> (Option<Timestamp>, std::cmp::Reverse<VexSource>, (usize, usize)) {
        let time = self.statement.timestamp.or(self.document.timestamp);
        (time, std::cmp::Reverse(self.source), self.position)
    }

    /// How narrowly it is about the finding in an image that is looked at in `scope`; `None` where it is not.
    fn narrowness(&self, finding: &Finding, scope: Scope<'_>, hosts: &Hosts) -> Option<Narrowness> {
        if self.statement.products.is_empty() {
            // Then what holds the document is meant; one that was uploaded is held by nothing.
            return (self.source != VexSource::Uploaded).then_some(Narrowness::Digest);
        }
        let products = self.statement.products.iter().filter(|product| has_part(product, finding));
        products.flat_map(|product| &product.ids).filter_map(|id| product::narrowness(id, scope, hosts)).max()
    }

    pub(super) fn suppression(&self, finding: usize) -> Suppression {
        Suppression {
            finding,
            by: SuppressedBy::Vex {
                document: self.document.id.clone(),
                author: self.document.author.clone(),
                source: self.source,
            },
            exception_type: ExceptionType::FalsePositive,
            justification: self.statement.justification,
            reason: self.statement.impact_statement.clone(),
            until: None,
        }
    }
}

/// Whether the package of the finding is a part of the product that is meant.
fn has_part(product: &VexProduct, finding: &Finding) -> bool {
    let is_it =
        |part: &String| part.parse::<PackagePattern>().is_ok_and(|pattern| pattern.matches(&finding.purl));
    product.subcomponents.is_empty() || product.subcomponents.iter().any(is_it)
}

/// The latest of the statements that are about the finding, when it says that the image is not affected.
pub(super) fn latest<'s>(
    statements: &'s [&'s Statements<'_>],
    ids: &'s [String],
    finding: &Finding,
    scope: Scope<'_>,
    hosts: &Hosts,
) -> Option<(Narrowness, Stated<'s>)> {
    let stated = statements.iter().flat_map(|statements| statements.about(ids));
    stated
        .filter_map(|stated| Some((stated.narrowness(finding, scope, hosts)?, stated)))
        .max_by_key(|(_, stated)| stated.order())
        .filter(|(_, stated)| stated.statement.status == VexStatus::NotAffected)
}

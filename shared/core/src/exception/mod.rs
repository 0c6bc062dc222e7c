//! Exceptions: which findings do not count, by whose word and for how long.
//!
//! They are exceptions of the configuration and statements in VEX documents. A suppressed finding stays visible, with the
//! reason. Nothing here makes a finding count that did not.

mod in_force;
mod openvex;
mod product;
mod statements;
mod suppression;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::Timestamp;
use crate::config::Config;
use crate::finding::Finding;
use crate::judgement::Scope;
use crate::metadata::ImageMetadata;
use crate::vex::VexDocument;
use in_force::Exception;
pub(crate) use product::Hosts;
use statements::Statements;

pub use openvex::{OpenVexDocument, export};
pub use suppression::{ExceptionType, SuppressedBy, Suppression, VexSource};

/// How much of the organisation is meant, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Narrowness {
    Organisation,
    Stream,
    Repository,
    Digest,
}

/// The exceptions of a configuration, and the VEX documents of the organisation.
#[derive(Clone, Debug)]
pub(crate) struct Exceptions {
    /// In the order of the file.
    list: Vec<Exception>,
    /// Id of a vulnerability, in upper case, to positions in `list`, ascending.
    by_vulnerability: HashMap<String, Vec<usize>>,
    uploaded: Statements<'static>,
    /// The products of those that are named by their repositories, sorted.
    products_by_name: Vec<String>,
    hosts: Hosts,
}

impl Exceptions {
    pub(crate) fn new(config: &Config, uploaded: Vec<VexDocument>) -> Self {
        let list: Vec<Exception> = config.exceptions.iter().map(Exception::new).collect();
        let mut by_vulnerability: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, exception) in list.iter().enumerate() {
            for id in exception.config.vulnerability.iter() {
                by_vulnerability.entry(id.to_owned()).or_default().push(position);
            }
        }
        let uploaded = Statements::of(VexSource::Uploaded, uploaded.into());
        let mut products_by_name = uploaded.products_by_name();
        products_by_name.sort_unstable();
        products_by_name.dedup();
        Self { list, by_vulnerability, uploaded, products_by_name, hosts: Hosts::of(config) }
    }

    /// Whether any of it is limited to some repositories or streams.
    pub(crate) fn has_limited(&self) -> bool {
        self.list.iter().any(Exception::is_limited) || !self.products_by_name.is_empty()
    }

    /// Whether anything that is in force at `now`, and limited so, is about the images in `scope`: then an image can count
    /// otherwise there than as a whole.
    pub(crate) fn are_limited_to(&self, scope: Scope<'_>, now: Timestamp) -> bool {
        let is_it = |exception: &Exception| {
            exception.is_limited() && exception.is_in_force(now) && exception.concerns_scope(scope)
        };
        let mut products = self.products_by_name.iter();
        self.list.iter().any(is_it)
            || products.any(|id| product::narrowness(id, scope, &self.hosts).is_some())
    }

    /// Which of `findings` do not count in an image of which `metadata` is known, looked at in `scope` at `now`: one for
    /// each such finding, in their order.
    pub(crate) fn suppressions(
        &self,
        findings: &[Finding],
        metadata: &ImageMetadata,
        scope: Scope<'_>,
        now: Timestamp,
    ) -> Vec<Suppression> {
        let own = of_image(metadata);
        let is_empty = |statements: &Statements<'_>| statements.is_empty();
        if self.list.is_empty() && is_empty(&self.uploaded) && own.iter().all(is_empty) {
            return Vec::new();
        }
        let statements: Vec<&Statements<'_>> = [&self.uploaded].into_iter().chain(&own).collect();
        findings
            .iter()
            .enumerate()
            .filter_map(|(position, finding)| self.suppression(position, finding, &statements, scope, now))
            .collect()
    }

    fn suppression(
        &self,
        position: usize,
        finding: &Finding,
        statements: &[&Statements<'_>],
        scope: Scope<'_>,
        now: Timestamp,
    ) -> Option<Suppression> {
        let ids: Vec<String> = finding.ids().map(str::to_ascii_uppercase).collect();
        let exception = self.exception(&ids, finding, scope, now);
        let stated = statements::latest(statements, &ids, finding, scope, &self.hosts);
        match (exception, stated) {
            // Of what is equally narrow, the organisation's own word comes first.
            (Some(exception), Some((narrowness, stated))) if exception.narrowness() < narrowness => {
                Some(stated.suppression(position))
            }
            (Some(exception), _) => Some(exception.suppression(position)),
            (None, Some((_, stated))) => Some(stated.suppression(position)),
            (None, None) => None,
        }
    }

    /// The exception that counts for a finding: of those in force the narrowest, then one with a package, then the first.
    fn exception(
        &self,
        ids: &[String],
        finding: &Finding,
        scope: Scope<'_>,
        now: Timestamp,
    ) -> Option<&Exception> {
        let positions = ids.iter().filter_map(|id| self.by_vulnerability.get(id)).flatten().copied();
        let in_force = positions
            .filter_map(|position| Some((position, self.list.get(position)?)))
            .filter(|(_, exception)| exception.applies(finding, scope, now));
        let (_, exception) = in_force.max_by_key(|(position, exception)| {
            let is_of_package = exception.config.package.is_some();
            (exception.narrowness(), is_of_package, std::cmp::Reverse(*position))
        })?;
        Some(exception)
    }
}

/// Whether a VEX document names images by their repositories: then it is about some places that hold an image, and not
/// about the image as a whole.
pub fn names_repositories(document: &VexDocument) -> bool {
    let mut products = document.statements.iter().flat_map(|statement| &statement.products);
    products.any(|product| product.ids.iter().any(|id| product::is_by_name(id)))
}

/// Whether what counts of the VEX documents of an image, of which `metadata` is known, names images by their repositories.
pub(crate) fn own_name_repositories(metadata: &ImageMetadata) -> bool {
    of_image(metadata).iter().any(Statements::name_repositories)
}

/// What the image itself says. Its files do not count beside attestations, nor while nobody has looked for those.
fn of_image(metadata: &ImageMetadata) -> Vec<Statements<'_>> {
    let has_no_attestation = metadata.attestations.as_ref().is_some_and(Vec::is_empty);
    let files = if has_no_attestation { metadata.vex_files.as_slice() } else { &[] };
    vec![
        Statements::of(VexSource::File, files.into()),
        Statements::of(VexSource::Attestation, metadata.vex.as_slice().into()),
    ]
}

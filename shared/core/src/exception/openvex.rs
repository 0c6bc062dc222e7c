//! Exceptions as an OpenVEX document, for others to read.
//!
//! Specification: <https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md>, version 0.2.0.

use serde::Serialize;

use super::in_force::Exception;
use super::suppression::ExceptionType;
use super::{Exceptions, Hosts};
use crate::judgement::{Criteria, Scope};
use crate::names::OrgName;
use crate::vex::{VexJustification, VexStatus};
use crate::{Digest, Timestamp};

/// An OpenVEX document. It serialises to its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenVexDocument {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@id")]
    id: String,
    author: String,
    timestamp: Timestamp,
    version: u32,
    tooling: &'static str,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Statement {
    vulnerability: Vulnerability,
    products: Vec<Product>,
    status: VexStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_notes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<VexJustification>,
    #[serde(rename = "impact_statement", skip_serializing_if = "Option::is_none")]
    impact: Option<String>,
    #[serde(rename = "action_statement", skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Vulnerability {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Product {
    #[serde(rename = "@id")]
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subcomponents: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Component {
    #[serde(rename = "@id")]
    id: String,
}

impl OpenVexDocument {
    /// The IRI that names it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of its statements. One without any is none, by the specification.
    pub fn statements(&self) -> usize {
        self.statements.len()
    }
}

/// The exceptions of `criteria` whose last day is not over at `timestamp`, as statements of `author` about those of `images`
/// that they are about. A false positive becomes `not_affected`; an accepted risk stays `affected`, with what was decided,
/// since OpenVEX has no word for it. An exception about none of the images, or about one without a digest, says nothing.
/// What ends an exception for some findings only (`expires_when`) is left to notes. The id of the document is made of its
/// statements and author: the same exceptions about the same images have the same.
pub fn export(
    criteria: &Criteria,
    org: &OrgName,
    images: &[Scope<'_>],
    author: &str,
    timestamp: Timestamp,
) -> OpenVexDocument {
    let Exceptions { list, hosts, .. } = criteria.exceptions();
    let in_force = list.iter().filter(|exception| exception.is_in_force(timestamp));
    let statements: Vec<Statement> =
        in_force.flat_map(|exception| statements(exception, images, hosts)).collect();
    let content = Digest::of(&serde_json::to_vec(&(author, &statements)).unwrap_or_default());
    OpenVexDocument {
        context: "https://openvex.dev/ns/v0.2.0",
        id: format!("urn:tidewatch:{org}:vex:{}", content.hex()),
        author: author.to_owned(),
        timestamp,
        version: 1,
        tooling: "Tidewatch",
        statements,
    }
}

fn statements(exception: &Exception, images: &[Scope<'_>], hosts: &Hosts) -> Vec<Statement> {
    let meant = images.iter().filter(|scope| exception.concerns_scope(**scope));
    let mut products: Vec<String> = meant.filter_map(|scope| product(*scope, hosts)).collect();
    products.sort_unstable();
    products.dedup();
    if products.is_empty() {
        return Vec::new();
    }
    let config = &exception.config;
    let parts: Vec<Component> =
        config.package.iter().map(|package| Component { id: package.to_string() }).collect();
    let reason = config.reason.clone();
    let (status, impact, action) = match config.exception_type {
        ExceptionType::FalsePositive => (VexStatus::NotAffected, reason, None),
        ExceptionType::AcceptedRisk => {
            let decided = reason.map_or_else(
                || "The risk is accepted.".to_owned(),
                |reason| format!("The risk is accepted: {reason}"),
            );
            (VexStatus::Affected, None, Some(decided))
        }
    };
    let statement = |id: &str| Statement {
        vulnerability: Vulnerability { name: id.to_owned() },
        products: products
            .iter()
            .map(|id| Product { id: id.clone(), subcomponents: parts.clone() })
            .collect(),
        status,
        status_notes: notes(exception),
        justification: config.justification,
        impact: impact.clone(),
        action: action.clone(),
    };
    config.vulnerability.iter().map(statement).collect()
}

/// What OpenVEX has no key for: who answers, and how long it holds.
fn notes(exception: &Exception) -> Option<String> {
    let config = &exception.config;
    let words = config.expires_when.iter().map(|condition| serde_json::to_value(condition).ok());
    let words: Vec<String> = words.flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect();
    let notes = [
        config.owner.as_ref().map(|owner| format!("owner: {owner}")),
        config.expires.map(|day| format!("last day: {day}")),
        (!words.is_empty()).then(|| format!("ends when: {}", words.join(", "))),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// The package URL of an image; `None` where its digest or its repository is not known.
fn product(scope: Scope<'_>, hosts: &Hosts) -> Option<String> {
    let (digest, repository) = (scope.digest?, scope.repository?.as_str());
    let name = repository.rsplit('/').next().unwrap_or(repository);
    let host = scope.registry.and_then(|registry| hosts.host(registry));
    let url =
        host.map(|host| format!("repository_url={}", format!("{host}/{repository}").replace(':', "%3A")));
    let tag = scope.tag.map(|tag| format!("tag={tag}"));
    let qualifiers: Vec<String> = [url, tag].into_iter().flatten().collect();
    let mark = if qualifiers.is_empty() { "" } else { "?" };
    Some(format!("pkg:oci/{name}@sha256%3A{}{mark}{}", digest.hex(), qualifiers.join("&")))
}

//! Judging: from what is known of an image to its numbers, the answers of the policies, and what exceptions suppress.
//!
//! [`judge`] is a function of what is known, of where the image is looked at, and of what is in force. The same findings can
//! be judged otherwise in another repository or stream, because exceptions have a scope; the result of an image is judged
//! for the organisation as a whole.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::exception::{Exceptions, Suppression};
use crate::finding::Finding;
use crate::metadata::ImageMetadata;
use crate::names::{PolicyId, RegistryId, RepositoryName, StreamName, Tag};
use crate::package::{Distribution, Package};
use crate::policy::{Evaluation, ImageFacts, PolicySet};
use crate::result::ResultState;
use crate::severity::SeverityCounts;
use crate::stream::Counting;
use crate::tables::{TableDate, TableVersions, Tables};
use crate::vex::VexDocument;
use crate::{Digest, Timestamp};

/// The number of how images are judged. Raise it when the same findings, configuration and tables can give other answers:
/// another policy, another meaning of a parameter. Then every image is judged again.
pub const JUDGING: u32 = 1;

/// What images are judged by, made once of a configuration for any number of images.
#[derive(Clone, Debug)]
pub struct Criteria {
    policies: PolicySet,
    exceptions: Exceptions,
    fingerprint: Digest,
}

impl Criteria {
    /// What `config` has in force, and the VEX documents that the organisation has uploaded beside it.
    pub fn new(config: &Config, vex: Vec<VexDocument>) -> Self {
        let hashes: Vec<Digest> = vex.iter().map(VexDocument::digest).collect();
        let fingerprint = criteria_fingerprint(config, &hashes, &Counting::default());
        Self { policies: config.policy_set(), exceptions: Exceptions::new(config, vex), fingerprint }
    }

    /// The same of an organisation whose images are counted so.
    #[must_use]
    pub fn counted(self, counting: &Counting) -> Self {
        Self { fingerprint: with_counting(self.fingerprint, counting), ..self }
    }

    /// The policies in force.
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// Names all of it, in a way that does not depend on how it came about: see [`criteria_fingerprint`].
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Whether anything is limited to some repositories or streams: an exception, or what a VEX document says of images that
    /// it names by their repositories. Without that, an image counts everywhere as it does as a whole.
    pub fn has_limited(&self) -> bool {
        self.exceptions.has_limited()
    }

    /// Whether anything that is in force at `now`, and limited so, is about the images in `scope`: then an image has to be
    /// judged there by itself.
    pub fn are_limited_to(&self, scope: Scope<'_>, now: Timestamp) -> bool {
        self.exceptions.are_limited_to(scope, now)
    }

    pub(crate) fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }
}

/// What is in force at some time.
#[derive(Clone, Copy, Debug)]
pub struct Judging<'a> {
    /// The policies and exceptions.
    pub criteria: &'a Criteria,
    /// What is looked up beside the findings.
    pub tables: &'a Tables,
    /// The time.
    pub now: Timestamp,
}

impl Judging<'_> {
    /// Names all that images are judged by: results with the same fingerprint were judged alike, but for the answers that
    /// change at their own `next_change_at`. Without tables and uploaded documents, and with advisories that are not too old, it
    /// is [`Config::judging_fingerprint`].
    pub fn fingerprint(&self) -> Digest {
        let Self { criteria, tables, now } = self;
        judging_fingerprint(criteria.fingerprint, &tables.versions(), &tables.advisories, *now)
    }
}

/// What [`Judging::fingerprint`] is at `now` by [`Criteria::fingerprint`], these tables, and families of advisories of these
/// dates, for those who do not judge. Of the dates it counts only which are too old: it stays when a source is asked again.
pub fn judging_fingerprint(
    criteria: Digest,
    tables: &TableVersions,
    advisories: &BTreeMap<String, TableDate>,
    now: Timestamp,
) -> Digest {
    let judging = if tables.is_empty() { criteria } else { combined(&(criteria, tables.fingerprint(now))) };
    let outdated = advisories.iter().filter(|(_, date)| !date.is_current(now));
    let outdated: Vec<&String> = outdated.map(|(family, _)| family).collect();
    if outdated.is_empty() { judging } else { combined(&(judging, outdated)) }
}

/// What [`Criteria::fingerprint`] is by `config`, by the uploaded VEX documents, each named by [`VexDocument::digest`], and by
/// how images are counted. No judgement depends on that; but every image is looked at again when it changes, and that is how
/// it comes to its new slots.
pub fn criteria_fingerprint(config: &Config, vex: &[Digest], counting: &Counting) -> Digest {
    let config = config.judging_fingerprint();
    with_counting(if vex.is_empty() { config } else { combined(&(config, vex)) }, counting)
}

fn with_counting(fingerprint: Digest, counting: &Counting) -> Digest {
    if counting.is_first() { fingerprint } else { combined(&(fingerprint, counting.since())) }
}

fn combined(parts: &impl serde::Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(parts).unwrap_or_default())
}

/// Where an image is looked at: what exceptions can be limited to. The default is the organisation as a whole, where only
/// exceptions without a scope count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The registry that holds it.
    pub registry: Option<&'a RegistryId>,
    /// The repository in that registry.
    pub repository: Option<&'a RepositoryName>,
    /// The tag by which it is known there; VEX documents name products by tags.
    pub tag: Option<&'a Tag>,
    /// Digest of its manifest.
    pub digest: Option<&'a Digest>,
    /// The stream that it is a member of.
    pub stream: Option<&'a StreamName>,
}

/// What is known of an image.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Every vulnerability, also those that exceptions suppress.
    pub findings: &'a [Finding],
    /// Every package.
    pub packages: &'a [Package],
    /// The distribution.
    pub distribution: Option<&'a Distribution>,
    /// What is known beside its packages.
    pub metadata: &'a ImageMetadata,
    /// The families of advisories that its packages were matched against.
    pub families: &'a [&'a str],
    /// How far it could be scanned.
    pub state: ResultState,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Number of vulnerabilities by severity, without the suppressed ones.
    pub severities: SeverityCounts,
    /// Number of the suppressed ones.
    pub suppressed: SeverityCounts,
    /// The answer of each policy.
    pub policies: BTreeMap<PolicyId, Evaluation>,
    /// Which findings are suppressed and why, one for each, in their order.
    pub suppressions: Vec<Suppression>,
    /// The next time at which any of this can be different although nothing else has changed: a grace period ends, an
    /// exception expires, a distribution loses its support, a table gets too old. Nothing is different before it.
    pub next_change_at: Option<Timestamp>,
}

/// Judges an image, looked at in a scope.
pub fn judge(subject: Subject<'_>, scope: Scope<'_>, judging: Judging<'_>) -> Judgement {
    let Judging { criteria, tables, now } = judging;
    let suppressions = criteria.exceptions.suppressions(subject.findings, subject.metadata, scope, now);
    let mut severities = SeverityCounts::default();
    let mut suppressed = SeverityCounts::default();
    let mut remaining = Vec::with_capacity(subject.findings.len());
    let mut next = suppressions.iter().peekable();
    for (position, finding) in subject.findings.iter().enumerate() {
        if next.next_if(|suppression| suppression.finding == position).is_some() {
            suppressed.add(finding.severity);
        } else {
            severities.add(finding.severity);
            remaining.push(finding);
        }
    }
    let facts = ImageFacts {
        findings: &remaining,
        packages: subject.packages,
        distribution: subject.distribution,
        metadata: subject.metadata,
        families: subject.families,
        tables,
        state: subject.state,
        now,
    };
    let policies = criteria.policies.evaluate(facts);
    let of_policies = policies.values().filter_map(|evaluation| evaluation.next_change_at);
    let of_exceptions = suppressions.iter().filter_map(|suppression| suppression.until);
    // Not when an answer rests on it, but always: so answers stay the same, to the byte, when a source is asked again.
    let of_advisories = tables.next_outdated_at(subject.families, now);
    let next_change_at = of_policies.chain(of_exceptions).chain(of_advisories).min();
    Judgement { severities, suppressed, policies, suppressions, next_change_at }
}

#[cfg(test)]
mod tests;

//! Finds the vulnerabilities of installed packages: evaluates the advisories that name a package, merges those that are
//! about one vulnerability, and says what could not be told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidewatch_core::basis::MATCHING;
use tidewatch_core::finding::Finding;
use tidewatch_core::package::{Distribution, Package};
use tidewatch_core::problem::Problem;
use tidewatch_core::{Date, Digest, Severity, Timestamp};

use crate::ecosystem::families_for;
use crate::index::{Advisory, IndexError, IndexSet, Vulnerability};
use crate::matching::matcher::{Evaluated, Matcher, Place};
use crate::matching::union::Union;
use crate::order::Compare;
use crate::record::is_cve;
use crate::severity::Rating;

pub use crate::matching::memo::{Memo, Memos};

mod matcher;
mod memo;
#[cfg(test)]
mod tests;
mod union;

/// Limits on what matching one image may ask of the process. The defaults leave room for every image met in practice.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The most findings and problems of an image, together.
    results: usize,
    /// The most bytes of what all findings say about their packages.
    result_bytes: usize,
    /// The most times that packages call for the evaluation of an advisory.
    evaluations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { results: 200_000, result_bytes: 64 << 20, evaluations: 10_000_000 }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Matches {
    /// One finding for each installed package and vulnerability, sorted by package, version, vulnerability and purl.
    pub findings: Vec<Finding>,
    /// What could not be told, sorted and each once: versions that cannot be ordered, packages for which there are no
    /// advisories while others have them, and packages beyond the limits.
    pub problems: Vec<Problem>,
    /// Whether there were advisories to look at.
    pub coverage: Coverage,
}

/// Whether there were advisories to look at. Only with [`Coverage::Full`] does no finding mean no vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// There were, at least for some of the packages; packages without any are among the problems, and so are families
    /// whose index is not in the set.
    Full,
    /// There were none: the indexes of these families are needed and not in the set.
    Missing {
        /// Ids of the families, sorted.
        families: Vec<&'static str>,
    },
    /// There are no advisories for anything in this image.
    Unsupported {
        /// Why, a lower-case fragment.
        reason: String,
    },
}

/// Matches the installed `packages` of an image of this `distribution` with the advisories of `indexes`.
///
/// Of several advisories about one vulnerability, all that affect the package are named; the fixed version is the
/// lowest of those that are greater than the installed one, the rating the one with the best basis, the time of
/// publication the earliest, and so is that of a fix, among those that name one. Notices and what is not about Linux do
/// not count. An advisory that cannot be evaluated is a problem, not a finding. After 200,000 findings,
/// about 64 MiB of them, or 10,000,000 advisories that were evaluated, the rest of the packages is not matched, which is
/// a problem. Fails only when an index cannot be read.
pub fn match_packages(
    indexes: &IndexSet,
    distribution: Option<&Distribution>,
    packages: &[Package],
) -> Result<Matches, IndexError> {
    Ok(look_up(indexes, &Memos::default(), distribution, packages)?.matches())
}

/// The same in two steps, for whoever knows what was found before: where the [`Lookup::fingerprint`] is the same for the
/// same packages, so are the [`Lookup::matches`]. What is in `memos`, of the indexes of the set, is not evaluated again.
pub fn look_up<'a>(
    indexes: &IndexSet,
    memos: &Memos,
    distribution: Option<&'a Distribution>,
    packages: &'a [Package],
) -> Result<Lookup<'a>, IndexError> {
    look_up_within(Limits::default(), indexes, memos, distribution, packages)
}

fn look_up_within<'a>(
    limits: Limits,
    indexes: &IndexSet,
    memos: &Memos,
    distribution: Option<&'a Distribution>,
    packages: &'a [Package],
) -> Result<Lookup<'a>, IndexError> {
    let mut matcher = Matcher::new(limits, indexes, memos, distribution);
    let mut vulnerable = Vec::new();
    let mut covered = false;
    let mut uncovered = BTreeSet::new();
    for (number, package) in packages.iter().enumerate() {
        match matcher.place(package)? {
            Place::Covered(evaluated) => {
                covered = true;
                if let Some(limit) = matcher.limit() {
                    let reason =
                        format!("was not matched, nor were {} more: {limit}", packages.len() - number - 1);
                    let subject = format!("{} {}", package.name, package.version);
                    matcher.problems.insert(Problem::new(subject, reason));
                    break;
                }
                if !evaluated.found.is_empty() {
                    vulnerable.push((number, evaluated));
                }
            }
            Place::Missing => {}
            Place::Uncovered(reason) => {
                uncovered.insert(reason);
            }
        }
    }
    let missing: Vec<_> = families_for(distribution, packages)
        .into_iter()
        .filter(|family| indexes.get(family).is_none())
        .collect();
    let coverage = if covered || (packages.is_empty() && matcher.covers_distribution()) {
        uncovered.extend(missing.iter().map(|family| format!("there are no advisories yet for {family}")));
        Coverage::Full
    } else if !missing.is_empty() {
        Coverage::Missing { families: missing }
    } else {
        let reason = uncovered.pop_first().unwrap_or_else(|| no_advisories("packages", distribution));
        Coverage::Unsupported { reason }
    };
    let mut problems = matcher.problems;
    problems.extend(uncovered.into_iter().map(|reason| Problem::new("advisories", reason)));
    Ok(Lookup { distribution, packages, vulnerable, problems, coverage })
}

/// What was found for the packages of an image, not written out yet.
pub struct Lookup<'a> {
    distribution: Option<&'a Distribution>,
    packages: &'a [Package],
    /// The numbers of those for which something was found.
    vulnerable: Vec<(usize, Arc<Evaluated>)>,
    problems: BTreeSet<Problem>,
    coverage: Coverage,
}

impl Lookup<'_> {
    /// Names all that [`Self::matches`] gives, for one list of packages of one distribution.
    pub fn fingerprint(&self) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(MATCHING.to_le_bytes());
        for (number, evaluated) in &self.vulnerable {
            hasher.update(number.to_le_bytes());
            hasher.update(evaluated.hash.to_bytes());
        }
        hasher.update(format!("{:?}{:?}", self.problems, self.coverage));
        Digest::from_bytes(hasher.finalize().into())
    }

    /// The findings, problems and coverage.
    pub fn matches(self) -> Matches {
        let mut findings = Vec::new();
        for (number, evaluated) in &self.vulnerable {
            let package = &self.packages[*number];
            let purl = package.purl(self.distribution);
            findings.extend(evaluated.found.iter().map(|found| found.finding(package, &purl)));
        }
        findings.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        Matches { findings, problems: self.problems.into_iter().collect(), coverage: self.coverage }
    }
}

fn sort_key(finding: &Finding) -> [&str; 4] {
    [&finding.package, &finding.version, &finding.vulnerability, &finding.purl]
}

fn no_advisories(of: &str, distribution: Option<&Distribution>) -> String {
    match distribution {
        Some(Distribution { id, version_id: Some(version), .. }) => {
            format!("there are no advisories for {of} of {id} {version}")
        }
        Some(Distribution { id, .. }) => {
            format!("there are no advisories for {of} of {id} without a release")
        }
        None => format!("there are no advisories for {of} of an image without a distribution"),
    }
}

/// A vulnerability of a source package.
#[derive(Clone, Debug)]
struct Found {
    ids: BTreeSet<String>,
    advisories: BTreeSet<String>,
    rating: Rating,
    fixed_version: Option<String>,
    fix_published_at: Option<Timestamp>,
    published_at: Option<Timestamp>,
    known_exploited: Option<Date>,
}

impl Found {
    fn new() -> Self {
        Self {
            ids: BTreeSet::new(),
            advisories: BTreeSet::new(),
            rating: Rating::NOTHING,
            fixed_version: None,
            fix_published_at: None,
            published_at: None,
            known_exploited: None,
        }
    }

    fn add(
        &mut self,
        vulnerability: &Vulnerability,
        advisory: &Advisory,
        fixed: Option<&str>,
        compare: Compare,
    ) {
        let earliest = |a, b| [a, b].into_iter().flatten().min();
        self.ids.extend(vulnerability.ids.iter().cloned());
        self.advisories.insert(advisory.id.clone());
        self.rating = self.rating.min(vulnerability.rating);
        self.known_exploited =
            [self.known_exploited, vulnerability.known_exploited].into_iter().flatten().min();
        self.published_at = earliest(self.published_at, advisory.published_at);
        if fixed.is_some() {
            self.fix_published_at = earliest(self.fix_published_at, advisory.published_at);
        }
        // Both have been ordered against the installed version, so they can be ordered against each other.
        let is_lower = |fixed: &str| {
            self.fixed_version
                .as_deref()
                .is_none_or(|lowest| compare(fixed, lowest).is_ok_and(std::cmp::Ordering::is_lt))
        };
        if let Some(fixed) = fixed.filter(|fixed| is_lower(fixed)) {
            self.fixed_version = Some(fixed.to_owned());
        }
    }

    /// The id to show: the first CVE, else the first advisory.
    fn vulnerability(&self) -> String {
        let cve = self.ids.iter().find(|id| is_cve(id));
        cve.or_else(|| self.advisories.first()).cloned().unwrap_or_default()
    }

    fn finding(&self, package: &Package, purl: &str) -> Finding {
        let vulnerability = self.vulnerability();
        Finding {
            aliases: self.ids.iter().filter(|id| **id != vulnerability).cloned().collect(),
            vulnerability,
            advisories: self.advisories.iter().cloned().collect(),
            package_type: package.package_type,
            package: package.name.clone(),
            version: package.version.clone(),
            purl: purl.to_owned(),
            severity: self.severity(),
            fixed_version: self.fixed_version.clone(),
            fix_published_at: self.fix_published_at,
            published_at: self.published_at,
            known_exploited: self.known_exploited,
        }
    }

    const fn severity(&self) -> Severity {
        self.rating.severity
    }
}

/// Merges the advisories that affect one package into its vulnerabilities: two are one when they share an id.
fn merge(affecting: &[(Advisory, Option<String>)], compare: Compare) -> Vec<Found> {
    let each: Vec<_> = affecting
        .iter()
        .flat_map(|(advisory, fixed)| {
            advisory
                .vulnerabilities
                .iter()
                .map(move |vulnerability| (advisory, vulnerability, fixed.as_deref()))
        })
        .collect();
    let mut union = Union::new(each.len());
    let mut first_with = HashMap::new();
    for (number, (_, vulnerability, _)) in each.iter().enumerate() {
        for id in &vulnerability.ids {
            union.join(*first_with.entry(id.as_str()).or_insert(number), number);
        }
    }
    let mut merged: Vec<Option<Found>> = vec![None; each.len()];
    for (number, (advisory, vulnerability, fixed)) in each.iter().enumerate() {
        let found = merged[union.root(number)].get_or_insert_with(Found::new);
        found.add(vulnerability, advisory, *fixed, compare);
    }
    merged.into_iter().flatten().collect()
}

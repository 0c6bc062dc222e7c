//! Finds the vulnerabilities of installed packages: evaluates the advisories that name a package, merges those that are
//! about one vulnerability, and says what could not be told.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use tidewatch_core::finding::Finding;
use tidewatch_core::package::{Distribution, Package};
use tidewatch_core::problem::Problem;
use tidewatch_core::{Date, Severity, Timestamp};

use crate::ecosystem::{Family, families_for};
use crate::evaluate::Judgement;
use crate::index::{Advisory, Index, IndexError, IndexSet, Relevance, Vulnerability};
use crate::matching::memo::Memo;
use crate::matching::union::Union;
use crate::order::Compare;
use crate::record::is_cve;
use crate::severity::Rating;
use crate::subject::{Subject, Subjects, subjects};

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
    /// The most times that an advisory is evaluated for a version.
    evaluations: usize,
    /// The most subjects and vulnerabilities that are remembered.
    memo: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { results: 200_000, result_bytes: 64 << 20, evaluations: 10_000_000, memo: 50_000 }
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
/// 64 MiB of them, or 10,000,000 advisories that were evaluated, the rest of the packages is not matched, which is a
/// problem. Fails only when an index cannot be read.
pub fn match_packages(
    indexes: &IndexSet,
    distribution: Option<&Distribution>,
    packages: &[Package],
) -> Result<Matches, IndexError> {
    match_within(Limits::default(), indexes, distribution, packages)
}

fn match_within(
    limits: Limits,
    indexes: &IndexSet,
    distribution: Option<&Distribution>,
    packages: &[Package],
) -> Result<Matches, IndexError> {
    let mut matcher = Matcher::new(limits, indexes, distribution);
    let mut findings = Vec::new();
    let mut result_bytes = 0;
    let mut covered = false;
    let mut uncovered = BTreeSet::new();
    for (number, package) in packages.iter().enumerate() {
        match matcher.place(package) {
            Place::Covered(subjects, index) => {
                covered = true;
                let vulnerabilities = matcher.vulnerabilities(subjects, index)?;
                let purl = package.purl(distribution);
                result_bytes +=
                    vulnerabilities.len() * (purl.len() + package.name.len() + package.version.len());
                if let Some(limit) = matcher.limit(findings.len() + vulnerabilities.len(), result_bytes) {
                    let reason =
                        format!("was not matched, nor were {} more: {limit}", packages.len() - number - 1);
                    let subject = format!("{} {}", package.name, package.version);
                    matcher.problems.insert(Problem::new(subject, reason));
                    break;
                }
                findings.extend(vulnerabilities.iter().map(|found| found.finding(package, &purl)));
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
    findings.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    Ok(Matches { findings, problems: problems.into_iter().collect(), coverage })
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

/// Where the advisories about a package are.
enum Place<'a> {
    Covered(Subjects, &'a Index),
    /// In an index that is not in the set.
    Missing,
    /// Nowhere, and why.
    Uncovered(String),
}

struct Matcher<'a> {
    indexes: &'a IndexSet,
    distribution: Option<&'a Distribution>,
    limits: Limits,
    memo: Memo,
    evaluations: usize,
    problems: BTreeSet<Problem>,
}

impl<'a> Matcher<'a> {
    fn new(limits: Limits, indexes: &'a IndexSet, distribution: Option<&'a Distribution>) -> Self {
        let memo = Memo::new(limits.memo);
        Self { indexes, distribution, limits, memo, evaluations: 0, problems: BTreeSet::new() }
    }

    /// The limit, in words, that an image with so many findings, of so many bytes, is over.
    fn limit(&self, findings: usize, bytes: usize) -> Option<String> {
        let Limits { results, result_bytes, evaluations, .. } = self.limits;
        if self.evaluations > evaluations {
            Some(format!("its packages need more than {evaluations} evaluations of advisories"))
        } else if findings + self.problems.len() > results {
            Some(format!("the image has more than {results} findings and problems"))
        } else if bytes > result_bytes {
            Some(format!("the findings of the image have more than {result_bytes} bytes"))
        } else {
            None
        }
    }

    fn place(&self, package: &Package) -> Place<'a> {
        let uncovered = || {
            let packages = format!("{} packages", package.package_type.as_str());
            if package.package_type.is_of_distribution() {
                Place::Uncovered(no_advisories(&packages, self.distribution))
            } else {
                Place::Uncovered(format!("there are no advisories for {packages}"))
            }
        };
        let Some(subjects) = subjects(self.distribution, package) else { return uncovered() };
        match self.indexes.of(subjects.family) {
            None => Place::Missing,
            Some(index) if index.covers(&subjects.ecosystem) => Place::Covered(subjects, index),
            Some(_) => uncovered(),
        }
    }

    /// Whether an image without packages would have had advisories to look at.
    fn covers_distribution(&self) -> bool {
        families_for(self.distribution, &[]).into_iter().any(|id| {
            let scope = Family::of_id(id).and_then(|family| (family.scope)(self.distribution));
            self.indexes.get(id).zip(scope).is_some_and(|(index, ecosystem)| index.covers(&ecosystem))
        })
    }

    fn vulnerabilities(&mut self, subjects: Subjects, index: &Index) -> Result<Rc<[Found]>, IndexError> {
        let family = subjects.family;
        if let Some(known) = self.memo.get(&subjects.keys) {
            return Ok(known);
        }
        let (mut affecting, mut unknown) = (Vec::new(), Vec::new());
        subjects.for_each_statement(index, |subject, statement| {
            self.evaluations += 1;
            match statement.judge(&subject.version, family.compare) {
                Judgement::NotAffected => {}
                Judgement::Affected { fixed } => affecting.push((index.advisory(statement.advisory)?, fixed)),
                Judgement::Unknown(error) => {
                    unknown.push((subject, index.advisory(statement.advisory)?, error));
                }
            }
            Ok(())
        })?;
        affecting.retain(|(advisory, _)| advisory.relevance == Relevance::Counts);
        unknown.retain(|(_, advisory, _)| advisory.relevance == Relevance::Counts);
        for (Subject { name, version, .. }, advisory, error) in unknown {
            let subject = if error.version() == version {
                format!("{name} {version}")
            } else {
                format!("{name} {version}, {}", advisory.id)
            };
            self.problems.insert(Problem::new(subject, error));
        }
        let found: Rc<[Found]> = merge(&affecting, family.compare).into();
        self.memo.insert(subjects.keys, Rc::clone(&found));
        Ok(found)
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

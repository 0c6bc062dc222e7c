//! Evaluates the packages of one image, each by the index of its family, unless that is remembered.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Package, PackageType};
use tidewatch_core::problem::Problem;

use crate::ecosystem::{Family, families_for};
use crate::evaluate::Judgement;
use crate::index::{Index, IndexError, IndexSet, Relevance};
use crate::matching::memo::{Memo, Memos};
use crate::matching::{Found, Limits, merge, no_advisories};
use crate::subject::{Question, Subject};

/// What was found for a package, whatever the image.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) found: Vec<Found>,
    problems: Vec<Problem>,
    /// How many advisories were evaluated for it.
    evaluations: usize,
    /// Names what was found and the problems.
    pub(super) hash: Digest,
}

impl Evaluated {
    pub(super) fn new(found: Vec<Found>, problems: Vec<Problem>, evaluations: usize) -> Self {
        // Whatever is ever added to what is found is in here, too.
        let hash = Digest::of(format!("{found:?}{problems:?}").as_bytes());
        Self { found, problems, evaluations, hash }
    }

    /// How much room it takes.
    pub(super) fn size(&self) -> usize {
        self.found.len() + self.problems.len() + 1
    }
}

/// What can be said of a package.
pub(super) enum Place {
    /// This, by the index of its family.
    Covered(Arc<Evaluated>),
    /// Nothing yet: the index is not in the set.
    Missing,
    /// Nothing, because of this.
    Uncovered(String),
}

/// Where the advisories about the packages of one kind are, in one image.
enum Scope<'a> {
    Covered { family: &'static Family, ecosystem: String, index: &'a Index, memo: Arc<Memo> },
    Missing,
    Uncovered(String),
}

impl<'a> Scope<'a> {
    fn of(
        package_type: PackageType,
        indexes: &'a IndexSet,
        memos: &Memos,
        distribution: Option<&Distribution>,
    ) -> Self {
        let packages = format!("{} packages", package_type.as_str());
        let uncovered = || {
            Self::Uncovered(if package_type.is_of_distribution() {
                no_advisories(&packages, distribution)
            } else {
                format!("there are no advisories for {packages}")
            })
        };
        let Some((family, ecosystem)) = Family::of_packages(package_type, distribution) else {
            return uncovered();
        };
        match indexes.of(family) {
            None => Self::Missing,
            Some(index) if index.covers(&ecosystem) => {
                Self::Covered { family, ecosystem, index, memo: memos.of(family.id) }
            }
            Some(_) => uncovered(),
        }
    }
}

pub(super) struct Matcher<'a> {
    indexes: &'a IndexSet,
    memos: &'a Memos,
    distribution: Option<&'a Distribution>,
    limits: Limits,
    scopes: HashMap<PackageType, Scope<'a>>,
    findings: usize,
    result_bytes: usize,
    evaluations: usize,
    pub(super) problems: BTreeSet<Problem>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(
        limits: Limits,
        indexes: &'a IndexSet,
        memos: &'a Memos,
        distribution: Option<&'a Distribution>,
    ) -> Self {
        Self {
            indexes,
            memos,
            distribution,
            limits,
            scopes: HashMap::new(),
            findings: 0,
            result_bytes: 0,
            evaluations: 0,
            problems: BTreeSet::new(),
        }
    }

    /// The limit, in words, that the image is over.
    pub(super) fn limit(&self) -> Option<String> {
        let Limits { results, result_bytes, evaluations, .. } = self.limits;
        if self.evaluations > evaluations {
            Some(format!("its packages need more than {evaluations} evaluations of advisories"))
        } else if self.findings + self.problems.len() > results {
            Some(format!("the image has more than {results} findings and problems"))
        } else if self.result_bytes > result_bytes {
            Some(format!("the findings of the image have more than {result_bytes} bytes"))
        } else {
            None
        }
    }

    /// Whether an image without packages would have had advisories to look at.
    pub(super) fn covers_distribution(&self) -> bool {
        families_for(self.distribution, &[]).into_iter().any(|id| {
            let scope = Family::of_id(id).and_then(|family| (family.scope)(self.distribution));
            self.indexes.get(id).zip(scope).is_some_and(|(index, ecosystem)| index.covers(&ecosystem))
        })
    }

    /// What can be said of a package. What is found counts against the limits.
    pub(super) fn place(&mut self, package: &Package) -> Result<Place, IndexError> {
        let (indexes, memos, distribution) = (self.indexes, self.memos, self.distribution);
        let scope = self
            .scopes
            .entry(package.package_type)
            .or_insert_with(|| Scope::of(package.package_type, indexes, memos, distribution));
        let evaluated = match scope {
            Scope::Missing => return Ok(Place::Missing),
            Scope::Uncovered(reason) => return Ok(Place::Uncovered(reason.clone())),
            Scope::Covered { family, ecosystem, index, memo } => {
                let question = Question::new(family, ecosystem, package);
                let key = question.bytes();
                if let Some(known) = memo.get(&key) {
                    known
                } else {
                    let evaluated = Arc::new(evaluate(&question, index)?);
                    memo.insert(key, Arc::clone(&evaluated));
                    evaluated
                }
            }
        };
        self.evaluations += evaluated.evaluations;
        self.findings += evaluated.found.len();
        // Name and version stand in a finding, and again in its purl.
        let bytes = 2 * (package.name.len() + package.version.len()) + 64;
        self.result_bytes += evaluated.found.len() * bytes;
        self.problems.extend(evaluated.problems.iter().cloned());
        Ok(Place::Covered(evaluated))
    }
}

fn evaluate(question: &Question<'_>, index: &Index) -> Result<Evaluated, IndexError> {
    let (compare, subjects) = (question.family.compare, question.subjects());
    let (mut affecting, mut unknown, mut evaluations) = (Vec::new(), Vec::new(), 0);
    subjects.for_each_statement(index, |subject, statement| {
        evaluations += 1;
        match statement.judge(&subject.version, compare) {
            Judgement::NotAffected => {}
            Judgement::Affected { fixed } => {
                affecting.push((index.advisory(statement.advisory)?, fixed.map(str::to_owned)));
            }
            Judgement::Unknown(error) => {
                unknown.push((subject, index.advisory(statement.advisory)?, error));
            }
        }
        Ok::<_, IndexError>(())
    })?;
    affecting.retain(|(advisory, _)| advisory.relevance == Relevance::Counts);
    unknown.retain(|(_, advisory, _)| advisory.relevance == Relevance::Counts);
    let mut problems = BTreeSet::new();
    for (Subject { name, version, .. }, advisory, error) in unknown {
        let subject = if error.version() == version {
            format!("{name} {version}")
        } else {
            format!("{name} {version}, {}", advisory.id)
        };
        problems.insert(Problem::new(subject, error));
    }
    Ok(Evaluated::new(merge(&affecting, compare), problems.into_iter().collect(), evaluations))
}

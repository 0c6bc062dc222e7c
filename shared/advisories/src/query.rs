//! Which advisories affect one version of one package: what the OSV service answers to the same question.

use std::collections::BTreeSet;

use tidewatch_core::problem::Problem;

use crate::ecosystem::{FAMILIES, Family};
use crate::evaluate::{Judgement, judge};
use crate::index::{Index, IndexError, Statement};

/// What an index says about one version of one package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Ids of the advisories that affect the version; not of their aliases.
    pub ids: BTreeSet<String>,
    /// Advisories that cannot be evaluated for the version, and why.
    pub problems: Vec<Problem>,
}

/// Which advisories affect this version of this package?
#[derive(Clone, Debug)]
pub struct Question {
    /// The family whose index knows it.
    pub family: &'static Family,
    /// The ecosystems to look into, as the index names them; empty for all.
    ecosystems: Vec<String>,
    name: String,
    version: String,
}

impl Question {
    /// About the package `name` of `ecosystem`, as OSV names both. An ecosystem without a release is about all releases.
    /// `None` where there are no advisories for such an ecosystem.
    pub fn new(ecosystem: &str, name: &str, version: &str) -> Option<Self> {
        let family = FAMILIES.iter().copied().find(|family| family.holds(ecosystem))?;
        let ecosystems = if ecosystem == family.ecosystem { Vec::new() } else { vec![ecosystem.to_owned()] };
        Some(Self { family, ecosystems, name: name.to_owned(), version: version.to_owned() })
    }

    /// Whether `index`, that of the family, has advisories where this looks for them.
    pub fn is_covered(&self, index: &Index) -> bool {
        self.ecosystems.is_empty() || self.ecosystems.iter().any(|ecosystem| index.covers(ecosystem))
    }

    /// Gives each advisory of `index`, that of the family, that names the package to `each`, whatever version it affects.
    pub fn for_each<E: From<IndexError>>(
        &self,
        index: &Index,
        mut each: impl FnMut(&Statement<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let releases = || index.info().releases.keys().map(String::as_str).collect::<Vec<_>>();
        let named = || {
            // An ecosystem without its release is about all releases.
            let all = index.covers(self.family.ecosystem).then_some(self.family.ecosystem);
            self.ecosystems.iter().map(String::as_str).chain(all).collect()
        };
        for ecosystem in if self.ecosystems.is_empty() { releases() } else { named() } {
            if let Some(stored) = index.statements(ecosystem, &self.name)? {
                for statement in stored.read()? {
                    each(&statement)?;
                }
            }
        }
        Ok(())
    }

    /// What `index`, that of the family, answers.
    pub fn answer(&self, index: &Index) -> Result<Answer, IndexError> {
        let mut answer = Answer::default();
        self.for_each(index, |statement| {
            match judge(&self.version, &statement.versions, &statement.ranges, self.family.compare) {
                Judgement::Affected { .. } => {
                    answer.ids.insert(index.advisory(statement.advisory)?.id);
                }
                Judgement::NotAffected => {}
                Judgement::Unknown(error) => {
                    let id = index.advisory(statement.advisory)?.id;
                    answer.problems.push(Problem::new(id, error));
                }
            }
            Ok::<_, IndexError>(())
        })?;
        Ok(answer)
    }
}

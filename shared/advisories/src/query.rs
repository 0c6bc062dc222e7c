//! Which advisories affect one version of one package: what the OSV service answers to the same question.

use std::collections::BTreeSet;

use tidewatch_core::problem::Problem;

use crate::ecosystem::Family;
use crate::evaluate::Judgement;
use crate::index::{Index, IndexError, Statement};
use crate::subject::{Subject, Subjects, subjects_of};

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
pub struct Question(Subjects);

impl Question {
    /// About the package `name` of `ecosystem`, as OSV names both. An ecosystem without a release is about all releases.
    /// `None` where there are no advisories for such an ecosystem.
    pub fn new(ecosystem: &str, name: &str, version: &str) -> Option<Self> {
        subjects_of(ecosystem, name, version).map(Self)
    }

    /// The family whose index knows the answer.
    pub const fn family(&self) -> &'static Family {
        self.0.family
    }

    /// Whether `index`, that of the family, has advisories for the ecosystem.
    pub fn is_covered(&self, index: &Index) -> bool {
        let Subjects { keys, family, .. } = &self.0;
        self.asks_for_all_releases()
            || keys.iter().any(|key| key.ecosystem != family.ecosystem && index.covers(&key.ecosystem))
            || index.covers(family.ecosystem)
    }

    fn asks_for_all_releases(&self) -> bool {
        self.0.keys.iter().all(|key| key.ecosystem == self.0.family.ecosystem)
    }

    /// Gives each statement of `index`, that of the family, about the package to `each`, whatever version it affects.
    pub fn for_each_statement<E: From<IndexError>>(
        &self,
        index: &Index,
        mut each: impl FnMut(&Statement<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.asks_for_all_releases() {
            return self.0.for_each_statement(index, |_, statement| each(statement));
        }
        for ecosystem in index.info().releases.keys() {
            for key in &self.0.keys {
                if let Some(stored) = index.statements(ecosystem, &key.name)? {
                    stored.read()?.try_for_each(|statement| each(&statement?))?;
                }
            }
        }
        Ok(())
    }

    /// What `index`, that of the family, answers.
    pub fn answer(&self, index: &Index) -> Result<Answer, IndexError> {
        let mut answer = Answer::default();
        // All keys have the same version.
        let Some(Subject { version, .. }) = self.0.keys.first() else { return Ok(answer) };
        self.for_each_statement(index, |statement| {
            match statement.judge(version, self.0.family.compare) {
                Judgement::Affected { .. } => {
                    answer.ids.insert(index.advisory_id(statement.advisory)?.to_owned());
                }
                Judgement::NotAffected => {}
                Judgement::Unknown(error) => {
                    let id = index.advisory_id(statement.advisory)?;
                    answer.problems.push(Problem::new(id, error));
                }
            }
            Ok::<_, IndexError>(())
        })?;
        Ok(answer)
    }
}

//! Whether an exception of the configuration counts for a finding.

use super::Narrowness;
use super::suppression::{SuppressedBy, Suppression};
use crate::Timestamp;
use crate::config::{ExceptionConfig, ExpiryCondition};
use crate::finding::Finding;
use crate::judgement::Scope;
use crate::tables::end_of;

/// An exception of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) id: String,
    pub(super) config: ExceptionConfig,
    /// When its last day is over.
    pub(super) ends_at: Option<Timestamp>,
}

impl Exception {
    pub(super) fn new(config: &ExceptionConfig) -> Self {
        Self { id: config.id(), config: config.clone(), ends_at: config.expires.map(end_of) }
    }

    pub(super) fn narrowness(&self) -> Narrowness {
        let ExceptionConfig { repository, digest, stream, .. } = &self.config;
        match (digest, repository, stream) {
            (Some(_), _, _) => Narrowness::Digest,
            (None, Some(_), _) => Narrowness::Repository,
            (None, None, Some(_)) => Narrowness::Stream,
            (None, None, None) => Narrowness::Organisation,
        }
    }

    pub(super) const fn is_limited(&self) -> bool {
        self.config.is_limited()
    }

    /// Whether its last day is not over.
    pub(super) fn is_in_force(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| now < end)
    }

    /// Whether an image that is looked at in `scope` is meant.
    pub(super) fn concerns_scope(&self, scope: Scope<'_>) -> bool {
        let ExceptionConfig { repository, digest, stream, .. } = &self.config;
        let is_repository =
            repository.as_ref().is_none_or(|pattern| match (scope.registry, scope.repository) {
                (Some(registry), Some(repository)) => {
                    pattern.matches_path(&format!("{registry}/{repository}"), scope.tag)
                }
                _ => false,
            });
        is_repository
            && digest.as_ref().is_none_or(|digest| scope.digest == Some(digest))
            && stream.as_ref().is_none_or(|stream| scope.stream == Some(stream))
    }

    /// Whether it counts for a finding of one of its vulnerabilities.
    pub(super) fn applies(&self, finding: &Finding, scope: Scope<'_>, now: Timestamp) -> bool {
        self.is_in_force(now)
            && self.concerns_scope(scope)
            && self.config.package.as_ref().is_none_or(|package| package.matches(&finding.purl))
            && !self.config.expires_when.iter().any(|condition| self.is_met(*condition, finding))
    }

    fn is_met(&self, condition: ExpiryCondition, finding: &Finding) -> bool {
        match condition {
            ExpiryCondition::FixAvailable => finding.fixed_version.is_some(),
            ExpiryCondition::KnownExploited => finding.known_exploited.is_some(),
            // Severities sort from the worst on. What is not rated yet is not known to be worse.
            ExpiryCondition::SeverityRaised => {
                self.config.severity.is_none_or(|accepted| finding.severity < accepted)
            }
        }
    }

    pub(super) fn suppression(&self, finding: usize) -> Suppression {
        Suppression {
            finding,
            by: SuppressedBy::Exception { id: self.id.clone() },
            exception_type: self.config.exception_type,
            justification: self.config.justification,
            reason: self.config.reason.clone(),
            until: self.ends_at,
        }
    }
}

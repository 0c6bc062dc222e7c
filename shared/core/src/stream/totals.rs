//! The totals of a set of members.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::Member;
use crate::Timestamp;
use crate::names::PolicyId;
use crate::policy::Outcome;
use crate::result::ResultState;
use crate::severity::SeverityCounts;

/// The images of one policy in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTotals {
    /// Images that pass.
    pub compliant: u64,
    /// Images that pass or fail; those with no data are in neither.
    pub evaluated: u64,
    /// Images that have an answer, also those with no data.
    #[serde(default)]
    pub judged: u64,
}

impl PolicyTotals {
    /// Images of which the policy cannot say whether they comply.
    pub const fn no_data(&self) -> u64 {
        // Totals of before `judged` was counted have none.
        self.judged.saturating_sub(self.evaluated)
    }
}

/// The numbers of a shard or a stream: a sum over its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of members.
    pub images: u64,
    /// Members by state.
    pub states: BTreeMap<ResultState, u64>,
    /// Vulnerabilities by severity, over all members whatever their state: what is known counts.
    pub vulnerabilities: SeverityCounts,
    /// The policies.
    pub policies: BTreeMap<PolicyId, PolicyTotals>,
    /// When the numbers change without a write.
    pub next_change_at: Option<Timestamp>,
    /// When the oldest result of the members was computed, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_result_at: Option<Timestamp>,
    /// Vulnerabilities by severity that do not count because of an exception.
    #[serde(default)]
    pub suppressed: SeverityCounts,
}

impl Totals {
    /// The images of a policy; none for one that has judged nothing.
    pub fn policy(&self, id: &PolicyId) -> PolicyTotals {
        self.policies.get(id).copied().unwrap_or_default()
    }

    /// Images that a policy has not judged yet: it is new, or was enabled, and their turn has not come.
    pub fn unjudged(&self, id: &PolicyId) -> u64 {
        let policy = self.policy(id);
        self.images.saturating_sub(policy.judged.max(policy.evaluated))
    }
}

impl<'a> FromIterator<&'a Member> for Totals {
    fn from_iter<I: IntoIterator<Item = &'a Member>>(members: I) -> Self {
        let mut totals = Self::default();
        for member in members {
            totals.images += 1;
            *totals.states.entry(member.state).or_default() += 1;
            totals.vulnerabilities += member.severities;
            for (id, outcome) in &member.policies {
                let policy = totals.policies.entry(id.clone()).or_default();
                policy.compliant += u64::from(*outcome == Outcome::Pass);
                policy.evaluated += u64::from(*outcome != Outcome::NoData);
                policy.judged += 1;
            }
            totals.next_change_at = earlier(totals.next_change_at, member.next_change_at);
            totals.oldest_result_at = earlier(totals.oldest_result_at, member.result_at);
            totals.suppressed += member.suppressed;
        }
        totals
    }
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        self.images += other.images;
        for (state, images) in &other.states {
            *self.states.entry(*state).or_default() += images;
        }
        self.vulnerabilities += other.vulnerabilities;
        for (id, other) in &other.policies {
            let policy = self.policies.entry(id.clone()).or_default();
            policy.compliant += other.compliant;
            policy.evaluated += other.evaluated;
            policy.judged += other.judged;
        }
        self.next_change_at = earlier(self.next_change_at, other.next_change_at);
        self.oldest_result_at = earlier(self.oldest_result_at, other.oldest_result_at);
        self.suppressed += other.suppressed;
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

//! The totals of a set of members.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::Member;
use crate::names::PolicyId;
use crate::policy::Outcome;
use crate::result::ResultState;
use crate::severity::SeverityCounts;
use crate::{Digest, Timestamp};

/// The images of one policy in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTotals {
    /// Images that pass.
    pub compliant: u64,
    /// Images that pass or fail; those with no data are in neither.
    pub evaluated: u64,
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
    /// Members that were judged under other policies or exceptions than those in force.
    #[serde(default)]
    pub unjudged: u64,
    /// When the oldest of the results of its members was made.
    #[serde(default)]
    pub oldest_result_at: Option<Timestamp>,
}

impl Totals {
    /// The sum over `members`, of which those are judged that were under `judging`, the fingerprint in force.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Member>, judging: &Digest) -> Self {
        let mut totals = Self::default();
        for member in members {
            totals.images += 1;
            totals.unjudged += u64::from(member.judged_under.is_some_and(|under| under != *judging));
            totals.oldest_result_at = earlier(totals.oldest_result_at, member.scanned_at);
            *totals.states.entry(member.state).or_default() += 1;
            totals.vulnerabilities += member.severities;
            for (id, outcome) in &member.policies {
                let policy = totals.policies.entry(id.clone()).or_default();
                policy.compliant += u64::from(*outcome == Outcome::Pass);
                policy.evaluated += u64::from(*outcome != Outcome::NoData);
            }
            totals.next_change_at = earlier(totals.next_change_at, member.next_change_at);
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
        }
        self.next_change_at = earlier(self.next_change_at, other.next_change_at);
        self.unjudged += other.unjudged;
        self.oldest_result_at = earlier(self.oldest_result_at, other.oldest_result_at);
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

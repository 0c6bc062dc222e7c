//! What stands in a work row and in its due row: the work, which rules want it, and whether it waits for their windows.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::names::{OrgName, RuleId};
use tidewatch_core::ports::table::{Item, Key};
use tidewatch_core::work::Work;

use crate::records::{RecordError, encode, keys, millis};

/// Work with what else is written of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queued {
    #[serde(flatten)]
    pub(super) work: Work,
    /// The rules whose runs have found it beside the one that the work names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) others: BTreeSet<RuleId>,
    /// Whether it is due when a window opens.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) held: bool,
    /// Whether it has failed, and is due after its cool-down.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) cooling: bool,
}

/// What stands in a due row.
#[derive(Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) work: Queued,
    pub(super) due_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl From<&Work> for Queued {
    fn from(work: &Work) -> Self {
        Self { work: work.clone(), others: BTreeSet::new(), held: false, cooling: false }
    }
}

impl Queued {
    /// Every rule whose run has found it; none for work that was pushed.
    pub(super) fn rules(&self) -> impl Iterator<Item = &RuleId> {
        self.work.run.iter().map(|run| &run.rule).chain(&self.others)
    }

    /// The same, due by its own time.
    pub(super) fn released(&self) -> Self {
        Self { held: false, cooling: false, ..self.clone() }
    }

    /// It together with `work` of the same image ([`Work::joined`]), wanted by the rules of both, and due by its own time.
    pub(super) fn joined(&self, work: &Work) -> Self {
        let joined = self.work.joined(work);
        let rules = self.rules().chain(work.run.iter().map(|run| &run.rule));
        let is_other = |rule: &&RuleId| joined.run.as_ref().is_none_or(|run| run.rule != **rule);
        let others = rules.filter(is_other).cloned().collect();
        Self { work: joined, others, held: false, cooling: false }
    }

    /// The work row, whose due row is `due`.
    pub(super) fn item(&self, org: &OrgName, due: &Key, due_at: Timestamp) -> Result<Item, RecordError> {
        Ok(encode(keys::work(org, &self.work.image), self)?
            .with("due_partition", due.partition.clone())
            .with("due_sort", due.sort.clone())
            .with("due_at", millis(due_at))
            .with("seen_at", millis(self.work.seen_at))
            .with("attempts", 0)
            .with("cooldowns", 0)
            .with("deferrals", 0)
            .with("dispatched", 0))
    }

    /// The due row.
    pub(super) fn due_item(&self, key: &Key, due_at: Timestamp) -> Result<Item, RecordError> {
        encode(key.clone(), &Due { work: self.clone(), due_at })
    }
}

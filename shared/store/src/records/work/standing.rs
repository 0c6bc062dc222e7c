//! How the work of runs stands, by its due rows: nothing else is counted while images are scanned.

use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::table::Query;
use tidewatch_core::work::RunId;

use super::queued::{Due, Queued};
use crate::records::{RecordError, Records, decode, keys};

/// Images with work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkStanding {
    /// Those that are due, are being scanned, or are tried again soon.
    pub remaining: u64,
    /// Those that wait for a window.
    pub waiting: u64,
    /// Those that have failed, and are tried again after their cool-down.
    pub failed: u64,
}

impl WorkStanding {
    /// All of them.
    pub const fn all(self) -> u64 {
        self.remaining + self.waiting + self.failed
    }

    fn add(&mut self, queued: &Queued) {
        let number = match (queued.cooling, queued.held) {
            (true, _) => &mut self.failed,
            (false, true) => &mut self.waiting,
            (false, false) => &mut self.remaining,
        };
        *number += 1;
    }
}

impl std::ops::AddAssign for WorkStanding {
    fn add_assign(&mut self, other: Self) {
        self.remaining += other.remaining;
        self.waiting += other.waiting;
        self.failed += other.failed;
    }
}

/// The work of a run, and that of its rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStanding {
    /// What this run has queued.
    pub of_run: WorkStanding,
    /// What any run of the rule has found.
    pub of_rule: WorkStanding,
}

impl Records {
    /// How the work of a run stands in a registry of its rule. It reads every due row of the registry.
    pub async fn run_standing(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        run: &RunId,
    ) -> Result<RunStanding, RecordError> {
        let mut standing = RunStanding::default();
        self.each_due(org, registry, |queued| {
            if queued.work.run.as_ref() == Some(run) {
                standing.of_run.add(queued);
            }
            if queued.rules().any(|rule| *rule == run.rule) {
                standing.of_rule.add(queued);
            }
            true
        })
        .await?;
        Ok(standing)
    }

    /// How many images of a run have failed, when it has come to its end in a registry; `None` as soon as something is found
    /// that it still has to do.
    pub async fn failed_at_end(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        run: &RunId,
    ) -> Result<Option<u64>, RecordError> {
        let mut standing = WorkStanding::default();
        self.each_due(org, registry, |queued| {
            if queued.work.run.as_ref() == Some(run) {
                standing.add(queued);
            }
            standing.all() == standing.failed
        })
        .await?;
        Ok((standing.all() == standing.failed).then_some(standing.failed))
    }

    /// Looks at every due row of a registry, until `look` says that it has seen enough.
    async fn each_due(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        mut look: impl FnMut(&Queued) -> bool,
    ) -> Result<(), RecordError> {
        for bucket in 0..keys::DUE_BUCKETS {
            let mut query = Query::prefix(keys::due_partition(org, registry, bucket), "");
            loop {
                let page = self.table.query(query.clone()).await?;
                for item in &page.items {
                    let Due { work, .. } = decode(item)?;
                    if !look(&work) {
                        return Ok(());
                    }
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }
}

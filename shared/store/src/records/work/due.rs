//! Work that is due, by the due rows of its registry, and how much work there is.

use jiff::Timestamp;
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::table::{Item, Query};
use tidewatch_core::work::Priority;

use super::DueWork;
use super::queued::Due;
use crate::records::{RecordError, Records, decode, keys};

impl Records {
    /// Work of a registry that is due at `now`, at most `most`: by priority, then by time.
    pub async fn due_work(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<DueWork>, RecordError> {
        self.due_work_of(&Priority::ALL, org, registry, now, most).await
    }

    /// The same of these priorities only, which are in their order.
    pub async fn due_work_of(
        &self,
        priorities: &[Priority],
        org: &OrgName,
        registry: &RegistryId,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<DueWork>, RecordError> {
        let mut due: Vec<DueWork> = Vec::new();
        for priority in priorities.iter().copied() {
            let wanted = most - due.len();
            if wanted == 0 {
                break;
            }
            let mut of_priority = Vec::new();
            for bucket in 0..keys::DUE_BUCKETS {
                let query =
                    Query::prefix(keys::due_partition(org, registry, bucket), keys::due_priority(priority));
                of_priority.extend(self.due_in_bucket(query, now, wanted).await?);
            }
            // Each bucket has its own order; the first of any of them may be the earliest.
            of_priority
                .sort_by(|one, other| (one.due_at, &one.key.sort).cmp(&(other.due_at, &other.key.sort)));
            due.extend(of_priority.into_iter().take(wanted));
        }
        Ok(due)
    }

    /// The first `most` rows of one bucket and priority that are due at `now`.
    async fn due_in_bucket(
        &self,
        query: Query,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<DueWork>, RecordError> {
        let mut due = Vec::new();
        let mut query = query.limit(most.clamp(1, 1000));
        while due.len() < most {
            let page = self.table.query(query.clone()).await?;
            for item in &page.items {
                let Due { work, due_at } = decode(item)?;
                if due_at > now || due.len() == most {
                    return Ok(due);
                }
                due.push(DueWork::new(work, due_at, item.key.clone()));
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        Ok(due)
    }

    /// Number of images of a registry with work that is due before `until`, counted up to `most`: dispatched work is due
    /// again in minutes, and images that cool down after failures not before a day.
    pub async fn count_work(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        until: Timestamp,
        most: usize,
    ) -> Result<usize, RecordError> {
        let mut count = 0;
        for bucket in 0..keys::DUE_BUCKETS {
            let mut query = Query::prefix(keys::due_partition(org, registry, bucket), "");
            while count < most {
                let page = self.table.query(query.clone()).await?;
                let before = |item: &&Item| keys::due_time(&item.key).is_some_and(|due_at| due_at < until);
                count += page.items.iter().filter(before).count();
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(count.min(most))
    }
}

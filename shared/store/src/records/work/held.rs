//! Work that waits for a window: due when that opens, in the place of its own time.

use jiff::Timestamp;
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::table::{Query, Update};
use tidewatch_core::work::Priority;

use super::queued::{Due, Queued};
use super::{DueWork, PendingWork};
use crate::records::{RecordError, Records, decode, keys};

impl Records {
    /// Makes due work wait for a window that opens at `opens_at`. A message about it that is still on its way begins no
    /// attempt any more; one that is at work comes to its end. When somebody has made it due at another time since it was
    /// read, that stands; and when another rule has found it since, whose window may be open, it stays due.
    pub async fn hold(&self, org: &OrgName, due: &DueWork, opens_at: Timestamp) -> Result<(), RecordError> {
        self.move_due_work(org, due, opens_at, |pending| Queued { held: true, ..pending.queued.clone() })
            .await
    }

    /// Makes work that waits for a window due at `due_at` instead, without one. When somebody has made it due at another
    /// time since it was read, that stands.
    pub async fn release(&self, org: &OrgName, due: &DueWork, due_at: Timestamp) -> Result<(), RecordError> {
        self.move_due_work(org, due, due_at, |pending| pending.queued.released()).await
    }

    async fn move_due_work(
        &self,
        org: &OrgName,
        due: &DueWork,
        due_at: Timestamp,
        queued: impl Fn(&PendingWork) -> Queued,
    ) -> Result<(), RecordError> {
        match self.pending_work(org, &due.work.image).await? {
            Some(pending) if pending.due == due.key && pending.queued.rules().eq(&due.rules) => {
                let update = Update::default().set("dispatched", 0);
                self.move_due(org, &pending, &queued(&pending), due_at, update).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// All work of a registry that waits for a window. It reads every due row but those of images that were pushed.
    pub async fn held_work(&self, org: &OrgName, registry: &RegistryId) -> Result<Vec<DueWork>, RecordError> {
        let mut held = Vec::new();
        for bucket in 0..keys::DUE_BUCKETS {
            let partition = keys::due_partition(org, registry, bucket);
            for priority in [Priority::New, Priority::Stale] {
                let mut query = Query::prefix(partition.clone(), keys::due_priority(priority));
                loop {
                    let page = self.table.query(query.clone()).await?;
                    for item in &page.items {
                        let Due { work, due_at } = decode(item)?;
                        held.extend(work.held.then(|| DueWork::new(work, due_at, item.key.clone())));
                    }
                    match page.next {
                        Some(next) => query.after = Some(next),
                        None => break,
                    }
                }
            }
        }
        Ok(held)
    }
}

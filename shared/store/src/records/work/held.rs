//! Work that waits for a window: due when that opens, in the place of its own time.

use jiff::Timestamp;
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::table::{Cursor, Query, Update};
use tidewatch_core::work::Priority;

use super::queued::{Due, Queued};
use super::{DueWork, PendingWork};
use crate::records::{RecordError, Records, decode, keys};

/// How many due rows are read at a time.
const PAGE: usize = 1_000;

/// The priorities of work that can wait.
const HELD: [Priority; 2] = [Priority::New, Priority::Stale];

/// A place among the due rows of a registry: at the beginning by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldPlace {
    bucket: u64,
    priority: usize,
    after: Option<Cursor>,
}

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

    /// All work of a registry that waits for a window.
    pub async fn held_work(&self, org: &OrgName, registry: &RegistryId) -> Result<Vec<DueWork>, RecordError> {
        let (mut held, mut place) = (Vec::new(), Some(HeldPlace::default()));
        while let Some(from) = place {
            let (page, next) = self.held_page(org, registry, from).await?;
            held.extend(page);
            place = next;
        }
        Ok(held)
    }

    /// The work of a registry that waits for a window, from a place on, some of it at a time; with the place to go on at. All pages
    /// together read every due row but those of images that were pushed.
    pub async fn held_page(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        place: HeldPlace,
    ) -> Result<(Vec<DueWork>, Option<HeldPlace>), RecordError> {
        let HeldPlace { bucket, priority, after } = place;
        let prefix = keys::due_priority(HELD[priority]);
        let mut query = Query::prefix(keys::due_partition(org, registry, bucket), prefix).limit(PAGE);
        query.after = after;
        let page = self.table.query(query).await?;
        let mut held = Vec::new();
        for item in &page.items {
            let Due { work, due_at } = decode(item)?;
            held.extend(work.held.then(|| DueWork::new(work, due_at, item.key.clone())));
        }
        let next = match page.next {
            Some(after) => Some(HeldPlace { bucket, priority, after: Some(after) }),
            None if priority + 1 < HELD.len() => {
                Some(HeldPlace { bucket, priority: priority + 1, after: None })
            }
            None if bucket + 1 < keys::DUE_BUCKETS => {
                Some(HeldPlace { bucket: bucket + 1, priority: 0, after: None })
            }
            None => None,
        };
        Ok((held, next))
    }
}

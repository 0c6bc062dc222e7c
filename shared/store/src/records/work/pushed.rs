//! Work of images that were pushed: sent at once by whoever queues it, so that its due row is only for a lost message.

use jiff::Timestamp;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Update, Write};
use tidewatch_core::work::{Priority, Work};

use super::queued::Queued;
use crate::records::{RecordError, Records, keys, unless_condition_failed};

impl Records {
    /// Queues `work` as pushed, whatever its priority, and gives what is to be sent at once; should that message be lost,
    /// the work is due at `due_at`. Work that the image has already is raised to pushed, keeps its attempts, and is replaced
    /// as [`Self::enqueue`] replaces it. `None` when it was pushed before and a worker has put it off since: it is due when
    /// that worker says.
    pub async fn enqueue_pushed(
        &self,
        org: &OrgName,
        work: &Work,
        due_at: Timestamp,
    ) -> Result<Option<Work>, RecordError> {
        let work = &Work { priority: Priority::Pushed, ..work.clone() };
        let due = keys::due(org, work, due_at);
        let queued = Queued::from(work);
        let writes = vec![
            Write::Put(queued.item(org, &due, due_at)?.with("dispatched", 1), Condition::ItemAbsent),
            Write::Put(queued.due_item(&due, due_at)?, Condition::Always),
        ];
        loop {
            if unless_condition_failed(self.transact(writes.clone()).await)?.is_some() {
                return Ok(Some(work.clone()));
            }
            let Some(pending) = self.pending_work(org, &work.image).await? else { continue };
            let raised = pending.queued.joined(work);
            if raised.work == pending.work {
                // Whoever queued it may have died before it was sent.
                return Ok(pending.dispatched.then_some(pending.work));
            }
            let dispatched = Update::default().set("dispatched", 1);
            if self.move_due(org, &pending, &raised, due_at, dispatched).await? {
                return Ok(Some(raised.work));
            }
        }
    }
}

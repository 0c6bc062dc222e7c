//! Attempts at work: counted before they begin, and one at a time for an image.
//!
//! An attempt has a lease on the work row. A worker that is killed leaves it behind; it runs out, and the attempt counts.

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Update};

use super::PendingWork;
use crate::records::{RecordError, Records, keys, millis, unless_condition_failed};

impl Records {
    /// Counts an attempt of `owner`, which must be new for each, and keeps others from the image until `until`. Gives
    /// the work with the new count. `None` when there is nothing to do: the work is done; or it was put off since its
    /// message was sent, and its due row brings it back; or another attempt is at work. Should that one have been
    /// killed, the work is due when its lease runs out.
    pub async fn lease_attempt(
        &self,
        org: &OrgName,
        image: &Image,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PendingWork>, RecordError> {
        let startable = Condition::All(vec![
            Condition::ItemPresent,
            Condition::Any(vec![
                Condition::Equal("dispatched".to_owned(), 1_i64.into()),
                // A message can be handled before its dispatch is noted.
                Condition::LessOrEqual("due_at".to_owned(), millis(now).into()),
                // Rows that an earlier version wrote have no time; whatever moves them gives them one.
                Condition::Absent("due_at".to_owned()),
            ]),
            Condition::Any(vec![
                Condition::Absent("attempt_until".to_owned()),
                Condition::LessOrEqual("attempt_until".to_owned(), millis(now).into()),
            ]),
        ]);
        let take = Update::default().set("attempt_owner", owner).set("attempt_until", millis(until));
        loop {
            if let Some(begun) = self.count_attempt(org, image, take.clone(), startable.clone()).await? {
                return Ok(Some(begun));
            }
            let Some(pending) = self.pending_work(org, image).await? else { return Ok(None) };
            if !pending.dispatched && pending.due_at > now {
                return Ok(None);
            }
            if pending.attempt_until > now {
                // The message is used up by this: like a dispatch, it must not be the last word about the work.
                let dispatched = Update::default().set("dispatched", 1);
                let queued = pending.queued.released();
                self.move_due(org, &pending, &queued, pending.attempt_until, dispatched).await?;
                return Ok(None);
            }
        }
    }

    async fn count_attempt(
        &self,
        org: &OrgName,
        image: &Image,
        update: Update,
        condition: Condition,
    ) -> Result<Option<PendingWork>, RecordError> {
        let counted = self.table.update(&keys::work(org, image), update.add("attempts", 1), condition).await;
        unless_condition_failed(counted)?.map(|item| super::read_work(&item)).transpose()
    }

    /// Makes the lease of an attempt last until `until`. `false` when it was lost.
    pub async fn renew_attempt(
        &self,
        org: &OrgName,
        attempt: &PendingWork,
        until: Timestamp,
    ) -> Result<bool, RecordError> {
        self.update_leased(org, attempt, Update::default().set("attempt_until", millis(until))).await
    }

    /// Lets others at the image again; a lease that was lost is no error.
    pub async fn end_attempt(&self, org: &OrgName, attempt: &PendingWork) -> Result<(), RecordError> {
        self.update_leased(org, attempt, Update::default().set("attempt_until", 0)).await.map(drop)
    }

    /// Ends an attempt that turned out to be none, because something was not there yet: takes it back, and makes the
    /// work due at `due_at`. With the reason of something that failed and is not the image's fault, it counts as a
    /// deferral, and no message begins another before then. Without one it waits for a message that may come earlier.
    /// An attempt that has lost its lease changes nothing, and stays counted.
    pub async fn defer_attempt(
        &self,
        org: &OrgName,
        attempt: &PendingWork,
        due_at: Timestamp,
        reason: Option<&str>,
    ) -> Result<(), RecordError> {
        let back = Update::default().add("attempts", -1);
        let Some(reason) = reason else {
            if self.update_leased(org, attempt, back.set("attempt_until", 0)).await? {
                self.put_off(org, attempt, (due_at, false), Update::default().set("dispatched", 1)).await?;
            }
            return Ok(());
        };
        let back = back.add("deferrals", 1).set("deferred_because", reason);
        if self.update_leased(org, attempt, back).await? {
            // The lease keeps others away until the work is put off.
            self.put_off(org, attempt, (due_at, false), Update::default().set("dispatched", 0)).await?;
            self.end_attempt(org, attempt).await?;
        }
        Ok(())
    }

    /// `false` when the attempt has lost its lease, or the work is gone.
    async fn update_leased(
        &self,
        org: &OrgName,
        attempt: &PendingWork,
        update: Update,
    ) -> Result<bool, RecordError> {
        let key = keys::work(org, &attempt.work.image);
        let held = Condition::Equal("attempt_owner".to_owned(), attempt.attempt_owner.clone().into());
        Ok(unless_condition_failed(self.table.update(&key, update, held).await)?.is_some())
    }
}

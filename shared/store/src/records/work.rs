//! Work rows: the truth about what is to be scanned and when. Queues only carry what is dispatched.
//!
//! Each image with work has two items that are only written together: the work itself beside the image's result, and
//! a due row that finds it by registry, priority and time.

mod attempts;
mod due;
mod held;
mod pushed;
mod queued;
mod standing;
mod withdrawn;

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, RuleId};
use tidewatch_core::ports::table::{Condition, Item, Key, Update, Write};
use tidewatch_core::work::Work;

use super::{RecordError, Records, corrupt, decode, keys, unless_condition_failed};
use queued::Queued;

pub use held::HeldPlace;
pub use standing::{RunStanding, WorkStanding};

/// Work that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWork {
    /// What to do.
    pub work: Work,
    /// Since when.
    pub due_at: Timestamp,
    /// The rules whose runs have found it; none of what was pushed only.
    pub rules: Vec<RuleId>,
    /// The work with what else is written of it.
    queued: Queued,
    /// The due row.
    key: Key,
}

impl DueWork {
    fn new(queued: Queued, due_at: Timestamp, key: Key) -> Self {
        let rules = queued.rules().cloned().collect();
        Self { work: queued.work.clone(), due_at, rules, queued, key }
    }
}

/// Work as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingWork {
    /// What to do.
    pub work: Work,
    /// Attempts that were begun since the last cool-down, or since it was queued.
    pub attempts: u32,
    /// Cool-downs after five failed attempts.
    pub cooldowns: u32,
    /// Deferrals since the last attempt that counted, or since it was queued.
    pub deferrals: u32,
    /// Why it was deferred the last time, when that was since the last attempt that counted.
    pub deferred_because: Option<String>,
    /// The work with what else is written of it.
    queued: Queued,
    /// The same, as it is written in the row.
    stored: String,
    /// The due row.
    due: Key,
    /// When the work is due.
    due_at: Timestamp,
    /// Whether a message about it is on its way, and the due row only in case that is lost.
    dispatched: bool,
    /// Who has the attempt lease, or had it last.
    attempt_owner: String,
    /// Until when an attempt is at work; in the past when none is.
    attempt_until: Timestamp,
}

/// What became of work to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It stands in a work row now.
    New,
    /// There was a work row for it already.
    Known,
}

impl Records {
    /// Queues `work` for `due_at`, unless the image has work already. Work for the same image that was seen at its tag
    /// earlier is replaced, and keeps its attempts. What either asks for stays ([`Work::joined`]), whatever comes before or
    /// after it, and it belongs to the rules of both. Work that waits for a window is due at `due_at` if that is earlier: the
    /// rule of `work` may have none, or an open one.
    pub async fn enqueue(
        &self,
        org: &OrgName,
        work: &Work,
        due_at: Timestamp,
    ) -> Result<Enqueued, RecordError> {
        let due = keys::due(org, work, due_at);
        let queued = Queued::from(work);
        let writes = vec![
            Write::Put(queued.item(org, &due, due_at)?, Condition::ItemAbsent),
            Write::Put(queued.due_item(&due, due_at)?, Condition::Always),
        ];
        // Newer work must stand in the end, also when somebody moves or completes the older in between.
        loop {
            if unless_condition_failed(self.transact(writes.clone()).await)?.is_some() {
                return Ok(Enqueued::New);
            }
            let Some(pending) = self.pending_work(org, &work.image).await? else { continue };
            let mut joined = pending.queued.joined(work);
            if pending.work.seen_at < work.seen_at {
                if self.replace(org, &pending, &joined, due_at).await? {
                    return Ok(Enqueued::New);
                }
                continue;
            }
            joined.work.priority = pending.work.priority;
            let is_released = pending.queued.held && due_at < pending.due_time()?;
            joined.held = pending.queued.held && !is_released;
            joined.cooling = pending.queued.cooling;
            let due_at = if is_released { due_at } else { pending.due_time()? };
            if joined == pending.queued || self.ask_for_more(org, &pending, &joined, due_at).await? {
                return Ok(Enqueued::Known);
            }
        }
    }

    /// The work of an image in its repository.
    pub async fn pending_work(
        &self,
        org: &OrgName,
        image: &Image,
    ) -> Result<Option<PendingWork>, RecordError> {
        self.table.get(&keys::work(org, image)).await?.map(|item| read_work(&item)).transpose()
    }

    /// Makes the work due at `due_at` instead, after an attempt that counts: deferrals are counted anew. When somebody has replaced or postponed it since it was read, that
    /// stands; that it was dispatched does not, because whoever postpones it knows what became of the message.
    pub async fn postpone(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        due_at: Timestamp,
    ) -> Result<(), RecordError> {
        let update = Update::default().set("dispatched", 0).set("deferrals", 0).remove("deferred_because");
        self.put_off(org, pending, (due_at, false), update).await
    }

    /// Makes dispatched work due again at `due_at`, in case it gets lost. When somebody has made it due at another time
    /// since it was read, that stands.
    pub async fn note_dispatched(
        &self,
        org: &OrgName,
        due: &DueWork,
        due_at: Timestamp,
    ) -> Result<(), RecordError> {
        let dispatched = Update::default().set("dispatched", 1);
        // The work row says the same as its due row, but for rows of earlier versions: then it is read.
        let as_due = unmoved(&due.key, &encoded(&due.key, &due.queued)?);
        let queued = due.queued.released();
        if self.move_row(org, (&due.key, as_due), &queued, due_at, dispatched.clone()).await? {
            return Ok(());
        }
        match self.pending_work(org, &due.work.image).await? {
            Some(pending) if pending.due == due.key => {
                self.move_due(org, &pending, &pending.queued.released(), due_at, dispatched).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Makes the work due at `due_at` as [`Self::postpone`] does, after five failed attempts: they are counted anew.
    pub async fn cool_down(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        due_at: Timestamp,
    ) -> Result<(), RecordError> {
        let update = Update::default()
            .set("dispatched", 0)
            .set("attempts", 0)
            .add("cooldowns", 1)
            .set("deferrals", 0)
            .remove("deferred_because");
        self.put_off(org, pending, (due_at, true), update).await
    }

    /// A message can be handled before its dispatch is noted, so that the due row moves once more under its worker; the
    /// work can turn out to be counted; and it can be held, when its window closes while an attempt is at work.
    async fn put_off(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        (due_at, cooling): (Timestamp, bool),
        update: Update,
    ) -> Result<(), RecordError> {
        let mut pending = pending.clone();
        let queued = |pending: &PendingWork| Queued { cooling, ..pending.queued.released() };
        while !self.move_due(org, &pending, &queued(&pending), due_at, update.clone()).await? {
            match self.pending_work(org, &pending.work.image).await? {
                Some(moved)
                    if moved.work.seen_at == pending.work.seen_at
                        && (moved.dispatched || moved.queued.held || moved.due == pending.due) =>
                {
                    pending = moved;
                }
                _ => break,
            }
        }
        Ok(())
    }

    async fn replace(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        queued: &Queued,
        due_at: Timestamp,
    ) -> Result<bool, RecordError> {
        self.move_due(org, pending, queued, due_at, Update::default().set("dispatched", 0)).await
    }

    /// Puts `queued` in the place of pending work, and leaves what became of its message. `false` when somebody else has
    /// changed it in the meantime.
    async fn ask_for_more(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        queued: &Queued,
        due_at: Timestamp,
    ) -> Result<bool, RecordError> {
        self.move_due(org, pending, queued, due_at, Update::default()).await
    }

    /// Writes the work and moves its due row. `false` when somebody else has moved that in the meantime: then nothing
    /// is written, and it is due by their word.
    async fn move_due(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        queued: &Queued,
        due_at: Timestamp,
        update: Update,
    ) -> Result<bool, RecordError> {
        self.move_row(org, (&pending.due, pending.unmoved()), queued, due_at, update).await
    }

    /// The same of work with the due row `from`, where `unmoved` holds.
    async fn move_row(
        &self,
        org: &OrgName,
        (from, unmoved): (&Key, Condition),
        queued: &Queued,
        due_at: Timestamp,
        update: Update,
    ) -> Result<bool, RecordError> {
        let due = keys::due(org, &queued.work, due_at);
        let item = queued.item(org, &due, due_at)?;
        let update = item.attributes.into_iter().fold(update, |update, (name, value)| match name.as_str() {
            "attempts" | "cooldowns" | "deferrals" | "dispatched" => update,
            name => update.set(name, value),
        });
        let mut writes = vec![
            Write::Update(item.key, update, unmoved),
            Write::Put(queued.due_item(&due, due_at)?, Condition::Always),
        ];
        if due != *from {
            writes.push(Write::Delete(from.clone(), Condition::Always));
        }
        Ok(unless_condition_failed(self.transact(writes).await)?.is_some())
    }

    /// Removes work that is done, unless newer work for the image has come in the meantime, or it asks for more by now: then
    /// gives what is still to be done.
    pub async fn complete(&self, org: &OrgName, done: &Work) -> Result<Option<Work>, RecordError> {
        loop {
            let Some(pending) = self.pending_work(org, &done.image).await? else { return Ok(None) };
            if !pending.work.is_done_with(done) {
                return Ok(Some(pending.work));
            }
            if self.remove(org, &pending).await? {
                return Ok(None);
            }
        }
    }

    /// The same of work that is done as it was when the `attempt` began; it is read again only where it has changed since.
    pub async fn complete_attempt(
        &self,
        org: &OrgName,
        attempt: &PendingWork,
    ) -> Result<Option<Work>, RecordError> {
        if self.remove(org, attempt).await? {
            return Ok(None);
        }
        self.complete(org, &attempt.work).await
    }

    /// Removes work with its due row. `false` when somebody has changed it since it was read.
    async fn remove(&self, org: &OrgName, pending: &PendingWork) -> Result<bool, RecordError> {
        let writes = vec![
            Write::Delete(keys::work(org, &pending.work.image), pending.unmoved()),
            Write::Delete(pending.due.clone(), Condition::Always),
        ];
        Ok(unless_condition_failed(self.transact(writes).await)?.is_some())
    }
}

impl PendingWork {
    /// Holds while the work is the one that was read, and due at the same time.
    fn unmoved(&self) -> Condition {
        unmoved(&self.due, &self.stored)
    }

    /// When it is due; rows of earlier versions say it in the key only.
    fn due_time(&self) -> Result<Timestamp, RecordError> {
        keys::due_time(&self.due).ok_or_else(|| corrupt(self.due.sort.clone(), "its key has no time"))
    }
}

/// Holds while work is this, as it is written in its row, and due by this row.
fn unmoved(due: &Key, stored: &str) -> Condition {
    Condition::All(vec![
        Condition::Equal("due_sort".to_owned(), due.sort.clone().into()),
        Condition::Equal("data".to_owned(), stored.into()),
    ])
}

/// Work as it is written in its row.
fn encoded(due: &Key, queued: &Queued) -> Result<String, RecordError> {
    serde_json::to_string(queued).map_err(|error| corrupt(due.sort.clone(), error))
}

fn read_work(item: &Item) -> Result<PendingWork, RecordError> {
    let place = || format!("{}/{}", item.key.partition, item.key.sort);
    let due = item.text("due_partition").zip(item.text("due_sort"));
    let (partition, sort) = due.ok_or_else(|| corrupt(place(), "it has no due row"))?;
    let count = |name| u32::try_from(item.number(name).unwrap_or(0).max(0)).unwrap_or(u32::MAX);
    let time = |name| {
        let millis = item.number(name).unwrap_or(0);
        Timestamp::from_millisecond(millis).map_err(|error| corrupt(place(), error))
    };
    let queued: Queued = decode(item)?;
    Ok(PendingWork {
        work: queued.work.clone(),
        queued,
        attempts: count("attempts"),
        cooldowns: count("cooldowns"),
        deferrals: count("deferrals"),
        deferred_because: item.text("deferred_because").map(str::to_owned),
        stored: item.text("data").unwrap_or_default().to_owned(),
        due: Key::new(partition, sort),
        due_at: time("due_at")?,
        dispatched: item.number("dispatched") == Some(1),
        attempt_owner: item.text("attempt_owner").unwrap_or_default().to_owned(),
        attempt_until: time("attempt_until")?,
    })
}

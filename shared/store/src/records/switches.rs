//! How far images are judged again because policies or exceptions have changed: who sends for them numbers the messages,
//! and each is noted when it is done. Until all are, the numbers of before are served.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Query};

use super::{DAY, ITEM_VERSION, RecordError, Records, encode, keys, time_to_live, unless_condition_failed};

/// What images were last sent for to be judged again by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Names the policies and exceptions.
    pub judging: Digest,
    /// When the messages were sent; it names them.
    pub sent_at: Timestamp,
    /// How many there are.
    pub parts: u32,
}

/// How far a switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchProgress {
    /// How many messages are done.
    pub done: u32,
    /// How many there are.
    pub parts: u32,
}

impl Switch {
    /// Whether it is so long ago at `now` that what was noted of its messages has gone: all are done.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.sent_at.checked_add(DAY / 2).is_ok_and(|end| end <= now)
    }
}

impl SwitchProgress {
    /// Whether every image is judged.
    pub const fn is_done(self) -> bool {
        self.done >= self.parts
    }
}

impl Records {
    /// Notes that all messages of a switch were sent, unless those of a later one were.
    pub async fn put_switch(&self, org: &OrgName, switch: &Switch) -> Result<(), RecordError> {
        let sent_at = switch.sent_at.as_millisecond();
        let not_later = Condition::Any(vec![
            Condition::Absent("sent_at".to_owned()),
            Condition::LessOrEqual("sent_at".to_owned(), sent_at.into()),
        ]);
        let item = encode(keys::switch(org), switch)?.with("sent_at", sent_at);
        unless_condition_failed(self.table.put(item, not_later).await).map(drop)
    }

    /// Notes that a message is done, of those sent at `sent_at`.
    pub async fn note_switched(
        &self,
        org: &OrgName,
        sent_at: Timestamp,
        part: u32,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let item = Item::new(keys::switched(org, sent_at, part))
            .with("v", ITEM_VERSION)
            .with("ttl", time_to_live(now, DAY));
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// What images were last sent for to be judged again by; `None` when they never were.
    pub async fn switch(&self, org: &OrgName) -> Result<Option<Switch>, RecordError> {
        self.record(&keys::switch(org)).await
    }

    /// How far the switch to `judging` is; `None` when its messages are not all sent yet.
    pub async fn switch_progress(
        &self,
        org: &OrgName,
        judging: &Digest,
    ) -> Result<Option<SwitchProgress>, RecordError> {
        let Some(switch) = self.switch(org).await? else { return Ok(None) };
        if switch.judging != *judging {
            return Ok(None);
        }
        let done = self.all(Query::prefix(keys::switched_partition(org, switch.sent_at), "")).await?.len();
        Ok(Some(SwitchProgress { done: u32::try_from(done).unwrap_or(u32::MAX), parts: switch.parts }))
    }
}

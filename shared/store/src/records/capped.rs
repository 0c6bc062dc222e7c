//! Listings of a run that wait until it is known what all of its repositories want: its rule takes only so many images in one
//! run.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Key, Query, TIME_TO_LIVE};
use tidewatch_core::rule::Wants;
use tidewatch_core::work::{ListingMessage, ListingPosition, RunId};

use super::{DAY, RecordError, Records, corrupt, decode, encode, keys, time_to_live};

/// How long they are kept: longer than any run waits for its listings.
const KEPT: Duration = Duration::from_secs(7 * DAY.as_secs());

/// A listing of the tags of a repository that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CappedListing {
    /// The message that goes on with it.
    pub message: ListingMessage,
    /// What its tags want, in the order in which they are taken.
    pub wants: Vec<Wants>,
    /// How many of them are taken, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<usize>,
}

impl CappedListing {
    /// The message that goes on with it, and takes what is admitted.
    pub fn admitted_message(&self) -> ListingMessage {
        let Self { message, admitted, .. } = self;
        let position = message.position.clone().unwrap_or_default();
        let position = ListingPosition { admitted: *admitted, ..position };
        ListingMessage { position: Some(position), ..message.clone() }
    }

    fn key(&self) -> Result<Key, RecordError> {
        let ListingMessage { org, run, registry, repository, .. } = &self.message;
        let repository =
            repository.as_ref().ok_or_else(|| corrupt(registry.to_string(), "it names no repository"))?;
        Ok(keys::capped(org, run, registry, repository))
    }
}

impl Records {
    /// Notes that a listing waits.
    pub async fn put_capped(&self, listing: &CappedListing, now: Timestamp) -> Result<(), RecordError> {
        let item = encode(listing.key()?, listing)?.with(TIME_TO_LIVE, time_to_live(now, KEPT));
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// The listings of a run that wait, sorted by registry and repository.
    pub async fn capped(&self, org: &OrgName, run: &RunId) -> Result<Vec<CappedListing>, RecordError> {
        let items = self.all(Query::prefix(keys::listings(org, run), keys::CAPPED)).await?;
        items.iter().map(decode).collect()
    }

    /// Forgets a listing that does not wait any more.
    pub async fn remove_capped(&self, listing: &CappedListing) -> Result<(), RecordError> {
        Ok(self.table.delete(&listing.key()?, Condition::Always).await?)
    }
}

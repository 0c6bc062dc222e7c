//! Work that is taken back: what it is about is not there any more, or no rule wants it.

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Write};

use crate::records::{RecordError, Records, keys, unless_condition_failed};

impl Records {
    /// Takes the work of an image in its repository back, unless it was seen there after `seen_by`, or is in an environment
    /// there. Whoever is at it goes on to the end.
    pub async fn withdraw(
        &self,
        org: &OrgName,
        image: &Image,
        seen_by: Timestamp,
    ) -> Result<(), RecordError> {
        loop {
            let Some(pending) = self.pending_work(org, image).await? else { return Ok(()) };
            if pending.work.seen_at > seen_by || self.is_in_environment(org, image).await? {
                return Ok(());
            }
            let writes = vec![
                Write::Delete(keys::work(org, image), pending.unmoved()),
                Write::Delete(pending.due, Condition::Always),
            ];
            if unless_condition_failed(self.transact(writes).await)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Whether an environment has the image of this repository.
    pub async fn is_in_environment(&self, org: &OrgName, image: &Image) -> Result<bool, RecordError> {
        let places = self.environments_of(org, &image.id()).await?;
        Ok(places.iter().any(|place| place.image == *image))
    }
}

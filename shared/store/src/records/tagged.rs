//! Whether an image may still stand for its repository. A place stays when its tag moves, and nothing tells it that the tag has
//! vanished since: as long as a slot is there, that is kept out by what has taken it. Slots that are filled anew have nothing of
//! that, so tags are asked.

use tidewatch_core::image::Image;
use tidewatch_core::names::OrgName;
use tidewatch_core::stream::{Counting, Slot};
use tidewatch_core::{Retry, Retryable as _};

use super::{ImagePlace, RecordError, Records, TagRecord, TaggedImage};

impl Records {
    /// Whether some tag of its repository leads to the image at `place` as one for `slot`, or the one by which it was found has
    /// moved to another image for `slot`, which takes the slot once it is scanned. What cannot be read keeps nobody out.
    pub(super) async fn may_stand(
        &self,
        org: &OrgName,
        place: &ImagePlace,
        slot: &Slot,
        counting: &Counting,
    ) -> Result<bool, RecordError> {
        let Image { registry, repository, .. } = &place.image;
        let id = place.image.id();
        let takes = |image: &TaggedImage| counting.takes(slot, &image.platform, image.counted);
        // By another tag it may have stood for an image that has more platforms by now.
        let holds = |record: &TagRecord| {
            !record.forgotten && record.images.iter().any(|image| image.id() == id && takes(image))
        };
        let is_awaited = |record: &TagRecord| {
            let has_moved = record.images.iter().all(|image| image.id() != id);
            !record.forgotten && has_moved && record.images.iter().any(takes)
        };
        let stands = async {
            let named = self.tag(org, registry, repository, &place.tag).await?;
            if named.as_ref().is_some_and(|record| holds(record) || is_awaited(record)) {
                return Ok(true);
            }
            Ok(self.tags(org, registry, repository).await?.iter().any(holds))
        };
        match stands.await {
            Err(error) if RecordError::retry(&error) == Retry::Never => Ok(true),
            stands => stands,
        }
    }
}

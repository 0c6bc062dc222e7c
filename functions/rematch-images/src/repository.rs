//! The images of one repository: those behind its tags, and those that stand for it.

use std::collections::HashSet;

use tidewatch_core::Retryable as _;
use tidewatch_core::image::ImageId;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::retry::Retry;
use tidewatch_core::work::{RematchMessage, RematchRepository, RematchTask};
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::RecordError;

use crate::images::Origin;
use crate::outcome::Outcome;
use crate::{RematchError, RematchImages};

impl RematchImages {
    /// Matches the images of a repository again, from the tag after which the message begins. After as many tags as a
    /// message may have, or shortly before `deadline`, it sends another message that goes on.
    pub(crate) async fn rematch_repository(
        &self,
        org: &OrgName,
        target: &RematchRepository,
        origin: Origin,
        deadline: Deadline,
    ) -> Result<(), RematchError> {
        let (mut outcome, mut seen, mut tags) = (Outcome::default(), HashSet::new(), 0);
        let mut after = target.after.clone();
        if after.is_none() {
            let mut slot = self.slots(org, target, &mut outcome).await?;
            slot.retain(|image| seen.insert(image.clone()));
            self.rematch_images(org, slot, origin, &mut outcome).await?;
        }
        loop {
            let (registry, repository) = (&target.registry, &target.repository);
            let most = self.settings.tags_at_once;
            let page = self.records.tags_page(org, registry, repository, after.as_ref(), most).await?;
            tags += page.tags.len();
            let mut images = Vec::new();
            for tag in page.tags {
                match tag {
                    Ok(tag) => images.extend(
                        tag.images
                            .into_iter()
                            .map(|image| ImageId { digest: image.digest, platform: image.platform }),
                    ),
                    Err(error) => outcome.leave(describe(&error)),
                }
            }
            images.retain(|image| seen.insert(image.clone()));
            self.rematch_images(org, images, origin, &mut outcome).await?;
            after = page.next;
            let Some(next) = &after else { break };
            let is_late = deadline.remaining(self.clock.now(), self.settings.margin).is_zero();
            if is_late || tags >= self.settings.tags_per_message {
                let rest = RematchRepository { after: Some(next.clone()), ..target.clone() };
                let task = Some(RematchTask::Repository(rest));
                self.send(&[RematchMessage {
                    sent_at: origin.sent_at,
                    all_slots: origin.slots,
                    ..RematchMessage::new(org.clone(), task)
                }])
                .await?;
                break;
            }
        }
        outcome.log(org);
        Ok(())
    }

    /// The images that stand for the repository: a tag that has moved may not name them any more.
    async fn slots(
        &self,
        org: &OrgName,
        target: &RematchRepository,
        outcome: &mut Outcome,
    ) -> Result<Vec<ImageId>, RecordError> {
        let stream = StreamName::latest_indexed();
        let Some(applied) = self.records.config(org).await? else { return Ok(Vec::new()) };
        let slots = applied.counting.slots(&target.registry, &target.repository);
        match self.records.members_of(org, &stream, &slots).await {
            Ok(members) => Ok(members.into_iter().flatten().map(|member| member.image.id()).collect()),
            Err(error) if error.retry() == Retry::Never => {
                outcome.leave(describe(&error));
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}

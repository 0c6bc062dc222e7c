//! The images of one repository: those behind its tags, and the one that stands for it.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::retry::Retry;
use tidewatch_core::work::{RematchMessage, RematchRepository};
use tidewatch_core::{Digest, Retryable as _};
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{InForce, RecordError};

use crate::image::Rematched;
use crate::{RematchError, RematchImages};

/// What became of the images of a message.
#[derive(Default)]
struct Outcome {
    anew: usize,
    current: usize,
    unscanned: usize,
    /// Left to the next scan, or tags that could not be read.
    left: usize,
    /// The first of those, and why.
    first_left: Option<String>,
}

impl Outcome {
    fn note(&mut self, image: &Image, rematched: Rematched) {
        match rematched {
            Rematched::Anew => self.anew += 1,
            Rematched::Current => self.current += 1,
            Rematched::Unscanned => self.unscanned += 1,
            Rematched::Left(reason) => self.leave(format!("{image}: {reason}")),
        }
    }

    fn leave(&mut self, what: String) {
        self.left += 1;
        self.first_left.get_or_insert(what);
    }

    fn log(&self, org: &OrgName, target: &RematchRepository) {
        let Self { anew, current, unscanned, left, first_left } = self;
        let (registry, repository) = (&target.registry, &target.repository);
        if let Some(first) = first_left {
            tracing::warn!(
                org.name = %org, registry.id = %registry, repository.name = %repository, images.left = left,
                image.first = first, "images cannot be matched again before their next scan"
            );
        }
        tracing::debug!(
            org.name = %org, registry.id = %registry, repository.name = %repository, images.rematched = anew,
            images.current = current, images.unscanned = unscanned, images.left = left, "repository matched again"
        );
    }
}

impl RematchImages {
    /// Matches the images of a repository again, from the tag after which the message begins. After as many tags as a
    /// message may have, or shortly before `deadline`, it sends another message that goes on.
    pub(crate) async fn rematch_repository(
        &self,
        org: &OrgName,
        target: &RematchRepository,
        deadline: Deadline,
    ) -> Result<(), RematchError> {
        let Some(in_force) = self.records.in_force(org, None).await? else { return Ok(()) };
        let in_force = Arc::new(in_force);
        let (mut outcome, mut seen, mut tags) = (Outcome::default(), HashSet::new(), 0);
        let mut after = target.after.clone();
        if after.is_none() {
            let slot = self.slot(org, target, &mut outcome).await?;
            self.rematch_new(org, &in_force, slot, &mut seen, &mut outcome).await?;
        }
        loop {
            let (registry, repository) = (&target.registry, &target.repository);
            let most = self.settings.tags_at_once;
            let page = self.records.tags_page(org, registry, repository, after.as_ref(), most).await?;
            tags += page.tags.len();
            let mut images = Vec::new();
            for tag in page.tags {
                match tag {
                    Ok(tag) => images.extend(tag.images.into_iter().map(|image| Image {
                        registry: registry.clone(),
                        repository: repository.clone(),
                        digest: image.digest,
                        platform: image.platform,
                    })),
                    Err(error) => outcome.leave(describe(&error)),
                }
            }
            self.rematch_new(org, &in_force, images, &mut seen, &mut outcome).await?;
            after = page.next;
            let Some(next) = &after else { break };
            let is_late = deadline.remaining(self.clock.now(), self.settings.margin).is_zero();
            if is_late || tags >= self.settings.tags_per_message {
                let rest = RematchRepository { after: Some(next.clone()), ..target.clone() };
                self.send(&[RematchMessage { org: org.clone(), repository: Some(rest) }]).await?;
                break;
            }
        }
        outcome.log(org, target);
        Ok(())
    }

    /// The image that stands for the repository: a tag that has moved may not name it any more.
    async fn slot(
        &self,
        org: &OrgName,
        target: &RematchRepository,
        outcome: &mut Outcome,
    ) -> Result<Vec<Image>, RecordError> {
        let stream = StreamName::latest_indexed();
        match self.records.member(org, &stream, &target.registry, &target.repository).await {
            Ok(member) => Ok(member.into_iter().map(|member| member.image).collect()),
            Err(error) if error.retry() == Retry::Never => {
                outcome.leave(describe(&error));
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Matches those of `images` again that were not `seen` yet.
    async fn rematch_new(
        &self,
        org: &OrgName,
        in_force: &Arc<InForce>,
        mut images: Vec<Image>,
        seen: &mut HashSet<(Digest, Platform)>,
        outcome: &mut Outcome,
    ) -> Result<(), RematchError> {
        images.retain(|image| seen.insert((image.digest, image.platform.clone())));
        let mut rematched = futures::stream::iter(images)
            .map(|image| async move {
                let rematched = self.rematch(org, &image, in_force).await?;
                Ok::<_, RematchError>((image, rematched))
            })
            .buffer_unordered(self.settings.images_at_once);
        while let Some((image, rematched)) = rematched.try_next().await? {
            outcome.note(&image, rematched);
        }
        Ok(())
    }
}

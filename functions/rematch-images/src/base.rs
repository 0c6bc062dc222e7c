//! Judges images again that are built on a base whose tag points to something else now. Their findings stay.

use tidewatch_assessment::record;
use tidewatch_core::base::BaseStanding;
use tidewatch_core::image::ImageId;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::OrgName;
use tidewatch_core::work::{OnBase, RematchMessage, RematchTask};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{RecordError, StoredResult};

use crate::image::Look;
use crate::images::{MOST_TRIES, Origin, Pass, Standing};
use crate::{RematchError, RematchImages};

/// What became of an image.
enum Rebased {
    /// It is not built on the base.
    Elsewhere,
    /// It is judged by what the base's tag points to already.
    Already,
    /// It has a new result.
    Moved,
}

impl RematchImages {
    /// Sends for the images that are built on `base`.
    pub(crate) async fn send_on_base(&self, org: &OrgName, base: &str) -> Result<(), RematchError> {
        let images = self.records.images_on_base(org, base).await?;
        let now = self.clock.now();
        let messages: Vec<RematchMessage> = images
            .chunks(self.settings.images_per_message)
            .map(|images| {
                let task = RematchTask::OnBase(OnBase { base: base.to_owned(), images: images.to_vec() });
                RematchMessage { sent_at: Some(now), ..RematchMessage::new(org.clone(), Some(task)) }
            })
            .collect();
        Ok(self.send(&messages).await?)
    }

    /// Judges the images of a message again, as far as they are built on the base and it has moved for them. Those for which it
    /// has not, and all when something else came into force meanwhile, are then looked at like any others: an earlier
    /// delivery may have died before that.
    pub(crate) async fn rematch_on_base(&self, org: &OrgName, message: &OnBase) -> Result<(), RematchError> {
        let mut images = message.images.clone();
        let mut again = Vec::new();
        for _ in 0..MOST_TRIES {
            let results = self.records.results(org, &images).await?;
            let Some(standing) = self.records.base_standing(org, &message.base).await? else { return Ok(()) };
            let origin = Origin { standing: Standing::Posted, sent_at: None, sent_for: None, slots: true };
            let Some(pass) = self.new_pass(org, None, origin).await? else { return Ok(()) };
            let (mut moved, mut overtaken) = (Vec::new(), Vec::new());
            for (image, stored) in images.into_iter().zip(results) {
                // One that cannot be read is left to its next scan.
                let Ok(Some(stored)) = stored else { continue };
                match self.rebase(&pass, (&message.base, &standing), &image, &stored).await {
                    Err(RematchError::Record(RecordError::Changed { .. })) => overtaken.push(image),
                    Err(error) if error.is_of_the_image() => {
                        let error = describe(&error);
                        tracing::warn!(org.name = %org, image = %image, error, "image cannot be judged again");
                    }
                    Ok(Rebased::Elsewhere) => {}
                    Ok(Rebased::Already) => again.push(image),
                    Ok(Rebased::Moved) => moved.push(image),
                    Err(error) => return Err(error),
                }
            }
            let in_force = self.records.in_force(org, Some(&pass.in_force)).await?;
            if in_force.is_some_and(|in_force| in_force.basis(self.clock.now()) != pass.basis) {
                again.extend(moved);
            }
            images = overtaken;
            if images.is_empty() {
                let origin = Origin { sent_for: Some(pass.basis.fingerprint()), ..origin };
                return self.rematch_named(org, again, origin).await;
            }
        }
        Err(RecordError::Changed { what: format!("the results of {} images", images.len()) }.into())
    }

    async fn rebase(
        &self,
        pass: &Pass<'_>,
        (name, standing): (&str, &BaseStanding),
        image: &ImageId,
        stored: &StoredResult,
    ) -> Result<Rebased, RematchError> {
        let known = self.metadata(pass, &stored.result).await?.unwrap_or_default();
        let Some(base) = known.base.as_ref().filter(|base| base.reference == name) else {
            return Ok(Rebased::Elsewhere);
        };
        let moved = standing.of(base);
        if moved == *base {
            return Ok(Rebased::Already);
        }
        let metadata = ImageMetadata { base: Some(moved), ..known };
        if let Some(Look::Anew(assessment)) =
            self.judge_again(pass, image, &stored.result, Some(metadata)).await?
        {
            let (covered, in_force) = (pass.covered.as_ref(), &pass.in_force);
            record(&self.records, pass.org, (image, None), *assessment, Some(stored), covered, in_force)
                .await?;
        }
        Ok(Rebased::Moved)
    }
}

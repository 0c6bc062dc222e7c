//! Matches the images of a message again: their results in one go, then each by itself.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::basis::Basis;
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::{Digest, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{InForce, RecordError, StoredResult};

use crate::outcome::{Outcome, Rematched};
use crate::{RematchError, RematchImages};

/// How often it is looked again after something has changed in the meantime.
pub(crate) const MOST_TRIES: usize = 5;

/// What a message knows of its images beside that they are to be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They are posted, or somebody else sees to that.
    Posted,
    /// They are noted as unposted: by what they are settled is noted as well.
    Unposted,
    /// Nothing: that they are unposted is noted where nothing else is.
    Unknown,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) standing: Standing,
    /// When it was sent.
    pub(crate) sent_at: Option<Timestamp>,
    /// Fingerprint of the basis that it was sent for.
    pub(crate) sent_for: Option<Digest>,
    /// Whether slots are written also where results stay.
    pub(crate) slots: bool,
}

/// What the images of a message are matched again by.
pub(crate) struct Pass<'a> {
    pub(crate) org: &'a OrgName,
    pub(crate) in_force: Arc<InForce>,
    pub(crate) basis: Basis,
    /// What all images are settled by.
    pub(crate) covered: Option<Basis>,
    pub(crate) origin: Origin,
}

impl Pass<'_> {
    /// Whether the images are matched by what the message was sent for.
    pub(crate) fn is_as_sent(&self) -> bool {
        self.origin.sent_for == Some(self.basis.fingerprint())
    }
}

/// What became of one image, or that another writer came first.
pub(crate) enum Step {
    Done(Rematched),
    Overtaken,
}

impl RematchImages {
    /// Matches and judges `images` again, as far as their results do not rest on what is in force.
    ///
    /// What is in force is read after the results, so that it is never older than what they were made with, and once more
    /// when something was recorded: who sends for images because of a change may have looked at one before that.
    pub(crate) async fn rematch_images(
        &self,
        org: &OrgName,
        images: Vec<ImageId>,
        origin: Origin,
        outcome: &mut Outcome,
    ) -> Result<(), RematchError> {
        let mut images = images;
        images.sort_unstable();
        images.dedup();
        let mut known = None;
        for _ in 0..MOST_TRIES {
            let results = self.records.results(org, &images).await?;
            let Some(pass) = self.new_pass(org, known.as_deref(), origin).await? else { return Ok(()) };
            let (anew, overtaken) = self.pass(&pass, images, results, outcome).await?;
            images = overtaken;
            if !anew.is_empty() {
                let in_force = self.records.in_force(org, Some(&pass.in_force)).await?;
                if in_force.is_none_or(|in_force| in_force.basis(self.clock.now()) == pass.basis) {
                    for image in &anew {
                        outcome.note(image, &Rematched::Anew);
                    }
                } else {
                    images.extend(anew);
                }
            }
            if images.is_empty() {
                return Ok(());
            }
            known = Some(pass.in_force);
        }
        Err(RecordError::Changed { what: format!("the results of {} images", images.len()) }.into())
    }

    /// By what is in force now, which has something in common with what is `known`; `None` when the organisation is not there
    /// any more.
    pub(crate) async fn new_pass<'a>(
        &self,
        org: &'a OrgName,
        known: Option<&InForce>,
        origin: Origin,
    ) -> Result<Option<Pass<'a>>, RecordError> {
        let Some(in_force) = self.records.in_force(org, known).await? else { return Ok(None) };
        let covered = self.records.postings(org).await?.and_then(|stored| stored.postings.covered);
        let basis = in_force.basis(self.clock.now());
        Ok(Some(Pass { org, in_force: Arc::new(in_force), basis, covered, origin }))
    }

    /// Gives the images that have new results, and those where another writer came first.
    async fn pass(
        &self,
        pass: &Pass<'_>,
        images: Vec<ImageId>,
        results: Vec<Result<Option<StoredResult>, RecordError>>,
        outcome: &mut Outcome,
    ) -> Result<(Vec<ImageId>, Vec<ImageId>), RematchError> {
        let mut steps = futures::stream::iter(images.into_iter().zip(results))
            .map(|(image, stored)| async move {
                let step = match stored {
                    Ok(stored) => self.rematch(pass, &image, stored).await,
                    Err(error) => Err(error.into()),
                };
                match step {
                    Err(error) if error.is_of_the_image() => {
                        Ok((image, Step::Done(Rematched::Left(describe(&error)))))
                    }
                    step => Ok::<_, RematchError>((image, step?)),
                }
            })
            .buffer_unordered(self.settings.images_at_once);
        let (mut anew, mut overtaken) = (Vec::new(), Vec::new());
        while let Some((image, step)) = steps.try_next().await? {
            match step {
                Step::Overtaken => overtaken.push(image),
                Step::Done(Rematched::Anew) => anew.push(image),
                Step::Done(rematched) => outcome.note(&image, &rematched),
            }
        }
        Ok((anew, overtaken))
    }
}

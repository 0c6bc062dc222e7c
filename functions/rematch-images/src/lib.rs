//! The function `rematch-images`: reads the queue `rematches`, and matches and judges images again because the advisories
//! or the policies have changed. It works on what is stored alone: no registry is asked, and it could not ask one.
//!
//! A message about an organisation finds the images that a change is about, by the postings, and sends for them; other
//! messages name the images, or post those that wait for it. An image whose findings come out as they were is not written.
//! A message may come twice, and after another one. What is stored in no usable form is left to the next scan of the image.

mod base;
mod changes;
mod compact;
mod image;
mod images;
mod outcome;
mod repository;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewatch_assessment::{AdvisoryIndexes, AssessmentError, record_members};
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::{Clock, QueueSender};
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_core::{Digest, Retry, Retryable};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::records::{RecordError, Records};

use crate::image::SharedFound;
use crate::images::{Origin, Standing};
use crate::outcome::Outcome;

/// What can be set of how images are matched again.
#[derive(Clone, Copy, Debug)]
pub struct RematchSettings {
    /// How many images of a message are matched at the same time.
    pub images_at_once: usize,
    /// How many tags are read at a time.
    pub tags_at_once: usize,
    /// After how many tags a message ends, and another one goes on.
    pub tags_per_message: usize,
    /// How many images are named by one message.
    pub images_per_message: usize,
    /// How many images a segment of the postings has at most, unless there are so many that their list would be too long.
    pub images_per_segment: u64,
    /// How long before its deadline a message ends, and another one goes on; looked at after each page of tags.
    pub margin: Duration,
}

impl Default for RematchSettings {
    fn default() -> Self {
        Self {
            images_at_once: 16,
            tags_at_once: 100,
            tags_per_message: 1_000,
            images_per_message: 100,
            images_per_segment: 1_000,
            margin: Duration::from_secs(60),
        }
    }
}

/// The ports of [`RematchImages`].
pub struct RematchPorts {
    /// Where results are, and what they were made from.
    pub records: Records,
    /// Where messages about repositories go.
    pub queue: Arc<dyn QueueSender>,
    /// What packages are matched against.
    pub advisories: Arc<AdvisoryIndexes>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Matches images again.
#[derive(Clone)]
pub struct RematchImages {
    records: Records,
    queue: Arc<dyn QueueSender>,
    advisories: Arc<AdvisoryIndexes>,
    clock: Arc<dyn Clock>,
    settings: RematchSettings,
    found: SharedFound,
}

/// Images could not be matched again.
#[derive(Debug, thiserror::Error)]
pub enum RematchError {
    /// An image could not be matched and judged.
    #[error(transparent)]
    Assessment(#[from] AssessmentError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A segment of the postings is not there, or cannot be read.
    #[error("failed to read the segment {hash}")]
    Segment {
        /// Its content hash.
        hash: Digest,
        /// Why.
        source: RecordError,
    },
}

impl Retryable for RematchError {
    fn retry(&self) -> Retry {
        match self {
            Self::Assessment(error) => error.retry(),
            Self::Record(error) => error.retry(),
            Self::Queue(error) => error.retry(),
            Self::Segment { .. } => Retry::Again,
        }
    }
}

impl RematchError {
    /// Whether it says something about one image, so that the others can go on.
    fn is_of_the_image(&self) -> bool {
        match self {
            Self::Assessment(error) => error.is_of_the_image(),
            Self::Record(error) => error.retry() == Retry::Never,
            Self::Queue(_) | Self::Segment { .. } => false,
        }
    }
}

impl RematchImages {
    /// Matches again on these ports.
    pub fn new(ports: RematchPorts, settings: RematchSettings) -> Self {
        let RematchPorts { records, queue, advisories, clock } = ports;
        Self { records, queue, advisories, clock, settings, found: SharedFound::default() }
    }

    pub(crate) async fn rematch_named(
        &self,
        org: &OrgName,
        images: Vec<ImageId>,
        origin: Origin,
    ) -> Result<(), RematchError> {
        let mut outcome = Outcome::default();
        self.rematch_images(org, images, origin, &mut outcome).await?;
        outcome.log(org);
        Ok(())
    }

    /// Puts what is known of these images into their slots again.
    async fn enter_all_slots(&self, org: &OrgName, images: &[ImageId]) -> Result<(), RematchError> {
        let results = self.records.results(org, images).await?;
        // Read after the results, so that it is never older than what they were made by.
        let Some(in_force) = self.records.in_force(org, None).await? else { return Ok(()) };
        for (image, stored) in images.iter().zip(results) {
            let judging = (&in_force, self.clock.now());
            let entered = match stored {
                Ok(Some(stored)) => record_members(&self.records, org, (image, None), &stored, judging).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match entered {
                Err(error) if error.retry() == Retry::Never => {
                    let error = describe(&error);
                    tracing::warn!(org.name = %org, image = %image, error, "slots of an image cannot be written");
                }
                entered => entered?,
            }
        }
        Ok(())
    }

    async fn send(&self, messages: &[RematchMessage]) -> Result<(), QueueError> {
        send(&*self.queue, QueueName::Rematches, messages, Duration::ZERO).await
    }
}

#[async_trait]
impl MessageHandler for RematchImages {
    type Message = RematchMessage;

    async fn handle(&self, message: RematchMessage, deadline: Deadline) -> Result<(), HandlerError> {
        let RematchMessage { org, task, sent_at, part, sent_for, all_slots } = message;
        let origin = |standing| Origin { standing, sent_at, sent_for, slots: all_slots };
        let handled = match task {
            None => self.send_changes(&org).await,
            Some(RematchTask::Images(images)) => {
                self.rematch_named(&org, images, origin(Standing::Posted)).await
            }
            Some(RematchTask::Unposted(images)) => {
                self.rematch_named(&org, images, origin(Standing::Unposted)).await
            }
            Some(RematchTask::Repository(repository)) => {
                self.rematch_repository(&org, &repository, origin(Standing::Unknown), deadline).await
            }
            Some(RematchTask::Slots(images)) => self.enter_all_slots(&org, &images).await,
            Some(RematchTask::Base(base)) => self.send_on_base(&org, &base).await,
            Some(RematchTask::OnBase(on_base)) => self.rematch_on_base(&org, &on_base).await,
            Some(RematchTask::Compact {}) => self.compact(&org).await,
        };
        handled.map_err(HandlerError::new)?;
        if let (Some(part), Some(sent_at)) = (part, sent_at) {
            let noted = self.records.note_switched(&org, sent_at, part, self.clock.now()).await;
            noted.map_err(HandlerError::new)?;
        }
        Ok(())
    }
}

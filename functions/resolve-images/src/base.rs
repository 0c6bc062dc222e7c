//! Asks what a tag points to now that images are built on, and has those judged again when that has changed.

use std::time::Duration;

use tidewatch_core::base::{BaseStanding, BaseTag, ask};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::work::{HintMessage, RematchMessage, RematchTask};
use tidewatch_runtime::messages::send;

use crate::{ResolveError, ResolveImages};

impl ResolveImages {
    /// Asks for `base`, as `message` wants. It is noted at once what the tag points to, and last that the images were sent
    /// for: whoever dies in between leaves a message that sends again.
    pub(crate) async fn resolve_base(&self, message: &HintMessage, base: &str) -> Result<(), ResolveError> {
        let org = &message.org;
        let Some(applied) = self.records.config(org).await? else { return Ok(()) };
        let Some(tag) = BaseTag::parse(base) else { return Ok(()) };
        let Some(config) = tag.registry(&applied.config) else { return Ok(()) };
        let known = self.records.base_standing(org, base).await?;
        let registry = self.registries.open(config).await?;
        let standing = match ask(&*registry, &tag, known.as_ref(), self.clock.now()).await {
            // What it pointed to last is all that is known.
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            asked => asked?,
        };
        let is_told = standing.is_told;
        if !self.records.put_base_standing(org, base, &standing).await? || is_told {
            return Ok(());
        }
        let task = Some(RematchTask::Base(base.to_owned()));
        let sent_at = Some(self.clock.now());
        let rematch = RematchMessage { sent_at, ..RematchMessage::new(org.clone(), task) };
        send(&*self.queue, QueueName::Rematches, &[rematch], Duration::ZERO).await?;
        let told = BaseStanding { is_told: true, ..standing };
        self.records.put_base_standing(org, base, &told).await?;
        tracing::info!(org.name = %org, image.base = base, "base image has moved");
        Ok(())
    }
}

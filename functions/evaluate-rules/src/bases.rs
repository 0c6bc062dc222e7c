//! Has it asked what the tags point to that images are built on: of each four times a day, in turns of a minute.

use std::time::Duration;

use tidewatch_core::base::BaseTag;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::HintMessage;
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{AppliedConfig, BASE_TURNS};

use crate::{EvaluateError, EvaluateRules};

impl EvaluateRules {
    /// Sends for the bases whose turn it is at this minute since 1970, as far as their registries are configured.
    pub(crate) async fn ask_for_bases(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        minute: u64,
    ) -> Result<(), EvaluateError> {
        let bases = self.records.bases_in_turn(org, minute % BASE_TURNS).await?;
        let messages = bases.iter().filter_map(|base| {
            let tag = BaseTag::parse(base)?;
            let registry = tag.registry(&applied.config)?.id.clone();
            let (org, received_at) = (org.clone(), self.clock.now());
            let BaseTag { repository, tag, .. } = tag;
            Some(HintMessage {
                org,
                registry,
                repository,
                tag,
                received_at,
                failures: 0,
                target: None,
                base: Some(base.clone()),
            })
        });
        let messages: Vec<HintMessage> = messages.collect();
        if messages.is_empty() {
            return Ok(());
        }
        Ok(send(&*self.queue, QueueName::Hints, &messages, Duration::ZERO).await?)
    }
}

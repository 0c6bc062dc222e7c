//! The streams of an organisation, with their numbers as they were last rolled up.

use tidewatch_store::records::PartState;

use super::{ReadError, Results};
use crate::documents::{PolicyNumbers, StreamRow, Streams};

impl Results {
    /// Every stream.
    pub async fn stream_list(&self) -> Result<Streams, ReadError> {
        let names = self.records.streams(&self.org, &self.in_force.applied.config).await?.names;
        let groups = self.records.groups(&self.org, &names).await?;
        let rows = names.into_iter().zip(groups).map(|(name, groups)| {
            let totals = PartState::sum(&groups);
            let policies = self.in_force.criteria.policies().names();
            StreamRow {
                name,
                images: totals.images,
                states: totals.states.iter().map(|(state, images)| (state.to_string(), *images)).collect(),
                vulnerabilities: totals.vulnerabilities,
                suppressed: totals.suppressed,
                policies: policies.map(|(id, _)| (id.clone(), PolicyNumbers::of(&totals, id))).collect(),
                oldest_result_at: totals.oldest_result_at,
            }
        });
        Ok(Streams { streams: rows.collect() })
    }
}

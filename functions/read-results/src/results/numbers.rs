//! The numbers of a stream as the next roll-up would give them, and as they are served.

use std::io::Read as _;

use flate2::read::GzDecoder;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tidewatch_core::names::StreamName;
use tidewatch_core::stream::{Layout, Totals};
use tidewatch_store::records::{PartState, Snapshot, TextHead};

use super::{ReadError, Results};
use crate::documents::Published;
use crate::series::Series;

/// How many shards are read at the same time.
const SHARDS_AT_ONCE: usize = 8;

/// The numbers of a stream.
pub(super) struct Numbers {
    pub(super) totals: Totals,
    /// Whether they are all rolled up.
    pub(super) is_rolled_up: bool,
}

impl Results {
    /// The numbers of a stream: what is rolled up already, and the members of the shards that have changed since.
    pub(super) async fn numbers_of(&self, stream: &StreamName) -> Result<Numbers, ReadError> {
        let groups = self.records.groups(&self.org, std::slice::from_ref(stream)).await?;
        let groups: Vec<PartState> = groups.into_iter().flatten().collect();
        let mut numbers = Numbers { totals: Totals::default(), is_rolled_up: true };
        for (group, state) in Layout::of(stream).groups().zip(groups) {
            if self.is_dirty(&state) {
                numbers.is_rolled_up = false;
                numbers.totals += &self.totals_of_group(stream, group).await?;
            } else {
                numbers.totals += &state.totals;
            }
        }
        Ok(numbers)
    }

    async fn totals_of_group(&self, stream: &StreamName, group: u16) -> Result<Totals, ReadError> {
        let shards = self.records.shards(&self.org, stream, group).await?;
        let shards = stream::iter(shards).map(|(shard, state)| async move {
            if !self.is_dirty(&state) {
                return Ok::<_, ReadError>(state.totals);
            }
            let mut members = self.records.members(&self.org, stream, shard).await?;
            members.retain(|member| self.counts(stream, member));
            Ok(members.iter().collect())
        });
        let sum = |mut sum: Totals, totals: Totals| async move {
            sum += &totals;
            Ok(sum)
        };
        shards.buffer_unordered(SHARDS_AT_ONCE).try_fold(Totals::default(), sum).await
    }

    /// Whether a roll-up would compute a part anew because something else was written. One of a later configuration is
    /// another roll-up's, whose numbers count.
    fn is_dirty(&self, state: &PartState) -> bool {
        let version = self.in_force.applied.version;
        state.has_members()
            && state.config_version <= version
            && (state.dirty_seq > state.computed_seq || state.config_version < version)
    }

    /// The number of a series as it is served; `None` when nothing is.
    pub(super) async fn published(&self, series: &Series) -> Result<Option<Published>, ReadError> {
        let Some(Snapshot { head, metrics, own }) = self.records.snapshot(&self.org).await? else {
            return Ok(None);
        };
        let texts = [inflate(&metrics, head.metrics), inflate(&own, head.own)];
        let lines = texts.iter().flat_map(|text| text.lines()).filter_map(Series::of_line);
        let value = lines.filter(|(found, _)| found == series).map(|(_, value)| value).next();
        Ok(Some(Published { value, made_at: head.made_at, checked_at: head.checked_at }))
    }
}

/// A text of the snapshot; nothing of one that is damaged, which is not served either.
fn inflate(body: &[u8], head: TextHead) -> String {
    let mut text = String::new();
    match GzDecoder::new(body).take(head.length).read_to_string(&mut text) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

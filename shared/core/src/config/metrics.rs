//! How the numbers of an organisation are served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stream::{DEFAULT_SERIES, series_of_stream};

/// Limits of the metrics endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Metrics")]
pub struct MetricsConfig {
    /// The most series under the names of Docker Scout's families; a stream has five, and two for each policy. Over it,
    /// whole streams are left out, and how many is a metric: `latest-indexed` is served first, then streams that are
    /// pinned, then the largest. Datadog's agent keeps 2,000 samples of a check unless its `max_returned_metrics` is
    /// raised, and leaves the rest out.
    pub series: u32,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { series: DEFAULT_SERIES }
    }
}

impl MetricsConfig {
    /// What is wrong with it, when so many policies are enabled: there is no room for one stream.
    pub(super) fn problem(self, policies: usize) -> Option<String> {
        let least = series_of_stream(policies);
        (u64::from(self.series) < least)
            .then(|| format!("one stream has {least} series: at least that many are needed"))
    }
}

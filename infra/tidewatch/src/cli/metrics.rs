//! How local mode serves metrics.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tidewatch_export_metrics::DEFAULT_SCRAPES;
use tidewatch_roll_up_streams::Freshness;

/// How often the served numbers change, and how often they may be asked for.
#[derive(Debug, Args)]
pub(crate) struct MetricsOptions {
    /// When changed numbers are served: within a second, or once per period, as Docker Scout does.
    #[arg(long, env = "TIDEWATCH_METRICS_FRESH", value_enum, value_name = "WHEN", default_value_t)]
    metrics_fresh: FreshnessName,
    /// The period of `interval`, in minutes.
    #[arg(
        long,
        env = "TIDEWATCH_METRICS_CACHE_MINUTES",
        value_name = "MINUTES",
        default_value_t = 60,
        value_parser = clap::value_parser!(u16).range(1..=720)
    )]
    metrics_cache_minutes: u16,
    /// How often one token may scrape in a minute; 0 for no limit.
    #[arg(long, env = "TIDEWATCH_SCRAPES_PER_MINUTE", value_name = "N", default_value_t = DEFAULT_SCRAPES)]
    pub(crate) scrapes_per_minute: u32,
}

/// The words for freshness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FreshnessName {
    /// At the next roll-up.
    #[default]
    OnChange,
    /// Once per period.
    Interval,
}

impl MetricsOptions {
    /// When changed numbers are served.
    pub(crate) fn freshness(&self) -> Freshness {
        match self.metrics_fresh {
            FreshnessName::OnChange => Freshness::OnChange,
            FreshnessName::Interval => {
                Freshness::Interval(Duration::from_secs(u64::from(self.metrics_cache_minutes) * 60))
            }
        }
    }
}

//! Streams: named sets of images whose vulnerabilities and policies are counted together.
//!
//! A stream has one member per repository. Totals are always recomputed from members, never counted up.

mod budget;
mod exposition;
mod member;
mod totals;

pub use budget::{Candidate, DEFAULT_SERIES, Served, series_of_stream, within_budget};
pub use exposition::{
    AdvisoryIndexTimes, AdvisorySourceTimes, OwnFacts, StreamTotals, open_metrics, render, render_own,
    render_snapshot_times,
};
pub use member::{Member, SlotVersion, shard_of};
pub use totals::{PolicyTotals, Totals};

/// Into how many shards a stream is split. A roll-up reads a shard at a time, and writers of different shards do not
/// meet; at 1,000 members a shard, this is good for 64,000 repositories.
pub const SHARDS: u16 = 64;

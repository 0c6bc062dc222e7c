//! Streams: named sets of images whose vulnerabilities and policies are counted together.
//!
//! `latest-indexed` has one member per repository; an environment has the images that somebody put into it. Totals are
//! always recomputed from members, never counted up.

mod budget;
mod counting;
mod exposition;
mod layout;
mod member;
mod slot;
mod totals;

pub use budget::{Candidate, DEFAULT_SERIES, Served, series_of_stream, within_budget};
pub use counting::Counting;
pub use exposition::{
    AdvisoryIndexTimes, AdvisorySourceTimes, OwnFacts, StreamTotals, open_metrics, render, render_own,
    render_queues, render_snapshot_times,
};
pub use layout::{Layout, SHARDS_PER_GROUP, group_of, shards_of};
pub use member::{Member, SlotVersion};
pub use slot::{Slot, SlotForm, SlotKind};
pub use totals::{PolicyTotals, Totals};

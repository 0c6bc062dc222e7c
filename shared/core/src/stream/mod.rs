//! Streams: named sets of images whose vulnerabilities and policies are counted together.
//!
//! `latest-indexed` has one member per repository; an environment has the images that somebody put into it. Totals are
//! always recomputed from members, never counted up.

mod exposition;
mod layout;
mod member;
mod totals;

pub use exposition::{StreamTotals, render};
pub use layout::{Layout, SHARDS_PER_GROUP, group_of, shards_of};
pub use member::{Member, SlotVersion};
pub use totals::{PolicyTotals, Totals};

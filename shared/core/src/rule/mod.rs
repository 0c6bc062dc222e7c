//! Rules: which images are chosen, and when.

mod pattern;
mod schedule;
mod selection;

pub use pattern::{Pattern, PatternError};
pub use schedule::{Schedule, ScheduleError};
pub use selection::{Selection, select};

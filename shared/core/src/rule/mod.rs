//! Rules: which images they choose, and when they run.

mod cap;
mod naming;
mod pattern;
mod schedule;
mod selection;

pub use cap::{Wanting, Wants, admitted, order, wants};
pub use naming::RepositoryNames;
pub use pattern::{Pattern, PatternError};
pub use schedule::{Schedule, ScheduleError, Timetable, Window};
pub use selection::{
    AgeLimit, Candidate, Decision, ImageTimes, LeftOut, Selection, decide, needs_times, select, unused,
};

//! Rules: which images they choose, and when they run.

mod pattern;
mod schedule;
mod selection;

pub use pattern::{Pattern, PatternError};
pub use schedule::{Schedule, ScheduleError, Timetable, Window};
pub use selection::{
    AgeLimit, Candidate, Decision, ImageTimes, LeftOut, Selection, decide, needs_times, select, unused,
};

//! Exceptions: which findings do not count, by whose word and for how long. A suppressed finding stays visible.

mod suppression;

pub use suppression::{ExceptionType, SuppressedBy, Suppression, VexSource};

//! Whether a failure is worth trying again: every error of Tidewatch knows it, and nothing guesses it from a text.

/// What to do with work that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same work can succeed later: a time-out, throttling, a conflict with another writer.
    Again,
    /// The same work fails in the same way every time: record it and go on.
    Never,
}

/// An error that knows whether its work is worth trying again.
pub trait Retryable {
    /// Says whether the failed work can succeed when it is tried again unchanged.
    fn retry(&self) -> Retry;
}

//! The order of versions, one file for each scheme. A version that its scheme cannot order is an error: it becomes a
//! problem of the image, and is never taken for "not affected".

use std::cmp::Ordering;

pub mod apk;
pub mod dpkg;
mod number;

/// Compares two versions of one scheme: [`Ordering::Less`] when the first is the older one. Within the versions that
/// the scheme can order this is a total order; versions that are written differently can be equal.
pub type Compare = fn(&str, &str) -> Result<Ordering, OrderError>;

/// A version that its scheme cannot order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to order {version:?} as a version of {scheme}: {reason}")]
pub struct OrderError {
    version: String,
    scheme: &'static str,
    reason: &'static str,
}

impl OrderError {
    /// `version` cannot be ordered by `scheme`, because of `reason`, a lower-case fragment.
    pub(crate) fn new(version: &str, scheme: &'static str, reason: &'static str) -> Self {
        Self { version: version.to_owned(), scheme, reason }
    }

    /// The version that cannot be ordered, as it was given.
    pub fn version(&self) -> &str {
        &self.version
    }
}
